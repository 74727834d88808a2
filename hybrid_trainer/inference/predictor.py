"""A model with its preprocessing: rows of a table in, predictions in the targets' own units out."""

from __future__ import annotations

import datetime
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hybrid_trainer.data.dataset import panel_tensors
from hybrid_trainer.data.features import select_features
from hybrid_trainer.data.gaps import cut_at_gaps
from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.data.scaling import Scaler
from hybrid_trainer.data.sources import read_table
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.vocabulary import INSTRUMENT, Vocabulary, encode_inputs
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.engine.collect import collect
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.errors import BundleError, TableError
from hybrid_trainer.inference.schema import BundleSchema
from hybrid_trainer.links import to_predictions
from hybrid_trainer.types import TargetSpec

log = logging.getLogger(__name__)
_BATCH = 512
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Predictor:
    """What a bundle holds, ready to use."""

    model: nn.Module
    scaler: Scaler
    context_scaler: Scaler | None
    schema: BundleSchema

    def predict_file(self, path: Path) -> pl.DataFrame:
        """Predict for every decidable row of a file; see `predict`. Where training dropped bad rows, so it is here."""
        schema = self.schema
        table = read_table(path, schema.layout, missing=schema.missing, on_error=schema.on_error)
        if table.report["dropped"]:
            log.warning("%s", "\n".join(table.notes))
        return self.predict(
            cut_at_gaps(table, schema.max_gap, independent=schema.independent_sequences, learned=schema.gaps)
        )

    def predict(self, table: Table) -> pl.DataFrame:
        """One prediction per row that ends a full window.

        Returns:
            Columns timestamp, instrument, and per task its output name: `signal_probs` and `regime_probs` hold a
            list of class probabilities, `volatility_pred` and `sl_tp_pred` a list of numbers in the target's units,
            `volatility_std` (with loss gaussian) their standard deviations in the same units.

        Raises:
            TableError: no row ends a full window.
        """
        schema = self.schema
        panel = build_panel(
            table,
            feature_set=schema.feature_set,
            features=schema.feature_columns,
            context=schema.layout.context,
            extra_features=schema.extra_features,
            expressions=schema.expressions,
        )
        if list(panel.feature_names) != schema.feature_names:
            lacking = sorted(set(schema.feature_names) - set(panel.feature_names))
            raise BundleError(f"{table.file}: the features {lacking} of the model cannot be computed from this table")
        self._warn_of_a_smaller_market(table)
        rows = panel.decidable_rows(schema.time_window)
        if not len(rows):
            raise TableError(
                f"{table.file}: no row can be predicted: a window needs {schema.time_window} rows behind "
                "each other with all features (the first rows of an instrument warm the features up)"
            )
        ids = encode_inputs(table, {name: Vocabulary(tuple(known)) for name, known in schema.vocabularies.items()})
        tensors = panel_tensors(self.scaler(panel.features), self._scaled(panel.context), ids, [])
        loader = WindowLoader(tensors, torch.from_numpy(rows), time_window=schema.time_window, batch_size=_BATCH)
        outputs = collect(self.model, loader, choose_precision("fp32", torch.device("cpu")))
        return prediction_frame(table, rows, outputs, schema.specs)

    def _warn_of_a_smaller_market(self, table: Table) -> None:
        """Say which instruments a mean over the market lacks here."""
        schema = self.schema
        selected = select_features(schema.feature_set, schema.extra_features, schema.expressions)
        lacking = sorted(set(schema.vocabularies[INSTRUMENT]) - set(table.instruments))
        if lacking and any(entry.market for entry in selected):
            log.warning(
                "%s: the model reads means over the market it was trained on, and %s missing here (%s%s)",
                table.file,
                "1 instrument is" if len(lacking) == 1 else f"{len(lacking)} instruments are",
                ", ".join(lacking[:_SHOWN]),
                ", ..." if len(lacking) > _SHOWN else "",
            )

    def predict_windows(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """Predict from windows of features (B, T, F) and context (B, C) in units; returns {output name: (B, D)}."""
        flat = self.scaler(x.flatten(0, 1).numpy())  # (B * T, F)
        dense = self._scaled(None if context is None else context.numpy())
        scaled = None if dense is None else torch.from_numpy(dense)
        self.model.eval()
        with torch.inference_mode():
            outputs = self.model(torch.from_numpy(flat).view(x.shape), scaled, ids)
        return to_predictions(outputs, self.schema.specs)

    def _scaled(self, context: NDArray[np.float32] | None) -> NDArray[np.float32] | None:
        return None if context is None or self.context_scaler is None else self.context_scaler(context)


def prediction_frame(
    table: Table, rows: NDArray[np.int64], outputs: dict[str, Tensor], specs: list[TargetSpec]
) -> pl.DataFrame:
    """Timestamp, instrument and the predictions of some decision rows."""
    instruments = pl.Series(table.instruments, dtype=pl.String).gather(pl.Series(table.instrument[rows]))
    frame = pl.DataFrame({"timestamp": times(table.timestamp[rows]), "instrument": instruments})
    predictions = to_predictions(outputs, specs)
    return frame.with_columns(lists(values.numpy()).alias(name) for name, values in predictions.items())


def lists(values: NDArray[np.floating[Any]]) -> pl.Series:
    """(R, D) numbers as a column of lists; no number becomes a Python object on the way."""
    return pl.Series(np.ascontiguousarray(values)).arr.to_list()


def times(timestamps: NDArray[np.int64]) -> pl.Series:
    """Timestamps as UTC times, or as they are where they are a plain integer clock."""
    plain = pl.Series(timestamps)
    year = 365 * 86_400 * 10**9
    if len(plain) and int(np.abs(timestamps).max()) < year:
        return plain
    return plain.cast(pl.Datetime("ns", "UTC"))


def flat_columns(frame: pl.DataFrame, specs: list[TargetSpec]) -> pl.DataFrame:
    """The same with one column per number, `signal_probs_up`, for formats without lists such as CSV."""
    if isinstance(frame["timestamp"].dtype, pl.Datetime):
        midnight = bool((frame["timestamp"].dt.time() == datetime.time(0)).all())
        written = pl.col("timestamp").dt.strftime("%Y-%m-%d" if midnight else "%Y-%m-%dT%H:%M:%S%.fZ")
        frame = frame.with_columns(written)
    for output, labels in [(name, spec.labels) for spec in specs for name in spec.output_names]:
        names = [f"{output}_{label}" for label in labels] if len(labels) > 1 else [output]
        values = [pl.col(output).list.get(index).alias(f"\0{name}") for index, name in enumerate(names)]
        frame = frame.with_columns(values).drop(output).rename({f"\0{name}": name for name in names})
    return frame
