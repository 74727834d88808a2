"""Jobs of a sweep that never got a directory: what its ledger.jsonl says of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hybrid_trainer.runs.comparison.configs import Config
from hybrid_trainer.runs.comparison.named import Named
from hybrid_trainer.runs.comparison.run import Run
from hybrid_trainer.runs.directory import RECORD
from hybrid_trainer.runs.ledger import Ledger

_GONE = "the process is gone, before it had a directory"


def jobs(folder: Path) -> Iterator[Run]:
    """Those jobs of a sweep's folder that have no run.json, in the order of their numbers.

    Raises:
        OSError: the ledger can't be read.
    """
    for number, job in sorted(Ledger(folder).refresh().items()):
        path = folder / Path(job.folder or str(number)).name
        if (path / RECORD).exists():
            continue  # it is listed as a run
        status = job.standing
        reason = _GONE if status == "killed" else job.reason
        asked = "" if job.folder else " ".join(job.overrides)  # a folder's name says it too
        said = f"{reason} ({asked})" if reason and asked else reason or asked
        yield Run(path=path, status=status, reason=said, config=Config.of({}), metrics=Named.of({}))
