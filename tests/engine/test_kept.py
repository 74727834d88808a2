"""A part's outputs, kept until the end."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.engine.kept import KeptOutputs
from hybrid_trainer.metrics import OwnMetric, own_metrics, whole_metrics
from hybrid_trainer.ranks import ALONE, Ranks
from hybrid_trainer.types import TargetSpec
from tests.engine.helpers import RANGE, SIGNAL, SPECS, WINDOW, make_panel

PANEL = make_panel(60, unlabelled=0.3)
ROWS = torch.arange(20, 47)
MOMENTS = ROWS // 4


def loader(batch_size: int, share: tuple[int, int] = (0, 1)) -> WindowLoader:
    return WindowLoader(PANEL, ROWS, time_window=WINDOW, batch_size=batch_size, share=share, moments=MOMENTS)


def outputs() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {spec.name: torch.randn(60, spec.dim, generator=generator) for spec in SPECS}


def distance(predicted: Any, label: Any, spec: TargetSpec) -> float:
    return float(abs(predicted.cumsum(axis=0) - label).max())  # of the rows' order, too


OWN = [OwnMetric("distance", ("regression", "forecast"), distance, {})]


def kept(given: WindowLoader) -> KeptOutputs:
    found, raw = KeptOutputs(given, SPECS, OWN), outputs()
    for number, batch in enumerate(given):
        found.add(number, {task: values[batch.row] for task, values in raw.items()})
    return found


class Together(Ranks):
    """Adds up what the other processes have kept."""

    def __init__(self, others: list[KeptOutputs]) -> None:
        super().__init__(0, len(others) + 1)
        object.__setattr__(self, "others", others)

    def add_up(self, values: Any) -> None:
        for other in self.others:  # type: ignore[attr-defined]
            for value, more in zip(values, other._outputs.values(), strict=True):
                value += more


def expected() -> dict[str, float]:
    row = {}
    for spec in (SIGNAL, RANGE):
        mask, label = PANEL.mask[spec.name][ROWS], PANEL.targets[spec.name][ROWS]
        raw = outputs()[spec.name][ROWS]
        said = whole_metrics(spec, raw, label, mask, MOMENTS) | own_metrics(OWN, spec, raw, label, mask)
        row |= {f"valid/{spec.name}/{name}": value for name, value in said.items()}
    return row


@pytest.mark.parametrize("batch_size", [1, 7, 27, 100])
def test_the_metrics_are_those_of_all_rows(batch_size: int) -> None:
    assert kept(loader(batch_size)).compute("valid", ALONE) == expected()


@pytest.mark.parametrize(("batch_size", "processes"), [(7, 2), (13, 3), (26, 4)])
def test_several_processes_say_the_same_to_the_bit(batch_size: int, processes: int) -> None:
    """Of the last batch, some have no row at all: 26 + 1 rows."""
    each = [kept(loader(batch_size, (rank, processes))) for rank in range(processes)]
    assert each[0].compute("valid", Together(each[1:])) == expected()


def test_a_task_without_such_metrics_is_not_kept() -> None:
    forecast = replace(RANGE, kind="forecast")
    found = KeptOutputs(loader(9), [SIGNAL, forecast])
    assert found.specs == [SIGNAL]
    assert KeptOutputs(loader(9), [forecast], OWN).specs == [forecast]
