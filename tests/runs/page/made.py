"""Runs made up for pages: records alone, or folders with a history."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.keys import differing_keys
from hybrid_trainer.runs.comparison.named import Named
from hybrid_trainer.runs.comparison.rows import row_of
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.page import write_page


def run(path: str | Path, loss: float | None = None, **changes: Any) -> Run:
    """A complete run with one metric."""
    facts: dict[str, Any] = {
        "path": Path(path),
        "status": "complete",
        "reason": "",
        "config": {"seed": 0},
        "metrics": {} if loss is None else {"valid/loss": loss},
    }
    facts |= changes
    return Run(**facts | {"config": Config.of(facts["config"]), "metrics": Named.of(facts["metrics"])})


def page(file: Path, runs: Sequence[Run], metric: str = "valid/loss", objectives: Sequence[str] = ()) -> None:
    """Write a page with a row per run."""
    write_page(file, list(map(row_of, runs)), metric, objectives, keys=differing_keys(runs))


def write_history(folder: Path, rows: list[dict[str, Any]]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "history.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def many(folder: Path, count: int, epochs: int = 20) -> list[Run]:
    """Runs of a search over six keys, each with a history of 20 metrics; one in fifty failed, one in fifty damaged."""
    generator = np.random.default_rng(0)
    tasks = ("signal", "volatility", "regime")
    names = [f"{part}/{task}/{name}" for part in ("train", "valid") for task in tasks for name in ("loss", "r2", "mae")]
    runs = []
    for number in range(count):
        config = {
            "seed": number % 3,
            "model.lstm_units": int(generator.choice([16, 32, 64, 128, 256])),
            "model.name": str(generator.choice(["hybrid", "tcn", "lstnet"])),
            "model.dropout": round(float(generator.uniform(0, 0.5)), 4),
            "training.learning_rate": float(f"{10 ** generator.uniform(-5, -2):.4g}"),
            "training.batch_size": int(generator.choice([32, 64, 128])),
            "training.epochs": epochs,
            **{f"data.option_{key}": key for key in range(60)},
        }
        best = 1 + abs(np.log10(config["training.learning_rate"]) + 3.3) / 3 + 4 / config["model.lstm_units"]
        best += float(generator.normal(0, 0.03))
        path = folder / f"{number}-lstm_units={config['model.lstm_units']}_seed={config['seed']}"
        noise = generator.normal(0, 0.02, (epochs, len(names)))
        rows = []
        for epoch in range(epochs):
            loss = best + np.exp(-epoch / 4)
            row = {"epoch": epoch + 1, "train/loss": loss - 0.1, "valid/loss": loss}
            rows.append(row | {name: loss + noise[epoch, place] for place, name in enumerate(names)})
        if number % 50 == 7:
            runs.append(run(path, status="damaged", reason="run.json: not JSON", config={}))
        elif number % 50 == 9:
            write_history(path, rows[:3])
            runs.append(run(path, status="failed", reason="OutOfMemory: no room <b>left</b>", config=config))
        else:
            write_history(path, rows)
            tests = {f"test/{task}/r2": 1 / best + float(generator.normal(0, 0.02)) for task in tasks}
            runs.append(run(path, config=config, metrics=rows[-1] | tests))
    return runs
