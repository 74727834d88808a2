"""Short runs through the command line, in children of a warm server, and what two runs of one config must share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from types import ModuleType
from typing import Any

sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))  # see callbacks/tensorboard.py

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator  # noqa: E402

ROOT = Path(__file__).parents[2]

_SMALL = [
    "data=synthetic",
    "data.rows=300",
    "data.instruments=2",
    "model.time_window=8",
    "model.cnn_filters=[8]",
    "model.lstm_units=8",
    "model.trunk_units=8",
    "model.dropout=0.3",
    "model.heads=[signal,volatility]",
    "training.device=cpu",
    "training.batch_size=32",
    "callbacks.checkpoint.every_steps=2",
    "callbacks.resources.every_seconds=0.05",
]
CONFIGS = {
    "fp16": [
        *_SMALL,
        "training.epochs=6",
        "training.precision=fp16",
        "training.accumulate=2",
        "training.schedule.kind=cosine",
        "training.schedule.warmup_steps=3",
        "callbacks.early_stopping.monitor=valid/signal/macro_f1",
        "callbacks.early_stopping.patience=3",
    ],
    "plateau": [
        *_SMALL,
        "training.epochs=5",
        "training.learning_rate=0.02",
        "training.schedule.kind=plateau",
        "training.schedule.warmup_steps=7",
        "training.schedule.patience=0",
        "callbacks.checkpoint.every_steps=3",
        "callbacks.checkpoint.monitor=valid/signal/macro_f1",
    ],
    "onecycle": [
        *_SMALL,
        "training.epochs=4",
        "training.optimizer=sgd",
        "training.precision=bf16",
        "training.schedule.kind=onecycle",
    ],
}
"""Each exercises state of its own; a new kind of state belongs into one of them, or into a further one."""


@dataclass(frozen=True)
class Ended:
    """How a child has ended: `status` as Popen.returncode, all that it had said, and the seconds that it computed."""

    status: int
    said: str
    seconds: float

    @property
    def killed(self) -> bool:
        return self.status == -9


class Server:
    """The test's end of server.py."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.chaos.server"],
            cwd=ROOT,
            env=os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._answer()

    def run(
        self, folder: Path, arguments: list[str], *, signals: list[tuple[float, int]] | None = None, **plan: Any
    ) -> Ended:
        """Run a command line in a child; signals: (seconds computed, number); the plan is that of plans.py."""
        output = folder / "output.txt"
        output.write_text("")
        order = {"arguments": arguments, "signals": signals or [], "plan": plan, "output": str(output)}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        answer = self._answer()
        return Ended(answer["status"], output.read_text(), answer["seconds"])

    def close(self) -> None:
        self._process.communicate(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fork server has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class Straight:
    """A run that nothing disturbed; points: the moments of its checkpoint writes that a kill may come at."""

    config: str
    run: Path
    seconds: float
    points: int
    kept: dict[str, bytes]
    files: set[str]
    curves: dict[str, list[tuple[int, float]]]


def first(config: str, run: Path) -> list[str]:
    """The command line that begins a run."""
    return [*CONFIGS[config], f"paths.root={run.parent}", f"hydra.run.dir={run}"]


def go_on(server: Server, run: Path, **plan: Any) -> Ended:
    """Resume a run."""
    return server.run(run.parent, ["resume", str(run)], **plan)


def begun(run: Path) -> bool:
    """Whether a run came so far that it can be resumed."""
    return (run / "run.json").exists() and (run / "config.yaml").exists()


def record(run: Path) -> dict[str, Any]:
    said: dict[str, Any] = json.loads((run / "run.json").read_text())
    return said


def straight(server: Server, config: str, folder: Path) -> Straight:
    """Run a config undisturbed."""
    run = folder / "run"
    ended = server.run(folder, first(config, run), points=str(folder / "points"))
    assert ended.status == 0, ended.said
    points = int((folder / "points").read_text())
    return Straight(config, run, ended.seconds, points, kept(run), files(run), curves(run))


def kept(run: Path) -> dict[str, bytes]:
    """The files that must not differ by a bit, and what the record says of the result."""
    names = ["model/weights.safetensors", "history.jsonl", "report/metrics.json", "split_report.json"]
    result = {name: record(run)[name] for name in ("status", "stop_reason", "best_epoch", "epochs", "metrics")}
    return {name: (run / name).read_bytes() for name in names} | {"result": json.dumps(result).encode()}


def files(run: Path) -> set[str]:
    """All names below a run, hidden ones too; event files, of which each process makes one, aside.

    Two states are kept: the last one, and the one before, which may be where a signal came; that has no name here.
    """
    names = {path.relative_to(run).as_posix() for path in run.rglob("*")}
    for older in sorted(name for name in names if fnmatch(name, "checkpoints/last-*.pt"))[:-1]:
        names = {name.replace(older, "checkpoints/the one before") for name in names}
    return {name for name in names if not name.startswith("tensorboard/events.out")}


def curves(run: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: the points of each curve; of what a run costs, its epochs alone."""
    events = EventAccumulator(str(run / "tensorboard"), size_guidance={"scalars": 0})
    events.Reload()
    found = {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}
    return {
        tag: [(step, 0.0 if tag.startswith("resources/") else value) for step, value in points]
        for tag, points in found.items()
    }


def assert_same(run: Path, whole: Straight, *, besides: str = "") -> None:
    """The run has ended as the undisturbed one did, to the bit, and left nothing else behind."""
    assert record(run)["status"] == "complete"
    assert kept(run) == whole.kept
    left = {name for name in files(run) if not (besides and name.endswith(besides))}
    assert left == whole.files
    assert curves(run) == whole.curves


def tell(*lines: str) -> None:
    """Say what was done; pytest shows it where a test fails."""
    sys.stdout.write("\n".join(lines) + "\n")
