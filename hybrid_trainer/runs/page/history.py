"""A run's epoch rows, as its history.jsonl has them."""

from __future__ import annotations

import json
from pathlib import Path

HISTORY = "history.jsonl"


def read_history(run: Path) -> list[dict[str, float | None]]:
    """The epoch rows of a run directory; up to the first line that is no row, such as one that is being written."""
    try:
        lines = (run / HISTORY).read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    rows: list[dict[str, float | None]] = []
    for line in lines:
        row = _row(line)
        if row is None:
            break
        rows.append(row)
    return rows


def _row(line: str) -> dict[str, float | None] | None:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(row, dict) or not isinstance(row.get("epoch"), int):
        return None
    return {name: value for name, value in row.items() if value is None or isinstance(value, int | float)}
