"""Frozen copies of configs."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from hybrid_trainer.sweeps.freezing import BUILT_IN, CONFIG_FILE, freeze, thawed


def test_everything_that_composing_reads_is_copied_and_found_wherever_the_copy_lies(tmp_path: Path) -> None:
    own = tmp_path / "conf"
    (own / "experiment").mkdir(parents=True)
    (own / "experiment" / "mine.yaml").write_text("training: {epochs: 2}\n")
    (own / "notes.txt").write_text("not a config")
    (tmp_path / "keys.yaml").write_text("seed: 3\n")
    copies = tmp_path / "sweep" / "conf"
    frozen = freeze(copies, [f"file://{own}", "pkg://somebody.conf"], tmp_path / "keys.yaml")
    assert frozen == ["own/0", "pkg://somebody.conf"]
    (own / "experiment" / "mine.yaml").write_text("training: {epochs: 9}\n")
    assert (copies / "own/0/experiment/mine.yaml").read_text() == "training: {epochs: 2}\n"
    assert not (copies / "own/0/notes.txt").exists()
    assert (copies / CONFIG_FILE).read_text() == "seed: 3\n"
    built_in = Path(str(files("hybrid_trainer.conf")))
    names = {path.relative_to(built_in) for path in built_in.rglob("*.yaml")}
    assert names == {path.relative_to(copies / BUILT_IN) for path in (copies / BUILT_IN).rglob("*.yaml")}
    moved = copies.rename(tmp_path / "moved")
    assert thawed(moved, frozen) == [f"file://{moved.resolve()}/own/0", "pkg://somebody.conf"]
