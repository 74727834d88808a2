"""Jobs of a sweep that never got a directory: what its ledger.jsonl says of them.

The ledger has a line per change of a job: {"job": 3, "status": "failed", "reason": ..., "overrides": [...]}; a later
line adds to the earlier ones. A line that is no JSON (torn, where a machine went down) says nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.named import Named
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.provenance import is_alive

LEDGER = "ledger.jsonl"


def jobs(folder: Path) -> Iterator[Run]:
    """Those jobs of a sweep's folder that have no run.json, in the order of their numbers.

    Raises:
        OSError: the ledger can't be read.
    """
    for number, state in sorted(_states(folder / LEDGER).items()):
        path = folder / Path(str(state.get("folder") or number)).name
        if (path / RECORD).exists():
            continue  # it is listed as a run
        status, reason = str(state.get("status", "queued")), str(state.get("reason") or "")
        if status == "running" and _gone(state.get("process")):
            status, reason = "killed", "the process is gone, before it had a directory"
        named = bool(state.get("folder"))  # then its name says what was asked
        asked = "" if named else " ".join(map(str, state.get("overrides") or []))
        said = f"{reason} ({asked})" if reason and asked else reason or asked
        yield Run(path=path, status=status, reason=said, config=Config.of({}), metrics=Named.of({}))


def _states(ledger: Path) -> dict[int, dict[str, Any]]:
    """What all lines together say of each job; a new status has a reason of its own, or none."""
    states: dict[int, dict[str, Any]] = {}
    for line in ledger.read_bytes().splitlines():
        try:
            change = json.loads(line)
        except ValueError:
            continue
        if isinstance(change, dict) and isinstance(change.get("job"), int):
            former = states.setdefault(change["job"], {})
            if "status" in change:
                former.pop("reason", None)
            former.update(change)
    return states


def _gone(mark: Any) -> bool:
    return isinstance(mark, dict) and is_alive(mark) is False
