"""One run, start to finish; read it as the list of its steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from hybrid_trainer import attempts, memory
from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.config import monitors
from hybrid_trainer.config.axes import cores
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.targets import ColumnTarget
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, UserError
from hybrid_trainer.inference.files import verify_named
from hybrid_trainer.meeting import Plan, training
from hybrid_trainer.plugins import digests
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.runs.atomic import write_json
from hybrid_trainer.runs.directory import RunDirectory, claimed
from hybrid_trainer.runs.logs import logging_to
from hybrid_trainer.runs.reopening import reopened
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.types import LOWER_IS_BETTER

if TYPE_CHECKING:
    from hybrid_trainer.build import Machine
    from hybrid_trainer.data.dataset import Dataset
    from hybrid_trainer.data.windows import WindowLoader
    from hybrid_trainer.trainer import Trainer

log = logging.getLogger(__name__)


def train(
    config: Config,
    directory: Path,
    overrides: list[str],
    notes: Sequence[str] = (),
    watchers: Sequence[Callback] = (),
    *,
    made_up: bool = False,
) -> RunDirectory:
    """Train, test and save one model in a directory of its own.

    Args:
        config: the whole run, checked. directory: where it goes; it must not be another run's.
        overrides: as they were given, for the record. notes: what the log is to say first.
        watchers: look on beside the config's callbacks, behind them; one may end the run as pruned.
        made_up: the directory has a name of no meaning; where another run has it, another one is taken.

    Raises:
        UserError: the table, the directory or the training went wrong; the record in the directory says how.
    """
    plain = asdict(config)
    text = OmegaConf.to_yaml(plain)
    if config.model.init_from is not None:
        verify_named("model.init_from", config.model.init_from)
    attempts.remember(directory)
    root = Path(config.paths.root)
    with claimed(directory, root=root, config=plain, config_yaml=text, overrides=overrides, made_up=made_up) as run:
        if run.path != directory:
            attempts.remember(run.path, claimed=True)
        _all_of_it(config, run, notes=notes, watchers=watchers)
        return run


def train_on(
    config: Config, directory: Path, overrides: list[str], added: list[str], watchers: Sequence[Callback] = ()
) -> RunDirectory:
    """Go on with a run that was interrupted, killed, has failed, or shall be trained for longer.

    Args:
        config: as the run goes on. directory: the run's. overrides: all that were ever given. added: this time's.
        watchers: see `train`.

    Raises:
        UserError: see `train`; and where no checkpoint of the run can be used, or not with this config.
    """
    with reopened(directory, added) as run:
        attempts.remember(directory, claimed=True)
        _all_of_it(config, run, overrides, watchers=watchers)
        return run


def _all_of_it(
    config: Config,
    run: RunDirectory,
    overrides: list[str] | None = None,
    notes: Sequence[str] = (),
    watchers: Sequence[Callback] = (),
) -> None:
    """Train, test and save. overrides: those of a run that goes on, None for a new one."""
    with logging_to(run.path / "train.log"), memory.told():
        log.info("run %s%s", run.path, "" if overrides is None else " is resumed")
        for note in notes:
            log.info("%s", note)
        try:
            table = load(config)  # torch isn't imported yet: a bad table is told at once
            run.note(data_sha256=table.sha256)
            _log_table(config, table)
            if overrides is None:
                write_json(run.path / "data_report.json", table.report)
            with training(Plan(asdict(config), run.path)) as ranks:
                _run(config, run, table, overrides, ranks, watchers)
        except BaseException as error:
            refused = isinstance(error, UserError) and error.exit_status == 2
            if not refused and any(run.checkpoints.glob("last-*.pt")):
                with suppress(OSError):  # where the log is what failed
                    log.info("its last checkpoint is intact; to go on: python -m hybrid_trainer resume %s", run.path)
            raise


def _run(
    config: Config,
    run: RunDirectory,
    table: Table,
    overrides: list[str] | None,
    ranks: Ranks,
    watchers: Sequence[Callback],
) -> None:
    seed_everything(config.seed, deterministic=config.training.deterministic, threads=config.training.threads)
    from hybrid_trainer import build, fingerprint, outcome, prepare
    from hybrid_trainer.engine.device import gpus

    on = build.machine(config)
    if config.plugins:
        run.note(plugins=digests(config.plugins))
    if config.training.metrics:  # `compare` knows no plug-in
        run.update(smaller_is_better=[name for name in config.training.metrics if name in LOWER_IS_BETTER])
    run.note(device=str(on.device), precision=on.precision.name, threads=config.training.threads, **gpus())
    _warn_of_the_machine(config, on)
    if not ranks.alone:
        log.info("%d processes train together, each with its share of every batch", ranks.size)
    data = prepare.dataset(config, table, on.device)
    if overrides is None:
        _report_data(config, run, table, data)
    _log_split(data)
    if said := monitors.told_of_auto(config):
        log.info("%s", said)
    spec = build.model_spec(config, data)
    marks = fingerprint.of(config, table, on, pooled=data.tensors.mapped)
    looking_on = [*build.callbacks(config, run.path, _log_dir(config, run), marks, ranks), *watchers]
    goes_on = overrides is not None and any(run.checkpoints.glob("last-*.pt"))  # with weights of its own
    origin = None if goes_on else build.origin_of(config)
    if origin is not None:
        run.note(init_from={"folder": str(origin.folder), "sha256": origin.sha256})
    trainer = build.trainer(config, spec, data, on, looking_on, ranks, origin)
    try:
        state = None if overrides is None else _restore(trainer, run, marks)
    except UserError as error:
        ranks.from_first(error.exit_status)
        raise
    ranks.from_first(state)
    if overrides is not None:
        run.adopt(asdict(config), OmegaConf.to_yaml(asdict(config)), overrides)
        _report_data(config, run, table, data)  # not before it is sure that the run goes on with it
    trainer.fit(*loaders(config, data, ranks))
    if trainer.pruned:
        _end_early(run, trainer)
        return

    outcome.finish(config, run, spec, data, trainer, on)


def _end_early(run: RunDirectory, trainer: Trainer) -> None:
    """End a run that its search has given up: its best epoch is its result; it is neither tested nor saved."""
    from hybrid_trainer import build

    best_epoch = build.checkpoint_of(trainer).monitor.best_epoch
    metrics = trainer.history[(best_epoch or trainer.epoch) - 1]
    log.info("%s", trainer.stop_reason)
    run.finish("pruned", trainer.stop_reason, best_epoch=best_epoch, epochs=trainer.epoch, metrics=metrics)


def _warn_of_the_machine(config: Config, on: Machine) -> None:
    """Say what will be slow here."""
    if config.training.threads > cores():
        log.warning("training.threads=%d: only %d core(s) here, which will be slow", config.training.threads, cores())
    if on.precision.name == "fp16" and on.device.type == "cpu":
        log.warning("training.precision=fp16 on a CPU is many times slower than fp32, and no more exact; fp32 or bf16")
    elif on.precision.asked:
        log.warning(
            "training.precision=%s: this CPU has no units for it (that takes AVX-512), and would be ten times slower; "
            "this run computes in %s",
            on.precision.asked,
            on.precision.name,
        )


def _report_data(config: Config, run: RunDirectory, table: Table, data: Dataset) -> None:
    from hybrid_trainer.evaluation import timeline

    write_json(run.path / "data_report.json", table.report)
    write_json(run.path / "split_report.json", data.split_report)
    independent = config.data.independent_sequences
    timeline.write_picture(run.report / "split.png", table, data.split, independent=independent)


def loaders(config: Config, data: Dataset, ranks: Ranks = ALONE) -> tuple[WindowLoader, WindowLoader]:
    """Batches for training and validation; of several processes, this one's share of each."""
    size, share = config.training.batch_size, (ranks.rank, ranks.size)
    return data.loader("train", size, shuffle_seed=config.seed, share=share), data.loader("valid", size, share=share)


def _restore(trainer: Trainer, run: RunDirectory, marks: dict[str, Any]) -> dict[str, Any] | None:
    """Take over the newest sound checkpoint, and say what is no longer as it was; returns it."""
    from hybrid_trainer import fingerprint
    from hybrid_trainer.engine.checkpoint_store import CheckpointStore
    from hybrid_trainer.fit_state import misfit

    state = CheckpointStore(run.checkpoints).load_last(trainer.device)
    if state is None:
        log.warning("there is no checkpoint yet: training begins anew")
        return None
    for change in fingerprint.changes(state["fingerprint"], marks):
        log.warning("since the checkpoint: %s", change)
    fingerprint.refuse_if_it_cannot_fit(state, marks)
    if unlike := misfit(trainer, state):
        raise ConfigError(
            f"{run.path}: the checkpoint's weights do not fit the model that config and table make now: {unlike}; "
            "bring back what the run began with, or begin a new run"
        )
    trainer.load_state_dict(state)
    within = f" and {trainer.step_in_epoch} step(s) of the next" if trainer.step_in_epoch else ""
    log.info("goes on after %d epoch(s)%s", trainer.epoch, within)
    return state


def load(config: Config) -> Table:
    """The table that a config names, checked; imports no torch.

    Raises:
        TableError: every fault found is in the text.
    """
    window = config.model.time_window
    ahead = min(0 if isinstance(target, ColumnTarget) else target.horizon for target in config.active_targets.values())
    # A set's features of volume are left out where there is none; none of them has the longest lookback.
    data = config.data
    selected = select_features(data.feature_set, data.extra_features, data.expressions, without_volume=True)
    warm_up = max((entry.lookback for entry in selected), default=1) - 1
    before = f", the {warm_up} rows before it that warm the features up," if warm_up else ""
    return load_table(
        config.data,
        config.active_targets,
        cache_dir=config.paths.cache_dir,
        rows_needed=warm_up + window + ahead,
        why=f"for one window (model.time_window={window}){before} and its label",
    )


def _log_table(config: Config, table: Table) -> None:
    log.info("table %s: %d rows, %d instrument(s)", table.file, len(table), len(table.instruments))
    for name, target in config.active_targets.items():
        if isinstance(target, ColumnTarget):
            log.info(
                "labels of '%s' are taken to reach %d bar(s) ahead (data.targets.%s.horizon)",
                target.column,
                target.horizon,
                name,
            )
    for note in table.notes:
        log.warning("%s", note)


def _log_split(data: Dataset) -> None:
    for part, said in data.split_report["parts"].items():
        given_up = f"{said['purged']} purged" + (f", {said['embargoed']} embargoed" if said["embargoed"] else "")
        log.info("%-5s %6d rows, %s to %s; %s", part, said["rows"], said["first"], said["last"], given_up)
    segments = data.split_report["segments"]
    if segments["too_short"]:
        log.warning(
            "%d of %d unbroken segments are too short for a window (%d rows lost)",
            segments["too_short"],
            segments["count"],
            segments["rows_lost"],
        )


def _log_dir(config: Config, run: RunDirectory) -> Path:
    root = config.paths.log_dir
    return run.path / "tensorboard" if root is None else Path(root) / str(run.record["name"])
