"""The history file."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from hybrid_trainer.callbacks.history import HistoryFile
from tests.engine.helpers import Recorder, Scripted, make_loader, make_panel, make_trainer

PANEL = make_panel()


def test_the_file_is_one_json_object_per_epoch_equal_to_the_history(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    trainer = make_trainer(epochs=3, callbacks=[HistoryFile(path)])
    history = trainer.fit(make_loader(PANEL, 10, 29), make_loader(PANEL, 30, 39))
    lines = path.read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) for line in lines] == history == trainer.history
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
    assert path.read_bytes().endswith(b"}\n")


def test_a_line_is_there_as_soon_as_its_epoch_has_ended(tmp_path: Path) -> None:
    path = tmp_path / "history.jsonl"
    counts: list[int] = []

    class Count(Recorder):
        def epoch_end(self, trainer: Any) -> None:
            counts.append(len(path.read_text().splitlines()))

    trainer = make_trainer(epochs=3, callbacks=[HistoryFile(path), Count()])
    trainer.fit(make_loader(PANEL, 10, 29), make_loader(PANEL, 30, 39))
    assert counts == [1, 2, 3]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_json_does_not_have_is_null(tmp_path: Path, value: float) -> None:
    path = tmp_path / "history.jsonl"
    callbacks = [Scripted("valid/range/r2", [value]), HistoryFile(path)]
    make_trainer(epochs=1, callbacks=callbacks).fit(make_loader(PANEL, 10, 29), make_loader(PANEL, 30, 39))

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    assert json.loads(path.read_text(), parse_constant=refuse)["valid/range/r2"] is None
