"""What is wrong with a table: every fault in one pass, with file, row and column."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_trainer.data.checks import Problems, check_keys, check_numbers, check_prices
from hybrid_trainer.errors import TableError

NAN, INF = np.nan, np.inf


def lines_from(first: int, count: int) -> np.ndarray:
    return np.arange(first, first + count, dtype=np.int64)


@pytest.fixture
def problems() -> Problems:
    return Problems("t.csv")


def test_without_a_fault_nothing_is_raised(problems: Problems) -> None:
    problems.add_where("x", np.array([False, False]), lines_from(2, 2), "is wrong")
    problems.raise_if_any()
    assert problems.lines == []


def test_all_faults_are_raised_together(problems: Problems) -> None:
    problems.add_where("x", np.array([False, True]), lines_from(2, 2), "is wrong")
    problems.add_where("y", np.array([True, False]), lines_from(2, 2), "{value} is odd", np.array([1.5, 2.0]))
    with pytest.raises(TableError) as caught:
        problems.raise_if_any()
    assert str(caught.value) == "t.csv:3: column 'x': is wrong\nt.csv:2: column 'y': 1.5 is odd"


def test_of_one_fault_three_places_are_shown_and_the_others_counted(problems: Problems) -> None:
    problems.add_where("x", np.ones(3, dtype=bool), lines_from(2, 3), "is wrong")
    assert len(problems.lines) == 3
    assert "more" not in problems.lines[-1]
    problems.add_where("y", np.ones(7, dtype=bool), lines_from(2, 7), "is wrong")
    assert len(problems.lines) == 6
    assert problems.lines[-1] == "t.csv:4: column 'y': is wrong (and 4 more such rows)"


def test_braces_in_a_value_are_shown_as_they_are(problems: Problems) -> None:
    problems.add_where("{x}", np.array([True]), lines_from(2, 1), "'{value}' is wrong", ["{0}"])
    assert problems.lines == ["t.csv:2: column '{x}': '{0}' is wrong"]


def test_infinity_is_wrong_everywhere_and_a_missing_value_where_it_may_not_be(problems: Problems) -> None:
    numbers = {"x": np.array([1, NAN, INF]), "y": np.array([NAN, -INF, 2])}
    check_numbers(numbers, lines_from(5, 3), problems, may_be_missing=("y",))
    assert problems.lines == [
        "t.csv:7: column 'x': inf is not a finite number",
        "t.csv:6: column 'x': a value is missing; fill it, or train with data.missing=gap "
        "so that no window crosses the row",
        "t.csv:6: column 'y': -inf is not a finite number",
    ]


def test_prices_are_positive_volumes_are_not_negative_and_a_high_is_not_below_its_low(problems: Problems) -> None:
    columns = {
        "O": np.array([1.0, 0.0, 1.0, 1.0]),
        "H": np.array([2.0, 2.0, 0.4, 2.0]),
        "L": np.array([0.5, 0.5, 0.5, 2.0]),
        "C": np.array([1.0, 1.0, 1.0, -2.5]),
        "V": np.array([0.0, 1.0, -1.0, 1.0]),
    }
    names = dict(zip(("open", "high", "low", "close", "volume"), columns, strict=True))
    check_prices(columns, names, lines_from(2, 4), problems)
    assert problems.lines == [
        "t.csv:3: column 'O': 0 is not positive; a price is above 0",
        "t.csv:5: column 'C': -2.5 is not positive; a price is above 0",
        "t.csv:4: column 'V': -1 is negative; a volume is 0 or more",
        "t.csv:4: column 'H': the high 0.4 is below the low",
    ]


def test_a_missing_price_is_neither_positive_nor_negative(problems: Problems) -> None:
    columns = {"high": np.array([NAN, 1.0]), "low": np.array([1.0, NAN])}
    check_prices(columns, {"high": "high", "low": "low"}, lines_from(2, 2), problems)
    assert problems.lines == []


def keys(times: list[int], instruments: list[int], line: np.ndarray, problems: Problems) -> list[str]:
    check_keys(np.array(times), np.array(instruments), ("A", "B"), line, problems)
    return problems.lines


def test_one_row_per_instrument_and_time_is_right(problems: Problems) -> None:
    assert keys([1, 2, 1, 2], [0, 0, 1, 1], lines_from(2, 4), problems) == []


def test_a_second_row_for_a_key_is_told_with_the_first(problems: Problems) -> None:
    found = keys([1, 2, 1, 1, 1], [0, 0, 1, 0, 0], lines_from(2, 5), problems)
    assert [line.partition(" already in ")[2] for line in found] == [
        "row 2; keep one row per instrument and time",
        "row 5; keep one row per instrument and time",
    ]
    assert all("instrument 'A' has this time" in line for line in found)
    assert [line.split(":")[1] for line in found] == ["5", "6"]


def test_a_row_whose_key_cannot_be_read_is_no_duplicate(problems: Problems) -> None:
    readable = np.array([True, False, False, True])
    check_keys(np.zeros(4), np.zeros(4, dtype=int), ("A",), lines_from(2, 4), problems, readable=readable)
    assert [line.split(":")[1] for line in problems.lines] == ["5"]


def test_a_table_without_instruments_is_told_of_its_time_alone(problems: Problems) -> None:
    check_keys(np.array([7, 7]), np.zeros(2, dtype=int), (), lines_from(2, 2), problems, column="Date")
    assert problems.lines == [
        "t.csv:3: column 'Date': this time stands already in row 2; keep one row per time",
    ]


def test_the_rows_with_a_fault_in_a_column_are_known(problems: Problems) -> None:
    problems.add_where("x", np.array([True, False, False]), lines_from(2, 3), "is wrong")
    problems.add_where("x", np.array([False, False, True]), lines_from(2, 3), "is odd")
    assert problems.rows_with_a_fault_in("x", 3).tolist() == [True, False, True]
    assert problems.rows_with_a_fault_in("y", 3).tolist() == [False, False, False]
