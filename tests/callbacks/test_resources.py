"""What a fit costs, written beside the history and never into it."""

from __future__ import annotations

import json
import resource
from pathlib import Path

import psutil
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from hybrid_trainer.callbacks import resources
from hybrid_trainer.callbacks.resources import Resources
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from tests.engine.helpers import make_loader, make_panel, make_trainer

PANEL = make_panel()
NAMES = {
    "seconds",
    "steps_per_second",
    "cpu_percent",
    "machine_cpu_percent",
    "rss_mib",
    "peak_rss_mib",
    "machine_memory_percent",
}


def rows(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_epoch_has_a_row_in_the_file_and_in_tensorboard_and_none_in_the_history(tmp_path: Path) -> None:
    board = TensorBoard(tmp_path / "board")
    trainer = make_trainer(epochs=2, callbacks=[board, Resources(tmp_path / "r.jsonl", 1e9, board)])
    history = trainer.fit(make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37))
    found = rows(tmp_path / "r.jsonl")
    assert [row["epoch"] for row in found] == [1, 2]
    assert all(set(row) == {"epoch", *NAMES} for row in found)
    assert not any("resources" in name or name in NAMES for row in history for name in row)
    events = EventAccumulator(str(tmp_path / "board"))
    events.Reload()
    for name in NAMES:
        drawn = {event.step: event.value for event in events.Scalars(f"resources/{name}")}
        assert drawn == {int(row["epoch"]): pytest.approx(row[name], rel=1e-6) for row in found}


def test_the_figures_are_those_of_this_process(tmp_path: Path) -> None:
    make_trainer(epochs=1, callbacks=[Resources(tmp_path / "r.jsonl", 1e9)]).fit(
        make_loader(PANEL, 10, 25), make_loader(PANEL, 30, 37)
    )
    (row,) = rows(tmp_path / "r.jsonl")
    assert row["rss_mib"] == pytest.approx(psutil.Process().memory_info().rss / 2**20, rel=0.2)
    assert row["rss_mib"] <= row["peak_rss_mib"] * 1.01
    assert row["peak_rss_mib"] == pytest.approx(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, rel=0.05)
    assert row["seconds"] > 0
    assert 0 < row["machine_memory_percent"] < 100


def test_a_long_epoch_has_rows_between_with_the_time_and_steps_since_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(0, 1000, 3))  # each look at the clock comes three seconds after the one before
    monkeypatch.setattr(resources.time, "perf_counter", lambda: float(next(clock)))
    trainer = make_trainer(epochs=1, callbacks=[Resources(tmp_path / "r.jsonl", 6.0)])
    trainer.fit(make_loader(PANEL, 10, 25, batch_size=4), make_loader(PANEL, 30, 37))  # four steps
    *between, last = rows(tmp_path / "r.jsonl")
    assert [(row["epoch"], row["step"]) for row in between] == [(0, 2), (0, 4)]
    assert [row["seconds"] for row in between] == [9.0, 9.0]  # two steps' looks, and the row's own
    assert [row["steps_per_second"] for row in between] == [pytest.approx(2 / 9, abs=1e-3)] * 2
    assert (last["epoch"], last["steps_per_second"]) == (1, 0.0)
    assert "step" not in last
