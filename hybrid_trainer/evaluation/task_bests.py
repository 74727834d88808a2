"""The checkpoints that were the best for one task each, on the test rows: beside the overall best's results."""

from __future__ import annotations

from dataclasses import replace

from hybrid_trainer.callbacks.checkpoint import Checkpoint
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.engine.collect import collect
from hybrid_trainer.evaluation import judge
from hybrid_trainer.evaluation.judge import TaskBest, TaskResult
from hybrid_trainer.trainer import Trainer


def task_bests(trainer: Trainer, checkpoint: Checkpoint, data: Dataset, batch_size: int) -> dict[str, TaskBest]:
    """Each task's, where such checkpoints are kept; each epoch is looked at once. Changes the model's weights.

    A task whose metric never was a number has none.
    """
    specs = {spec.name: spec for spec in data.specs}
    epochs: dict[int, list[str]] = {}
    for task, monitor in checkpoint.tasks.items():
        if monitor.best_epoch is not None:
            epochs.setdefault(monitor.best_epoch, []).append(task)
    found = {}
    for epoch, tasks in epochs.items():
        trainer.model.load_state_dict(checkpoint.store.load_best(epoch, trainer.device, tasks[0]))
        outputs = collect(trainer.model, data.loader("test", batch_size), trainer.stepper.precision)
        for task in tasks:
            metrics = judge.metrics_of(data, specs[task], outputs[task], own=trainer.own_metrics)
            found[task] = TaskBest(epoch=epoch, by=checkpoint.tasks[task].metric, metrics=metrics)
    return found


def beside(results: list[TaskResult], bests: dict[str, TaskBest]) -> list[TaskResult]:
    """The overall best's results, each with its task's own best."""
    return [replace(result, task_best=bests.get(result.spec.name)) for result in results]


def line(result: TaskResult) -> str:
    """What the log says of a task's own best."""
    best = result.task_best
    assert best is not None
    metric = best.by.rpartition("/")[2]
    return (
        f"best for {result.spec.name}: epoch {best.epoch} (by {best.by}): test {metric} {best.metrics[metric]:.4f}, "
        f"of the overall best {result.metrics[metric]:.4f}"
    )
