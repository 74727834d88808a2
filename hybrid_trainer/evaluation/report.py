"""What a run leaves for people: the table on the terminal, the files in report/, the model card."""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.table import Table as RichTable
from torch import Tensor

from hybrid_trainer.data.context import shares
from hybrid_trainer.data.dataset import Dataset
from hybrid_trainer.data.vocabulary import INSTRUMENT, UNKNOWN
from hybrid_trainer.evaluation.judge import TaskResult
from hybrid_trainer.inference.predictor import lists, prediction_frame
from hybrid_trainer.runs.atomic import replacing
from hybrid_trainer.types import JUDGED_BY, LOWER_IS_BETTER, METRICS

_SHOWN = 50  # categories of one input


def results_table(results: list[TaskResult]) -> str:
    """Each task's main test metrics beside the strongest baseline of each, as plain text."""
    table = RichTable(title="Test split, best checkpoint", title_justify="left")
    for name, side in (
        ("task", "left"),
        ("metric", "left"),
        ("model", "right"),
        ("baseline", "right"),
        ("which", "left"),
        ("", "left"),
    ):
        table.add_column(name, justify=side)  # type: ignore[arg-type]
    known = any(result.oracle for result in results)
    if known:
        table.add_column("oracle", justify="right")
    for result in results:
        shown = _main_metrics(result)
        for index, metric in enumerate(shown):
            table.add_row(
                result.spec.name if not index else "",
                f"{metric} {_arrow(metric)}".rstrip(),
                f"{result.metrics[metric]:.4f}",
                f"{result.baseline(metric):.4f}",
                result.strongest[metric],
                result.verdict(metric),
                *([f"{result.oracle[metric]:.4f}" if result.oracle else ""] if known else []),
                end_section=index == len(shown) - 1,
            )
    console = Console(file=io.StringIO(), width=100, color_system=None)
    console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return "\n".join(line.rstrip() for line in text.splitlines())


def _main_metrics(result: TaskResult) -> list[str]:
    """What the terminal shows: no recall per class, no calibration, and nothing that is no number on both sides."""
    return [
        metric
        for metric, value in result.metrics.items()
        if not metric.startswith("recall_")
        and metric != "ece"
        and (metric in METRICS[result.spec.kind] or not (math.isnan(value) and math.isnan(result.baseline(metric))))
    ]


def _arrow(metric: str) -> str:
    if metric in JUDGED_BY:
        return ""
    return "↓" if metric in LOWER_IS_BETTER else "↑"


def write_predictions(path: Path, data: Dataset, outputs: dict[str, Tensor], part: str = "test") -> None:
    """Keep a part's rows: timestamp, instrument, each task's prediction and `<task>_label` (null where masked)."""
    rows = data.split.rows[part]
    frame = prediction_frame(data.table, rows, outputs, data.specs)
    for target in data.targets:
        known = pl.lit(pl.Series(target.labelled[rows]))
        if target.spec.kind == "classification":
            classes = pl.Series(np.maximum(target.at(rows), 0))
            labels = pl.Series(target.spec.labels, dtype=pl.String).gather(classes)
        else:
            labels = lists(target.at(rows).astype(np.float64))
        frame = frame.with_columns(pl.when(known).then(labels).alias(f"{target.spec.name}_label"))
    with replacing(path) as temporary:
        frame.write_parquet(temporary)


def _names(labels: tuple[str, ...], most: int = 12) -> str:
    """The labels' names; of very many the first and the last."""
    if len(labels) <= most:
        return ", ".join(labels)
    return f"{', '.join(labels[: most // 2])}, ... {labels[-1]} ({len(labels)} numbers)"


def model_card(name: str, data: Dataset, results: list[TaskResult], facts: dict[str, Any]) -> str:
    """What a stranger should know before using the model, in Markdown."""
    parts = data.split_report["parts"]
    lines = [
        f"# {name}",
        "",
        "Trained with hybrid_trainer. Not investment advice: figures describe the past rows below.",
        "",
        "## Data",
        "",
        f"- table: `{Path(data.table.file).name}` (SHA-256 `{data.table.sha256}`)",
        *_inputs(data),
        f"- window: {data.time_window} rows; features: {', '.join(data.panel.feature_names)}",
    ]
    lines += [
        f"- {part}: {said['rows']} rows, {said['first']} to {said['last']}; {said['purged']} purged at its borders"
        for part, said in parts.items()
    ]
    lines += ["", "## Outputs", ""]
    lines += [
        f"- `{spec.output_name}`: {_names(spec.labels)}; about the {spec.horizon} bars after the row"
        + (f"; `{spec.spread_name}`: their standard deviations" if spec.spread else "")
        + (f"; class borders from training rows: {', '.join(f'{b:.4g}' for b in spec.borders)}" if spec.borders else "")
        for spec in data.specs
    ]
    lines += [
        "",
        "## Test split, best checkpoint, looked at once",
        "",
        "| task | metric | model | baseline | which |",
        "|---|---|---|---|---|",
    ]
    for result in results:
        lines += [
            f"| {result.spec.name} | {metric} | {value:.4f} | {result.baseline(metric):.4f} "
            f"| {result.strongest[metric]} |"
            for metric, value in result.metrics.items()
        ]
    lines += ["", "## Made with", ""]
    lines += [f"- {key}: {value}" for key, value in facts.items()]
    return "\n".join(lines) + "\n"


def _inputs(data: Dataset) -> list[str]:
    """What stands beside the window: the known categories, and the context blocks."""
    lines = []
    for name, vocabulary in data.vocabularies.items():
        known = list(vocabulary.names[:_SHOWN])
        more = f" and {len(vocabulary.names) - _SHOWN} more" if len(vocabulary.names) > _SHOWN else ""
        what = "instruments" if name == INSTRUMENT else f"categories of `{name}`"
        lines.append(f"- {what} seen in training: {', '.join(known)}{more}; any other is `{UNKNOWN}`")
    panel = data.panel
    if panel.context is not None:
        for name, share in shares(panel.context, panel.context_blocks, data.split.rows["train"]).items():
            count = len(panel.context_blocks[name])
            lines.append(f"- context `{name}`: {count} column(s), in {share:.1%} of the training rows")
    return lines
