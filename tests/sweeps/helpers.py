"""Sweeps of tiny runs, from the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from tests.conftest import price_frame
from tests.test_command_line import TINY

QUIET = (*TINY, "callbacks.tensorboard.enabled=false", "callbacks.resources.enabled=false", "training.device=cpu")
TROUBLE = ("plugins=[tests_trouble]",)


def prepare(folder: Path) -> Path:
    """A folder with a table and the plug-in that makes trouble."""
    price_frame(300).write_csv(folder / "prices.csv")
    shutil.copyfile(Path(__file__).with_name("trouble.py"), folder / "tests_trouble.py")
    return folder


def sweep_in(folder: Path) -> Path:
    """The only sweep below a folder, relative to it."""
    (found,) = (folder / "multirun").glob("*/*")
    return found.relative_to(folder)


def statuses(sweep: Path) -> dict[int, str]:
    """The last status of each job by the plain lines of the ledger."""
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    return {line["job"]: line["status"] for line in lines}


def began(sweep: Path) -> list[int]:
    """The number of each job as often as a process has begun with it."""
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    return [line["job"] for line in lines if line["status"] == "running" and "key" not in line]


def reasons(sweep: Path) -> dict[int, str]:
    """Why each job ended as it did."""
    lines = [json.loads(line) for line in (sweep / "ledger.jsonl").read_text().splitlines()]
    return {line["job"]: line["reason"] for line in lines if "reason" in line}


def record_of(run: Path) -> dict[str, Any]:
    """A run's record."""
    found: dict[str, Any] = json.loads((run / "run.json").read_text(encoding="utf-8"))
    return found
