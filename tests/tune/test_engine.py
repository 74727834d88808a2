"""tune-engine: what it says and writes, from times that the test makes up; and once for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.config import machine_profile
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.tune import engine
from hybrid_trainer.tune.trial import Trial
from tests.conftest import make_config
from tests.test_command_line import cli, files_below, refused
from tests.tune.test_trial import SMALL

FASTER = {(1, "auto"): 10.0, (1, "bf16"): 5.0, (2, "auto"): 6.0, (2, "bf16"): 4.0}


@pytest.fixture
def tune(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Any:
    """tune(times, *arguments): the command with a made-up time for each candidate; what it said, what it wrote."""
    path = tmp_path / "machine.json"

    def measured(times: dict[tuple[int, str], float | list[float]], *arguments: str) -> tuple[str, Any]:
        said: dict[tuple[int, str], list[float]] = {
            one: list(its) if isinstance(its, list) else [its] * 5 for one, its in times.items()
        }

        def seconds(self: Trial, seconds: float, least: int) -> float:
            return said[self.candidate].pop(0) / 1e3  # type: ignore[attr-defined]

        def made(self: Trial, config: Config, data: Any) -> None:
            self.candidate = (config.training.threads, config.training.precision)  # type: ignore[attr-defined]

        monkeypatch.setattr(engine, "cores", lambda: 2)
        monkeypatch.setattr(machine_profile, "cores", lambda: 2)
        monkeypatch.setattr(Trial, "__init__", made)
        monkeypatch.setattr(Trial, "seconds_per_step", seconds)
        assert engine.main([*SMALL, f"paths.machine_profile={path}", "training.device=cpu", *arguments]) == 0
        return capsys.readouterr().out, json.loads(path.read_text()) if path.exists() else None

    return measured


def test_the_fastest_that_keeps_the_numbers_is_chosen_and_bf16_proposed(tune: Any) -> None:
    said, written = tune(FASTER)
    assert written["values"] == {"training.threads": 2}
    assert "training.threads=2 training.precision=auto: 0.60 of the default's time, 0.60 to 0.60 in 5 rounds" in said
    assert "training.threads=2 training.precision=bf16 would take 0.40 of the default's time, but changes" in said
    assert written["machine"] == machine_profile.this_machine()
    assert written["measured"][0] == {
        "values": {"training.threads": 1, "training.precision": "auto"},
        "step_ms": [10.0] * 5,
    }
    assert (written["device"], written["model"], written["batch_size"]) == ("cpu", "hybrid", 128)


def test_bf16_is_chosen_where_the_user_allows_it(tune: Any) -> None:
    said, written = tune(FASTER, "--allow-bf16")
    assert written["values"] == {"training.threads": 2, "training.precision": "bf16"}
    assert "would take" not in said


def test_the_default_stays_where_nothing_is_faster_and_nothing_is_to_be_said_twice(tune: Any) -> None:
    said, written = tune({(1, "auto"): 10.0, (1, "bf16"): 12.0, (2, "auto"): 11.0, (2, "bf16"): 90.0})
    assert written["values"] == {}
    assert "training.threads=1 training.precision=auto: the default stays" in said
    assert "would take" not in said and "try again" not in said
    assert len(written["measured"][3]["step_ms"]) == 2
    assert "given up" in said


def test_what_noise_hides_is_told(tune: Any) -> None:
    noisy: dict[tuple[int, str], Any] = dict.fromkeys(FASTER, 10.0) | {(2, "auto"): [6.0, 6.0, 6.0, 6.0, 11.0]}
    said, written = tune(noisy)
    assert written["values"] == {}
    assert "training.threads=2 training.precision=auto took 0.60 of the default's time, but 0.60 to 1.10" in said


def test_a_key_that_is_given_is_not_measured(tune: Any) -> None:
    times = {(1, "bf16"): 10.0, (2, "bf16"): 5.0}
    _, written = tune(times, "training.precision=bf16")
    assert written["values"] == {"training.threads": 2}
    assert [entry["values"] for entry in written["measured"]] == [{"training.threads": 1}, {"training.threads": 2}]


def test_nothing_is_written_without_a_profile(tune: Any, tmp_path: Path) -> None:
    said, written = tune(FASTER, "paths.machine_profile=null")
    assert written is None and files_below(tmp_path) == []
    assert "nothing was written: paths.machine_profile=null" in said


def test_a_damaged_profile_is_written_anew(tune: Any, tmp_path: Path) -> None:
    (tmp_path / "machine.json").write_text("{")
    assert tune(FASTER)[1]["values"] == {"training.threads": 2}


def test_what_is_written_is_what_a_run_takes(tune: Any, tmp_path: Path) -> None:
    tune(FASTER, "--allow-bf16")
    taken = make_config(*SMALL, f"paths.machine_profile={tmp_path / 'machine.json'}").training
    assert (taken.threads, taken.precision) == (2, "bf16")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--rounds", "2"], "--rounds: 2 must be at least 3"),
        (["--seconds", "0"], "--seconds: 0.0 must be above 0"),
        (["training.threads=3", "training.precision=fp32"], "there is nothing to choose"),
        (["training.thread=3"], "did you mean 'training.threads'"),
    ],
)
def test_wrong_input_is_told(arguments: list[str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        engine.main([*SMALL, *arguments])


def test_for_real(tmp_path: Path) -> None:
    # A linear model has little that two threads could wait for each other in, where both cores are busy.
    short = ("--rounds", "3", "--seconds", "0.01", "model=linear", "training.device=cpu")
    done = cli(tmp_path, "tune-engine", *SMALL[:-1], "paths.machine_profile=here/m.json", *short)
    assert (done.returncode, done.stderr) == (0, "")
    assert files_below(tmp_path) == ["here", "here/m.json"]
    written = json.loads((tmp_path / "here/m.json").read_text())
    for entry in written["measured"]:
        assert 2 <= len(entry["step_ms"]) <= 3 and min(entry["step_ms"]) > 0
    values = [entry["values"] for entry in written["measured"]]
    assert {"training.threads": 1, "training.precision": "auto"} in values
    assert "Time of a training step" in done.stdout and "written: here/m.json" in done.stdout
    assert "does not exist" in refused(cli(tmp_path, "tune-engine", "data=csv", "data.path=nowhere.csv"))
