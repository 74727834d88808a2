"""From the config to what looks on while a model is trained, and the best epoch that one of them has kept."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from hybrid_trainer.callbacks.base import Callback, make_extra
from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.callbacks.early_stopping import EarlyStopping
from hybrid_trainer.callbacks.history import HistoryFile
from hybrid_trainer.callbacks.progress import ProgressReport
from hybrid_trainer.callbacks.resources import Resources
from hybrid_trainer.callbacks.tensorboard import TensorBoard
from hybrid_trainer.config import monitors
from hybrid_trainer.config.schema import Config
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.monitor import monitor_of, stopper_of
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.trainer import Trainer


def callbacks(
    config: Config,
    run_path: Path,
    log_dir: Path,
    fingerprint: dict[str, Any] | None = None,
    ranks: Ranks = ALONE,
) -> list[Callback]:
    """The callbacks in the order in which they are told; the checkpoint holds the state of those before it.

    Args:
        fingerprint: what the run computes with and on, for the checkpoints.
        ranks: the processes that train together; all but the first have those alone that decide something.
    """
    settings = config.callbacks
    stopping = settings.early_stopping
    stop = EarlyStopping(stopper_of(monitors.of_stopping(config)), stopping.patience)
    checkpoint = settings.checkpoint
    save = Checkpoint(
        CheckpointStore(run_path / "checkpoints", writes=ranks.first),
        monitor_of(monitors.of_checkpoint(config)),
        tasks={task: monitor_of(score) for task, score in monitors.of_tasks(config).items()}
        if checkpoint.per_task
        else None,
        every_steps=checkpoint.every_steps,
        every_minutes=checkpoint.every_minutes
        if ranks.alone
        else None,  # a state takes all of them: none has its own clock
        fingerprint=fingerprint,
    )
    extra = [make_extra(name, run_path, asdict(entry)) for name, entry in settings.extra.items()]
    deciding: list[Callback] = [stop, *extra, save] if stopping.enabled else [*extra, save]
    if not ranks.first:
        return deciding
    chosen: list[Callback] = [HistoryFile(run_path / "history.jsonl")]
    tensorboard = TensorBoard(log_dir) if settings.tensorboard.enabled else None
    if tensorboard is not None:
        chosen.append(tensorboard)
    chosen += deciding[:-1]
    if settings.resources.enabled:  # before the checkpoint: a run that is killed behind it has drawn the epoch's points
        chosen.append(Resources(run_path / "resources.jsonl", settings.resources.every_seconds, tensorboard))
    chosen.append(save)
    if settings.progress.enabled:
        chosen.append(ProgressReport())
    return chosen


def checkpoint_of(trainer: Trainer) -> Checkpoint:
    """The callback that keeps the best epochs."""
    (checkpoint,) = [callback for callback in trainer.callbacks if isinstance(callback, Checkpoint)]
    return checkpoint


def load_best(trainer: Trainer) -> int:
    """Give the trainer's model the weights of its best epoch; returns which that was."""
    checkpoint = checkpoint_of(trainer)
    best = checkpoint.monitor.best_epoch
    if best is None:
        raise TrainingError(
            "no epoch could be called the best: callbacks.checkpoint.monitor was never a number; "
            "the validation rows may hold no label of that task"
        )
    trainer.model.load_state_dict(checkpoint.store.load_best(best, trainer.device))
    return best
