"""Labels that are absurdly far from all others are told with their row."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_trainer.config.targets import ColumnTarget, FutureTarget, TargetConfig, VolatilityTarget
from hybrid_trainer.data import extremes
from hybrid_trainer.data.extremes import far_labels, refuse_too_large
from hybrid_trainer.data.labelling import build_targets
from hybrid_trainer.data.table import Table
from hybrid_trainer.data.targets import Target
from hybrid_trainer.errors import TableError
from tests.data.tables import price_table, random_prices

OWN = ColumnTarget(column="x", kind="regression", horizon=1)
ALL = np.arange(120)


def labelled(values: np.ndarray, config: TargetConfig = OWN) -> tuple[Table, list[Target]]:
    table = price_table({"A": random_prices(120, 0)}, numbers={"x": values})
    return table, build_targets(table, {"mine": config})


def numbers(**extreme: float) -> np.ndarray:
    """0 to 119, but some: the median is 59.5, the median distance from it 30."""
    values = np.arange(120.0)
    for row, value in extreme.items():
        values[int(row[1:])] = value
    return values


def test_a_label_of_1e30_is_told_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extremes, "PIECE", 7)
    table, targets = labelled(numbers(_30=-1e20, _50=1e30, _60=np.nan))
    (line,) = far_labels(table, targets, ALL)
    assert line.startswith(f"{table.place(50)}: the label of 'mine' is 1e+30, 2e+28 times as far from the median (61)")
    assert "and 2 training label(s) are more than a million times" in line


def test_the_limit_is_a_million_usual_distances() -> None:
    usual = 1.4826 * 30
    for far, lines in ((0.99e6, 0), (1.01e6, 1)):
        assert len(list(far_labels(*labelled(numbers(_119=59.5 + far * usual)), ALL))) == lines


def test_rows_that_are_not_trained_on_are_not_looked_at() -> None:
    table, targets = labelled(numbers(_110=1e30))
    assert list(far_labels(table, targets, np.arange(110))) == []
    assert len(list(far_labels(table, targets, np.arange(111)))) == 1


@pytest.mark.parametrize("values", [np.full(120, 5.0), np.where(np.arange(120) < 100, 0.0, 1.0), numbers()])
def test_equal_and_ordinary_numbers_are_left_alone(values: np.ndarray) -> None:
    assert list(far_labels(*labelled(values), ALL)) == []


def test_one_number_among_equal_ones_is_told() -> None:
    values = np.where(np.arange(120) < 100, 0.0, 1.0)
    values[3] = 1e9
    (line,) = far_labels(*labelled(values), ALL)
    assert "is 1e+09" in line


def test_a_forecasts_rows_are_those_that_it_reads() -> None:
    config = FutureTarget(columns=["x"], steps=2)
    table, targets = labelled(numbers(_50=1e30), config)
    for rows, lines in (([47], 0), ([48], 1), ([49], 1), ([50], 0)):
        train = np.array([*range(10, 40), *rows])
        assert len(list(far_labels(table, targets, train))) == lines


def test_labels_made_of_prices_are_left_alone() -> None:
    assert list(far_labels(*labelled(numbers(), VolatilityTarget(horizon=3)), ALL)) == []


def test_a_label_that_float32_cannot_hold_is_refused_with_its_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extremes, "PIECE", 7)
    table, targets = labelled(numbers(_50=-1e39))
    with pytest.raises(TableError) as caught:
        refuse_too_large(table, targets)
    assert str(caught.value) == (
        f"{table.place(50)}: the label of 'mine' is -1e+39, too large for a label (float32 ends at 3.4e38); scale the "
        "column, or leave the cell empty"
    )
    refuse_too_large(*labelled(numbers(_50=3.4e38, _51=np.nan)))
