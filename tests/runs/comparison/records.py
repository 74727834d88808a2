"""Run records for the tests of the comparison."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.named import Named
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.provenance import process_mark


def write_run(path: str, **changes: Any) -> Path:
    record = {
        "status": "complete",
        "stop_reason": "all 3 epochs done",
        "process": process_mark(),
        "config": {"seed": 0, "model": {"lstm_units": 64}, "paths": {"root": "."}},
        "metrics": {"valid/loss": 1.0},
    } | changes
    file = Path(path) / RECORD
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps(record), encoding="utf-8")
    return file


def run(path: str = "a", status: str = "complete", metrics: dict[str, float] | None = None, **config: Any) -> Run:
    """A run; config keys with `__` for a dot."""
    flat = {key.replace("__", "."): value for key, value in config.items()}
    return Run(path=Path(path), status=status, reason="", config=Config.of(flat), metrics=Named.of(metrics or {}))
