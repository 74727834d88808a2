"""From a checked table to a `Dataset`, as the config says: what of it is learned is learned from training rows."""

from __future__ import annotations

import logging

import numpy as np
import torch
from numpy.typing import NDArray

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data import split_report
from hybrid_trainer.data.causality_targets import refuse_own_leaks
from hybrid_trainer.data.context import fit_context_scaler, shares
from hybrid_trainer.data.dataset import Dataset, panel_tensors
from hybrid_trainer.data.extremes import far_labels, refuse_too_large
from hybrid_trainer.data.labelling import build_targets, fit_targets, shuffle_labels, with_spread
from hybrid_trainer.data.panel import Panel, build_panel
from hybrid_trainer.data.placement import place
from hybrid_trainer.data.room import IN_MEMORY, Room, on_disk
from hybrid_trainer.data.scaling import Scaler, covered_rows, fit_scaler
from hybrid_trainer.data.segments import segments_report
from hybrid_trainer.data.splits import Split, clocks_of, make_split
from hybrid_trainer.data.store import cache_folder
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.data.vocabulary import INSTRUMENT, Vocabulary, encode_inputs, fit_vocabularies
from hybrid_trainer.data.windows import PanelTensors
from hybrid_trainer.errors import TableError

log = logging.getLogger(__name__)


def dataset(config: Config, table: Table, device: torch.device) -> Dataset:
    """Features, labels, split and scaling of a table; whatever is learned is learned from training rows.

    Raises:
        TableError: no window fits, the split leaves a part empty, or a target has no labels to learn from.
    """
    window = config.model.time_window
    room = room_for(config, table)
    panel = panel_of(config, table, room)
    if not on_disk(panel.features):
        room = IN_MEMORY  # then everything else fits as well
    targets = _labels(config, table)
    independent = config.data.independent_sequences
    clocks = clocks_of(table, max(target.spec.horizon for target in targets), independent=independent)
    rows, unlabelled = _decision_rows(config, table, panel, targets)
    split = make_split(config.data.split, table, rows, clocks)
    del rows  # a table may have millions
    train = split.rows["train"]
    if not config.data.shuffle_labels:  # else a label isn't its row's
        for line in far_labels(table, targets, train):
            log.warning("%s", line)
    targets = fit_targets(targets, train, window)
    _log_borders(targets)
    scaler = fit_scaler(config.data.scaler, config.data.clip, panel.features, covered_rows(train, window, len(panel)))
    vocabularies = fit_vocabularies(table, train)
    _warn_of_strangers(config, table, split, vocabularies)
    context_scaler = _context_scaler(config, panel, train, table.file)
    tensors = tensors_of(table, panel, scaler, context_scaler, vocabularies, targets, room)
    report = split_report.report(
        split,
        panel.timestamps,
        panel.instrument,
        panel.instruments,
        targets,
        unlabelled=unlabelled,
        segments=segments_report(panel.segments, table.blocks, window, len(table.breaks)),
        independent=independent,
    )
    return Dataset(
        table=table,
        panel=panel,
        targets=targets,
        split=split,
        split_report=report,
        scaler=scaler,
        context_scaler=context_scaler,
        vocabularies=vocabularies,
        tensors=place(tensors, device, config.training.data_device),
        time_window=window,
        device=device,
    )


def _labels(config: Config, table: Table) -> list[Target]:
    """The labels of every active target, before the split."""
    spread = [task for task, loss in config.training.losses.items() if loss.spread]
    targets = with_spread(build_targets(table, config.active_targets), spread)
    refuse_own_leaks(table, targets, config.active_targets)
    refuse_too_large(table, targets)
    if not config.data.shuffle_labels:
        return targets
    log.warning("data.shuffle_labels: every row has another row's label; nothing can be learned from this run")
    return shuffle_labels(targets, config.seed)


def _warn_of_strangers(config: Config, table: Table, split: Split, vocabularies: dict[str, Vocabulary]) -> None:
    """Say what of the split a user may not have meant."""
    for text, count in split.details.get("unused_values", {}).items():
        log.info("data.split.column: %d decision row(s) say '%s': they are looked back on only", count, text)
    known = set(vocabularies[INSTRUMENT].names)
    judged = {table.instruments[code] for code in np.unique(table.instrument[split.rows["valid"]])}
    if getattr(config.model, "embeddings", {}).get(INSTRUMENT) is not None and not known & judged:
        log.warning(
            "no instrument of the validation rows is among those of the training rows: the model can only learn the "
            "latter by heart; leave them out with model.embeddings.instrument=null"
        )


def room_for(config: Config, table: Table) -> Room:
    """Where the arrays of a run go: in memory where the table is, else in the cache folder where they are too large."""
    if not table.key:
        return IN_MEMORY
    return Room(cache_folder(config.paths.cache_dir), config.data.in_memory_mib * 2**20)


def _decision_rows(config: Config, table: Table, panel: Panel, targets: list[Target]) -> tuple[NDArray[np.int64], int]:
    """The rows that end a window and have a label for some head; and how many end one without any label."""
    decidable = panel.decidable_rows(config.model.time_window)
    _refuse_no_window(panel, decidable, config.model.time_window, table)
    labelled = np.zeros(len(panel), dtype=bool)
    for target in targets:
        labelled |= target.labelled
    some = labelled[decidable]
    rows = decidable if some.all() else decidable[some]
    if not len(rows):
        raise TableError(
            f"{table.file}: {len(decidable)} rows end a full window, but none has a label for any head "
            f"({', '.join(config.heads)})"
        )
    return rows, len(decidable) - len(rows)


def _log_borders(targets: list[Target]) -> None:
    for target in targets:
        if target.spec.borders:
            borders = ", ".join(f"{border:.4g}" for border in target.spec.borders)
            log.info("class borders of %s, from training rows: %s", target.spec.name, borders)


def panel_of(config: Config, table: Table, room: Room = IN_MEMORY) -> Panel:
    """The features and context columns that the config asks for."""
    return build_panel(
        table,
        feature_set=config.data.feature_set,
        features=config.data.features,
        context=table.layout.context,
        extra_features=config.data.extra_features,
        expressions=config.data.expressions,
        room=room,
    )


def tensors_of(
    table: Table,
    panel: Panel,
    scaler: Scaler,
    context_scaler: Scaler | None,
    vocabularies: dict[str, Vocabulary],
    targets: list[Target],
    room: Room = IN_MEMORY,
) -> PanelTensors:
    """What batches are gathered from, with everything that was fitted given."""
    context = None if panel.context is None or context_scaler is None else context_scaler(panel.context, room)
    ids = encode_inputs(table, vocabularies, room)
    return panel_tensors(scaler(panel.features, room), context, ids, targets, room)


def _context_scaler(config: Config, panel: Panel, train: NDArray[np.int64], file: str) -> Scaler | None:
    """The scaler of the context columns, fitted on the training rows; None where there are no blocks."""
    if panel.context is None:
        return None
    scaler = fit_context_scaler(panel.context, panel.context_blocks, train, config.data.clip, file)
    for name, share in shares(panel.context, panel.context_blocks, train).items():
        log.info(
            "context '%s': %d column(s), in %.1f%% of the training rows",
            name,
            len(panel.context_blocks[name]),
            100 * share,
        )
    return scaler


def _refuse_no_window(
    panel: Panel, decidable: np.ndarray[tuple[int], np.dtype[np.int64]], window: int, table: Table
) -> None:
    if len(decidable):
        return
    longest = int((panel.segments[:, 1] - panel.segments[:, 0]).max()) if len(panel.segments) else 0
    cuts = f" ({len(table.breaks)} gaps in time cut them: see data.max_gap)" if len(table.breaks) else ""
    raise TableError(
        f"{table.file}: the longest unbroken stretch with all features has {longest} rows{cuts}, but a window needs "
        f"model.time_window={window}; bring more rows or lower model.time_window"
    )
