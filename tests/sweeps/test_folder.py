"""A sweep's folder: claimed once, found again wherever it lies, and carried out by one process at a time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_trainer.errors import ConfigError, RunDirError
from hybrid_trainer.sweeps.command import _go_on, _launch_otherwise
from hybrid_trainer.sweeps.folder import Sweep, created, opened


def made(root: Path, name: str, *, made_up: bool = False) -> Sweep:
    sweep = created(root / name, root, made_up=made_up, overrides=["seed=0,1", "hydra.launcher.n_jobs=2"], plugins=[])
    sweep.update(searchpath=["own/0", "pkg://theirs.conf"], profile=None)
    return sweep


def test_a_folder_is_one_sweeps_and_a_made_up_name_gives_way(tmp_path: Path) -> None:
    first = made(tmp_path, "multirun/10-00-00-a1b2c3")
    with pytest.raises(RunDirError, match=r"belongs to another sweep.* sweep resume "):
        made(tmp_path, "multirun/10-00-00-a1b2c3")
    second = made(tmp_path, "multirun/10-00-00-a1b2c3", made_up=True)
    assert second.path.parent == first.path.parent and second.path != first.path
    assert second.path.name.startswith("10-00-00-")
    with pytest.raises(RunDirError, match=r"not inside paths\.root"):
        created(tmp_path / "a", tmp_path / "b", made_up=True)
    assert not (tmp_path / "a").exists()


def test_a_sweep_that_was_moved_composes_from_where_it_lies(tmp_path: Path) -> None:
    sweep = made(tmp_path, "multirun/one")
    moved = opened(sweep.path.rename(tmp_path / "it's here"))
    here = str(moved.path).replace("'", "\\'")
    assert moved.overrides == [
        "seed=0,1",
        "hydra.launcher.n_jobs=2",
        f"hydra.searchpath=['file://{here}/conf/own/0','pkg://theirs.conf']",
        f"hydra.sweep.dir='{here}'",
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "not a sweep's folder"), ("", "damaged"), ('{"version": 9}', "its version is 9, not 1")],
)
def test_what_is_no_sweep_is_told(tmp_path: Path, content: str | None, said: str) -> None:
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(RunDirError, match=said):
        opened(tmp_path)


def test_one_process_at_a_time_and_from_where_it_was_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sweep = made(tmp_path, "multirun/one")
    with sweep.locked():
        with pytest.raises(RunDirError, match="another process is at work on this sweep"), opened(sweep.path).locked():
            pass
        with pytest.raises(RunDirError, match="another process is at work on this sweep"):
            _go_on(opened(sweep.path), retry=False)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(RunDirError, match=f"begun in {tmp_path}; go on from there"):
        _go_on(opened(sweep.path), retry=False)


def test_only_the_launcher_can_be_another_when_a_sweep_goes_on(tmp_path: Path) -> None:
    sweep = made(tmp_path, "multirun/one")
    with pytest.raises(ConfigError, match=r"^sweep: training\.epochs=3: a sweep keeps its configs"):
        _launch_otherwise(sweep, ["training.epochs=3"])
    _launch_otherwise(sweep, ["hydra.launcher.n_jobs=1", "hydra.launcher.retries=2"])
    assert sweep.content["overrides"] == ["seed=0,1", "hydra.launcher.n_jobs=1", "hydra.launcher.retries=2"]
    assert json.loads((sweep.path / "sweep.json").read_text())["overrides"] == ["seed=0,1", "hydra.launcher.n_jobs=2"]
