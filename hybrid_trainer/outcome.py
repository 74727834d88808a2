"""What comes of a run that has trained: its best epoch is tested once, saved and told."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from hybrid_trainer import build
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.engine.collect import collect
from hybrid_trainer.evaluation import judge, report, task_bests
from hybrid_trainer.evaluation.judge import TaskResult
from hybrid_trainer.inference.bundle import publish_bundle, save_bundle
from hybrid_trainer.inference.predictor import Predictor
from hybrid_trainer.inference.schema import ModelSpec
from hybrid_trainer.runs.atomic import write_json
from hybrid_trainer.runs.directory import RunDirectory
from hybrid_trainer.trainer import Trainer

log = logging.getLogger("hybrid_trainer.train")


def finish(
    config: Config, run: RunDirectory, spec: ModelSpec, data: Dataset, trainer: Trainer, on: build.Machine
) -> None:
    """Test the best checkpoint beside the baselines, save it, and end the record as complete."""
    bests = task_bests.task_bests(trainer, build.checkpoint_of(trainer), data, config.training.batch_size)
    best_epoch = build.load_best(trainer)
    results = task_bests.beside(_tested(config, run, data, trainer, on), bests)
    write_json(run.report / "metrics.json", judge.as_json(results))

    begun = {"init_from": run.record["init_from"]} if "init_from" in run.record else {}
    predictor = build.predictor(config, spec, data, trainer, run.provenance | begun)
    bundle = _save(config, run, data, predictor, results)
    metrics = trainer.history[best_epoch - 1] | judge.headline(results)
    reason = trainer.stop_reason or f"{trainer.epoch} of {config.training.epochs} epochs done"
    _summarise(config, run, trainer, results, best_epoch, bundle)
    run.finish(
        "complete",
        reason,
        best_epoch=best_epoch,
        epochs=trainer.epoch,
        metrics=metrics,
        bundle=str(bundle),
    )


def _tested(config: Config, run: RunDirectory, data: Dataset, trainer: Trainer, on: build.Machine) -> list[TaskResult]:
    """What the model says of the test rows, written down and judged."""
    outputs = collect(trainer.model, data.loader("test", config.training.batch_size), on.precision)
    report.write_predictions(run.report / "predictions.parquet", data, outputs)
    oracles = build.oracles(config, data)
    return judge.evaluate(data, outputs, config.active_targets, oracles=oracles, own=trainer.own_metrics)


def _save(config: Config, run: RunDirectory, data: Dataset, predictor: Predictor, results: list[TaskResult]) -> Path:
    card = report.model_card(run.record["name"], data, results, predictor.schema.origin)
    save_bundle(run.bundle, predictor, build.golden_windows(data), card)
    published = config.paths.model_save_path
    if published is None:
        return run.bundle
    target = Path(published) / str(run.record["name"])
    publish_bundle(run.bundle, target)
    return target


def _summarise(
    config: Config, run: RunDirectory, trainer: Trainer, results: list[TaskResult], best_epoch: int, bundle: Path
) -> None:
    log.info("%s", trainer.stop_reason or "all epochs done")
    log.info("\n%s\n", report.results_table(results))
    for result in results:
        if result.task_best is not None:
            log.info("%s", task_bests.line(result))
    facts: dict[str, Any] = {
        "best epoch": f"{best_epoch} of {trainer.epoch} (by {build.checkpoint_of(trainer).monitor.metric})",
        "config": f"{run.path / 'config.yaml'} ({' '.join(run.record['overrides']) or 'defaults'})",
        "model": bundle,
        "metrics": run.report / "metrics.json",
        "log": run.path / "train.log",
    }
    for name, value in facts.items():
        log.info("%-10s %s", name, value)
