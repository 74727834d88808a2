"""The machine profile: found, refused, or left aside; and who wins over it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from hybrid_trainer import launch, resume
from hybrid_trainer.config import machine_profile
from hybrid_trainer.config.compose import compose_config, compose_here, load_config, to_config
from hybrid_trainer.config.machine_profile import Profile, find, this_machine
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config, price_frame
from tests.test_command_line import TINY, cli, files_below, refused

BF16 = {"training.precision": "bf16"}
USED = choose_precision("bf16", torch.device("cpu")).name  # fp32 where the CPU has no units for bf16


def write(path: Path, values: dict[str, Any], **other: Any) -> Path:
    content = {"version": 1, "machine": this_machine(), "values": values, **other}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


@pytest.fixture
def usual(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the profile of this user would be; the current folder is empty."""
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "user"))
    return tmp_path / "user" / "hybrid_trainer" / "machine.json"


# Finding and reading.


def test_the_usual_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", "/user")
    assert machine_profile.place_of("auto") == Path("/user/hybrid_trainer/machine.json")
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    assert machine_profile.place_of("auto") == Path.home() / ".config/hybrid_trainer/machine.json"
    assert machine_profile.place_of("~/m.json") == Path.home() / "m.json"


def test_none_where_there_is_none_or_none_is_wanted(usual: Path) -> None:
    assert find("auto") is None
    write(usual, BF16)
    assert find(None) is None
    assert find("auto") == Profile(usual, BF16)


def test_a_named_file_must_be_there(usual: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"paths\.machine_profile: m\.json: there is no such file; write it anew with"
    ):
        find("m.json")


@pytest.mark.parametrize(
    ("name", "value"), [("cpu", "Another"), ("cores", 999), ("torch", "1.0"), ("torch", None), ("cores", "2")]
)
def test_one_of_another_machine_is_not_used_and_says_why(name: str, value: Any, usual: Path) -> None:
    write(usual, BF16, machine=this_machine() | {name: value})
    found = find("auto")
    assert found is not None and found.values == {}
    assert found.unfit == f"measured on another machine ({name} {value!r}, here {this_machine()[name]!r})"
    config = to_config(compose_config([]))
    assert config.training.precision == "auto"
    note = found.note(config)
    assert note.startswith(f"machine profile {usual}: not used, measured on another machine")
    assert note.endswith("write it anew with `python -m hybrid_trainer tune-engine`")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "not valid JSON"),
        ('{"version": 1, "machine"', "not valid JSON"),
        ("[]", "it lacks version, machine or values"),
        ("{}", "it lacks version, machine or values"),
        ('{"version": 1, "machine": 5, "values": {}}', "it lacks version, machine or values"),
        ('{"version": 2, "machine": {}, "values": {}}', "its version is 2, not 1"),
        (b"\xff\xfe", "codec can't decode"),
    ],
)
def test_a_damaged_file_is_told_in_one_line_with_what_to_do(text: str | bytes, why: str, usual: Path) -> None:
    usual.parent.mkdir(parents=True)
    usual.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError) as raised:
        compose_config([])
    said = str(raised.value)
    assert said.startswith(f"{usual}: not a machine profile ({why}") or why in said
    assert "\n" not in said
    assert "tune-engine" in said and said.endswith("go on without: paths.machine_profile=null")
    assert to_config(compose_config(["paths.machine_profile=null"])).training.threads == 1


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"training.epochs": 3}, "'training.epochs' is not a key that is measured"),
        ({"training.precision": "fp8"}, "training.precision='fp8' is not one of auto, bf16"),
        ({"training.threads": 0}, "training.threads=0 is not one of 1"),
        ({"training.threads": True}, "training.threads=True is not one of 1"),
        ({"training.threads": "2"}, "training.threads='2' is not one of 1"),
    ],
)
def test_a_value_that_could_not_have_been_measured_is_refused(values: dict[str, Any], why: str, usual: Path) -> None:
    write(usual, values)
    with pytest.raises(ConfigError) as raised:
        find("auto")
    assert why in str(raised.value)


def test_the_machine_is_known_without_torch() -> None:
    script = (
        "import sys; from hybrid_trainer.config.machine_profile import this_machine; said = this_machine(); "
        "assert 'torch' not in sys.modules; import torch; assert said['torch'] == torch.__version__, said; "
        "assert said['cpu'] and said['cores'] >= 1"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


# Who wins.


def precision(*overrides: str) -> str:
    return make_config(*overrides).training.precision


def test_a_profile_takes_the_place_of_defaults_and_of_nothing_else(usual: Path) -> None:
    write(usual, BF16)
    assert precision() == "bf16"
    assert precision("training.precision=fp32") == "fp32"
    assert precision("training.precision=auto") == "auto"  # given, if as the default has it
    assert precision("paths.machine_profile=null") == "auto"
    own = Path("conf/training/exact.yaml")
    own.parent.mkdir(parents=True)
    own.write_text("defaults: [default, _self_]\nprecision: fp32\n")
    search = f"hydra.searchpath=['file://{own.parents[1].resolve()}']"
    assert precision(search, "training=exact") == "fp32"
    assert precision(search) == "bf16"
    assert make_config("training.epochs=3").training.epochs == 3


def test_another_file_can_be_named_on_the_command_line(usual: Path, tmp_path: Path) -> None:
    other = write(tmp_path / "other.json", BF16)
    assert precision(f"paths.machine_profile={other}") == "bf16"
    write(usual, BF16)
    write(other, {})
    assert precision(f"paths.machine_profile={other}") == "auto"


def test_nothing_of_one_config_is_left_in_the_next(usual: Path) -> None:
    write(usual, BF16)
    assert precision() == "bf16"
    usual.unlink()
    assert precision() == "auto"


def test_the_note_says_what_was_taken_and_what_not(usual: Path) -> None:
    write(usual, BF16 | {"training.threads": 1})
    tree, found = compose_here([])
    assert found is not None
    said = f"machine profile {usual}: "
    assert found.note(to_config(tree)) == f"{said}training.precision=bf16, training.threads=1"
    given = to_config(compose_config(["training.precision=fp32"]))
    assert found.note(given) == f"{said}training.threads=1; given otherwise: training.precision=fp32 (not bf16)"
    assert Profile(usual, {}).note(given) == f"{said}the defaults are best here"


# On the command line.


def test_a_job_that_goes_on_keeps_what_its_run_began_with(usual: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(usual, BF16)
    price_frame(rows=120).write_csv("prices.csv")
    given = [*TINY, "training.device=cpu", "run.id=one", "training.resume=auto", "training.epochs=1"]
    assert launch.launch(given) == 0
    record = Path("outputs/one/run.json")
    assert json.loads(record.read_text())["precision"] == USED
    content = json.loads(record.read_text()) | {"status": "interrupted"}
    record.write_text(json.dumps(content))
    usual.unlink()  # and so another machine's profile, or none
    assert launch.launch([*given, "training.epochs=2"]) == 0
    again = json.loads(record.read_text())
    assert (again["status"], again["epochs"], again["precision"]) == ("complete", 2, USED)
    write(usual, {})
    assert resume.resume(Path("outputs/one"), ["training.epochs=3"]) == 0
    assert json.loads(record.read_text())["precision"] == USED
    usual.write_text("{")  # nobody needs it
    assert resume.resume(Path("outputs/one"), ["training.epochs=4"]) == 0


@pytest.fixture
def table(usual: Path) -> Path:
    write(usual, BF16)
    price_frame(rows=120).write_csv("prices.csv")
    return Path.cwd()


def test_a_run_records_what_it_took_and_its_config_needs_no_profile_any_more(
    usual: Path, table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.test_command_line.ENVIRONMENT", environment(usual))
    done = cli(table, *TINY, "hydra.run.dir=outputs/a")
    assert done.returncode == 0, done.stderr
    note = f"machine profile {usual}: training.precision=bf16"
    assert note in done.stdout.replace("\n", "")
    log = (table / "outputs/a/train.log").read_text()
    assert log.count(note) == 1
    record = json.loads((table / "outputs/a/run.json").read_text())
    assert (record["config"]["training"]["precision"], record["precision"]) == ("bf16", USED)
    usual.unlink()
    assert load_config(table / "outputs/a/config.yaml").training.precision == "bf16"
    done = cli(table, "--config", "outputs/a/config.yaml", "--cfg", "job")
    assert yaml.safe_load(done.stdout)["training"]["precision"] == "bf16"


def test_what_is_shown_is_what_would_be_used(usual: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_command_line.ENVIRONMENT", environment(usual))
    before = files_below(table)
    done = cli(table, "--cfg", "job", "training.epochs=7")
    assert yaml.safe_load(done.stdout)["training"]["precision"] == "bf16"
    done = cli(table, *TINY, "--dry-run", "training.device=cpu")
    assert done.returncode == 0, done.stderr
    assert f"engine  cpu, {USED}, 1 thread(s)" in done.stdout
    assert f"machine profile {usual}: training.precision=bf16" in done.stdout
    done = cli(table, "describe", "training.precision")
    assert "auto (bf16 by the machine profile)" in " ".join(done.stdout.replace("│", " ").split())
    assert files_below(table) == before
    usual.write_text("{")
    assert "not a machine profile" in refused(cli(table, "--cfg", "job"))


def test_the_jobs_of_a_sweep_have_it_and_have_one(usual: Path, table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.test_command_line.ENVIRONMENT", environment(usual))
    done = cli(table, "--multirun", *TINY, "training.precision=fp32,auto", "hydra.sweep.dir=multirun/a")
    assert done.returncode == 0, done.stderr
    done = cli(table, "--multirun", *TINY, "seed=1", "hydra.sweep.dir=multirun/b")
    assert done.returncode == 0, done.stderr
    paths = [table / "multirun" / name for name in ("a/0-precision=fp32", "a/1-precision=auto", "b/0")]
    used = [json.loads((path / "run.json").read_text())["config"]["training"]["precision"] for path in paths]
    assert used == ["fp32", "auto", "bf16"]
    assert "given otherwise: training.precision=fp32 (not bf16)" in (paths[0] / "train.log").read_text()
    write(table / "b.json", {})
    said = refused(cli(table, "--multirun", *TINY, "paths.machine_profile=auto,b.json"))
    assert said == "error: paths.machine_profile: one for all jobs of a sweep"


def environment(usual: Path) -> dict[str, str]:
    from tests.test_command_line import ENVIRONMENT

    return ENVIRONMENT | {"XDG_CONFIG_HOME": str(usual.parents[1])}
