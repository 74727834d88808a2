"""`resume RUN_DIR`, and jobs that find their run again."""

from __future__ import annotations

import fcntl
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hybrid_trainer.__main__ import run
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.resume import _name_of_the_job
from tests.conftest import price_frame
from tests.engine.helpers import TINY_RUN

QUIET = [*TINY_RUN, "data.path=prices.csv", "training.epochs=4", "callbacks.resources.enabled=false"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a table, to work in; signal handlers are as before afterwards."""
    price_frame().write_csv(tmp_path / "prices.csv")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("signal.signal", lambda number, handler: handler)
    for name in ("TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def record(folder: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return said


def leavings(folder: Path) -> tuple[bytes, bytes]:
    return (folder / "history.jsonl").read_bytes(), (folder / "model/weights.safetensors").read_bytes()


def stop_after(monkeypatch: pytest.MonkeyPatch, checkpoints: int) -> None:
    """Let the process fail behind a number of written states."""
    from hybrid_trainer.engine.checkpoint_store import CheckpointStore

    save, left = CheckpointStore.save_last, [checkpoints]

    def once(self: CheckpointStore, state: dict[str, Any]) -> None:
        save(self, state)
        left[0] -= 1
        if left[0] == 0:
            raise OSError(5, "Input/output error", "disk")

    monkeypatch.setattr(CheckpointStore, "save_last", once)


@pytest.mark.parametrize("checkpoints", [1, 2, 5])
def test_a_run_that_failed_goes_on_to_the_same_bits(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], checkpoints: int
) -> None:
    steps = ["callbacks.checkpoint.every_steps=1", "training.batch_size=64"]
    assert run([*QUIET, *steps, "run.id=straight"]) == 0
    with monkeypatch.context() as patch:
        stop_after(patch, checkpoints)
        assert run([*QUIET, *steps, "run.id=cut"]) == 1
    assert record(here / "outputs/cut")["status"] == "failed"
    capsys.readouterr()
    assert run(["resume", "outputs/cut"]) == 0
    assert "its last checkpoint is intact" not in capsys.readouterr().out
    assert leavings(here / "outputs/cut") == leavings(here / "outputs/straight")
    said = record(here / "outputs/cut")
    assert (said["status"], said["stop_reason"]) == ("complete", "4 of 4 epochs done")
    assert [(once["before"], once["overrides"]) for once in said["resumed"]] == [("failed", [])]
    events = EventAccumulator(str(here / "outputs/cut/tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("loss/valid")] == [1, 2, 3, 4]


def test_a_failed_run_says_how_to_go_on(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert run([*QUIET, "run.id=cut"]) == 1
    out, error = capsys.readouterr()
    assert out.splitlines()[-1] == (
        "its last checkpoint is intact; to go on: python -m hybrid_trainer resume outputs/cut"
    )
    assert error == "error: disk: Input/output error\n"


def test_a_complete_run_can_be_trained_for_longer(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*QUIET, "training.epochs=2", "run.id=a"]) == 0
    assert run([*QUIET, "training.epochs=3", "run.id=b"]) == 0
    capsys.readouterr()
    assert run(["resume", "outputs/a"]) == 0
    assert capsys.readouterr().out == (
        "outputs/a: complete (2 of 2 epochs done); to train it longer: "
        "python -m hybrid_trainer resume outputs/a training.epochs=N\n"
    )
    assert run(["resume", "outputs/a", "training.epochs=3"]) == 0
    assert "since the checkpoint: training.epochs: 2 -> 3" in capsys.readouterr().out
    assert leavings(here / "outputs/a") == leavings(here / "outputs/b")
    assert yaml.safe_load((here / "outputs/a/config.yaml").read_text())["training"]["epochs"] == 3
    assert yaml.safe_load((here / "outputs/a/overrides.yaml").read_text())[-2:] == ["run.id=a", "training.epochs=3"]
    assert record(here / "outputs/a")["config"]["training"]["epochs"] == 3


def test_a_run_without_a_checkpoint_begins_anew(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("hybrid_trainer.train._log_table", lambda config, table: (_ for _ in ()).throw(OSError(5, "no")))
        assert run([*QUIET, "run.id=a"]) == 1
    assert run([*QUIET, "run.id=b"]) == 0
    capsys.readouterr()
    assert run(["resume", "outputs/a"]) == 0
    assert "there is no checkpoint yet: training begins anew" in capsys.readouterr().out
    assert leavings(here / "outputs/a") == leavings(here / "outputs/b")


@pytest.mark.parametrize("key", ["run.id", "TORCHELASTIC_RUN_ID", "SLURM_JOB_ID"])
def test_a_job_that_is_started_again_finds_its_run(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], key: str
) -> None:
    job = [*QUIET, "training.resume=auto"]
    if key == "run.id":
        job.append("run.id=mine")
    else:
        monkeypatch.setenv(key, "mine")
    with monkeypatch.context() as patch:
        stop_after(patch, 2)
        assert run(job) == 1
    assert run(job) == 0
    assert run([*QUIET, "run.id=straight"]) == 0
    assert leavings(here / "outputs/mine") == leavings(here / "outputs/straight")
    capsys.readouterr()
    assert run(job) == 0
    assert capsys.readouterr().out == "outputs/mine: complete (4 of 4 epochs done); nothing is left to do\n"
    assert sorted(path.name for path in (here / "outputs").iterdir()) == ["mine", "straight"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["resume"], "resume: name one run directory: python -m hybrid_trainer resume RUN_DIR [KEY=VALUE ...]"),
        (["resume", "a", "b"], "resume: name one run directory: "),
        (["resume", "a", "--force"], "resume: name one run directory: "),
        (["resume", "a", "model=linear"], "model: a resumed run keeps its own config and chooses no option: change"),
        (["resume", "a", "experiment=quick"], "experiment: a resumed run keeps its own config and chooses no option"),
        (["resume", "a", "run.id=b"], "run.id: a resumed run stays in its directory and keeps its name; leave it out"),
        (["resume", "nowhere"], "nowhere: not a run's directory: it has no run.json (No such file or directory)"),
        (["resume", "."], ".: not a run's directory: it has no run.json"),
        ([*QUIET, "training.resume=auto"], "training.resume=auto: needs run.id=NAME (or TORCHELASTIC_RUN_ID or SLURM"),
        ([*QUIET, "run.id=../up"], "run.id: '../up' must be letters, digits, '.', '_' and '-', and begin with a"),
        ([*QUIET, "run.id=2026-11-25"], "run.id: '2026-11-25': outputs/2026-11-25 is the folder of that day's runs"),
        (["--multirun", *QUIET, "run.id=a", "seed=0,1"], "run.id, training.resume: name one run; leave them out of"),
    ],
)
def test_what_cannot_be_resumed_is_told_in_one_line(
    here: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {said}") and error.count("\n") == 1
    assert not (here / "outputs").exists()


@pytest.fixture
def done(here: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """A run that has ended."""
    assert run([*QUIET, "training.epochs=1", "run.id=a"]) == 0
    capsys.readouterr()
    return here / "outputs" / "a"


def test_a_run_that_another_process_works_on_is_left_alone(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    handle = os.open(done, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    assert run(["resume", "outputs/a", "training.epochs=2"]) == 2
    os.close(handle)
    assert capsys.readouterr().err == "error: outputs/a: another process is at work on this run\n"
    assert record(done)["status"] == "complete"


def test_a_run_that_is_under_way_is_told_as_such(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = record(done)
    (done / "run.json").write_text(json.dumps(said | {"status": "running"}))  # its process is this one, which lives
    assert run(["resume", "outputs/a"]) == 2
    assert capsys.readouterr().err == f"error: outputs/a: this run is still under way (process {os.getpid()})\n"


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "complete"}'])
def test_a_damaged_record_is_named(done: Path, capsys: pytest.CaptureFixture[str], content: str) -> None:
    (done / "run.json").write_text(content)
    assert run(["resume", "outputs/a"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: outputs/a/run.json: ") and error.count("\n") == 1


def test_a_damaged_checkpoint_is_named_and_the_older_one_taken(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([*QUIET, "training.epochs=2", "run.id=a"]) == 0
    assert run([*QUIET, "training.epochs=3", "run.id=b"]) == 0
    newest = here / "outputs/a/checkpoints/last-0002-0000000.pt"
    newest.write_bytes(newest.read_bytes()[:-1])
    capsys.readouterr()
    assert run(["resume", "outputs/a", "training.epochs=3"]) == 0
    said = capsys.readouterr().out
    assert f"outputs/a/checkpoints/{newest.name}: the checkpoint is damaged" in said
    assert "goes on after 1 epoch(s)" in said
    assert leavings(here / "outputs/a") == leavings(here / "outputs/b")
    assert (newest.parent / f"{newest.name}.damaged").exists()


def test_where_no_checkpoint_is_sound_nothing_is_begun(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (only,) = done.glob("checkpoints/last-*.pt")
    only.write_bytes(b"")
    before = leavings(done)
    assert run(["resume", "outputs/a", "training.epochs=2"]) == 2
    assert capsys.readouterr().err == (
        "error: outputs/a/checkpoints: none of the 1 checkpoint(s) can be used; begin a new run\n"
    )
    assert leavings(done) == before
    assert record(done)["status"] == "complete"


def test_a_key_that_may_not_change_is_told_and_the_run_stays_as_it_was(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = all_of(done)
    assert run(["resume", "outputs/a", "model.lstm_units=16"]) == 2
    assert capsys.readouterr().err.startswith("error: model.lstm_units: a resumed run cannot change it")
    assert all_of(done) == before


def all_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("status", ["failed", "running"])
def test_what_a_resume_was_given_that_came_to_nothing_is_the_next_ones_too(
    done: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: str
) -> None:
    """Running: it was killed."""
    with monkeypatch.context() as patch:
        patch.setattr("hybrid_trainer.train._log_table", lambda config, table: (_ for _ in ()).throw(OSError(5, "no")))
        assert run(["resume", "outputs/a", "training.epochs=2"]) == 1
    said = record(done) | {"status": status}
    (done / "run.json").write_text(json.dumps(said | {"process": said["process"] | {"started": -1}}))
    capsys.readouterr()
    assert run(["resume", "outputs/a"]) == 0
    assert capsys.readouterr().out.startswith(
        "outputs/a: goes on with what an earlier resume was given: training.epochs=2\n"
    )
    assert record(done)["stop_reason"] == "2 of 2 epochs done"
    assert record(done)["overrides"][-2:] == ["run.id=a", "training.epochs=2"]
    assert run(["resume", "outputs/a"]) == 0
    assert capsys.readouterr().out.startswith("outputs/a: complete (2 of 2 epochs done); to train it longer: ")


def test_a_run_that_was_killed_before_its_config_was_a_file_begins(done: Path) -> None:
    said = record(done)
    (done / "run.json").write_text(json.dumps(said | {"status": "failed", "adopting": True}))
    (done / "config.yaml").unlink()
    assert run(["resume", "outputs/a", "training.epochs=2"]) == 0
    assert yaml.safe_load((done / "config.yaml").read_text()) == record(done)["config"]


def test_a_new_run_under_a_name_that_is_taken_is_told_of_both_ways(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(path.name for path in done.iterdir())
    assert run([*QUIET, "run.id=a"]) == 2
    assert capsys.readouterr().err == (
        "error: outputs/a: this directory belongs to another run; leave run.id (hydra.run.dir) out for a new one, or "
        "name a folder that isn't there yet; to go on with that run: python -m hybrid_trainer resume outputs/a\n"
    )
    assert sorted(path.name for path in done.iterdir()) == before


def test_the_help_of_resume_is_no_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["resume", "--help"]) == 0
    assert capsys.readouterr().out.startswith("usage: python -m hybrid_trainer resume RUN_DIR [KEY=VALUE ...]\n")


def test_an_entry_that_is_removed_from_a_mapping_is_told_in_one_line_and_the_run_stays_as_it_was(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (done / "run.json").read_bytes()
    assert run(["resume", "outputs/a", "training.epochs=2", "~model.embeddings.instrument"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(
        "error: outputs/a: the checkpoint's weights do not fit the model that config and table make"
    )
    assert ": trunk.linear.weight was 8 x 12 and would be 8 x 8; " in error and error.count("\n") == 1
    assert (done / "run.json").read_bytes() == before


def test_what_the_run_says_of_its_data_stays_where_another_split_is_refused(
    done: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("data_report.json", "split_report.json", "report/split.png")
    before = [(done / name).read_bytes() for name in names]
    assert run(["resume", "outputs/a", "training.epochs=2", "data.split.fractions=[0.5,0.25,0.25]"]) == 2
    assert "data.split.fractions: a resumed run cannot change it" in capsys.readouterr().err
    assert [(done / name).read_bytes() for name in names] == before


def test_the_metric_that_chose_the_best_weights_cannot_change(done: Path, capsys: pytest.CaptureFixture[str]) -> None:
    change = "callbacks.checkpoint.monitor=valid/signal/macro_f1"
    assert run(["resume", "outputs/a", "training.epochs=2", change]) == 2
    assert capsys.readouterr().err.startswith("error: callbacks.checkpoint.monitor: a resumed run cannot change it")


@pytest.mark.parametrize("name", ["seed=1,model=lstm", "two words", "it's [here]"])
def test_a_folder_may_have_any_name(done: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    done.rename(done.parent / name)
    assert run(["resume", f"outputs/{name}", "training.epochs=2"]) == 0
    assert "goes on after 1 epoch(s)" in capsys.readouterr().out
    assert record(done.parent / name)["status"] == "complete"


MADE_UP = "0b16e9d2-8f3c-4c5d-9a7e-001122334455"


@pytest.mark.parametrize(
    ("torchrun", "slurm", "name"),
    [
        ("mine", "17", "mine"),
        (MADE_UP, "17", "17"),
        (MADE_UP, None, MADE_UP),
        ("none", "17", "17"),
        ("none", None, None),
        (None, None, None),
    ],
)
def test_a_name_that_torchrun_makes_up_for_each_start_is_the_last_to_be_taken(
    monkeypatch: pytest.MonkeyPatch, torchrun: str | None, slurm: str | None, name: str | None
) -> None:
    for key, value in (("TORCHELASTIC_RUN_ID", torchrun), ("SLURM_JOB_ID", slurm)):
        if value is None:
            monkeypatch.delenv(key, raising=False)
        else:
            monkeypatch.setenv(key, value)
    assert _name_of_the_job() == name


def test_a_launchers_name_that_is_no_folders_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "../up")
    with pytest.raises(ConfigError, match=r"^run.id: '../up' must be letters"):
        _name_of_the_job()


@pytest.mark.parametrize(("cores", "told"), [(1, 1), (2, 0)])
def test_more_threads_than_cores_are_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], cores: int, told: int
) -> None:
    monkeypatch.setattr("hybrid_trainer.train.cores", lambda: cores)
    assert run([*QUIET, "training.epochs=1", "training.threads=2", "run.id=a"]) == 0
    said = capsys.readouterr().out
    assert said.count("training.threads=2: only 1 core(s) here, which will be slow\n") == told


def test_bf16_on_a_cpu_without_units_for_it_is_told(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("hybrid_trainer.engine.device._lstm_in", lambda dtype: False)
    assert run([*QUIET, "training.epochs=1", "training.precision=bf16", "run.id=a"]) == 0
    assert capsys.readouterr().out.count("this CPU has no units for it") == 1
    assert json.loads(Path("outputs/a/run.json").read_text())["precision"] == "fp32"


@pytest.mark.parametrize(("precision", "told"), [("fp16", 1), ("bf16", 0), ("fp32", 0)])
def test_fp16_on_a_cpu_is_told(here: Path, capsys: pytest.CaptureFixture[str], precision: str, told: int) -> None:
    assert run([*QUIET, "training.epochs=1", f"training.precision={precision}", "run.id=a"]) == 0
    assert capsys.readouterr().out.count("training.precision=fp16 on a CPU is many times slower than fp32") == told
