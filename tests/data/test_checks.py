"""What is wrong with a table: every fault in one pass, with file, row and column."""

from __future__ import annotations

import numpy as np
import pytest

from hybrid_trainer.data.checks import MISSING, Problems, Spreads, check_numbers, check_prices, ends_of
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


def test_what_was_found_elsewhere_stands_behind_what_was_found_here(problems: Problems) -> None:
    line, two = lines_from(2, 4), np.array([True, True, False, False])
    other = Problems("t.csv")
    problems.add_where("x", two, line, "is wrong")
    other.add_where("y", ~two, line, "is odd", mendable=False)
    other.add_where("x", ~two, line, "is wrong")
    other.add("t.csv: something else")
    problems.take_over(other)
    assert problems.lines == [
        "t.csv: something else",
        "t.csv:2: column 'x': is wrong",
        "t.csv:3: column 'x': is wrong",
        "t.csv:4: column 'x': is wrong (and 1 more such rows)",
        "t.csv:4: column 'y': is odd",
        "t.csv:5: column 'y': is odd",
    ]
    assert problems.rows_with_a_fault_in("x", 4).all()
    assert problems.rows_with_a_fault_in("y", 4).tolist() == (~two).tolist()
    assert problems.whole_file


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
    check_numbers(numbers, ends_of(numbers), lines_from(5, 3), problems, may_be_missing=("y",))
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
    check_prices(columns, ends_of(columns), names, lines_from(2, 4), problems)
    assert problems.lines == [
        "t.csv:3: column 'O': 0 is not positive; a price is above 0",
        "t.csv:5: column 'C': -2.5 is not positive; a price is above 0",
        "t.csv:4: column 'V': -1 is negative; a volume is 0 or more",
        "t.csv:4: column 'H': the high 0.4 is below the low",
    ]


def test_a_missing_price_is_neither_positive_nor_negative(problems: Problems) -> None:
    columns = {"high": np.array([NAN, 1.0]), "low": np.array([1.0, NAN])}
    check_prices(columns, ends_of(columns), {"high": "high", "low": "low"}, lines_from(2, 2), problems)
    assert problems.lines == []


def test_the_rows_with_a_fault_in_a_column_are_known(problems: Problems) -> None:
    problems.add_where("x", np.array([True, False, False]), lines_from(2, 3), "is wrong")
    problems.add_where("x", np.array([False, False, True]), lines_from(2, 3), "is odd")
    assert problems.rows_with_a_fault_in("x", 3).tolist() == [True, False, True]
    assert problems.rows_with_a_fault_in("y", 3).tolist() == [False, False, False]


def test_blocks_are_judged_one_after_the_other_and_counted_together(problems: Problems) -> None:
    problems.add_where("x", np.array([True, False]), lines_from(2, 2), "{value} is odd", np.array([1.5, 2]))
    problems.begin_block("u.csv")
    assert problems.bad_rows(2).tolist() == [False, False]
    problems.add_where("x", np.array([True, True, True]), lines_from(7, 3), "{value} is odd", np.array([3, 4, 5.0]))
    problems.add_where("y", np.array([False, True, False]), lines_from(7, 3), "is wrong")
    assert problems.bad_rows(3).tolist() == [True, True, True]
    assert problems.rows_with_a_fault_in("y", 3).tolist() == [False, True, False]
    assert problems.lines == [
        "t.csv:2: column 'x': 1.5 is odd",
        "u.csv:7: column 'x': 3 is odd",
        "u.csv:8: column 'x': 4 is odd (and 1 more such rows)",
        "u.csv:8: column 'y': is wrong",
    ]
    assert [(entry["column"], entry["rows"]) for entry in problems.as_report()] == [("x", 4), ("y", 1)]


def test_dropping_rows_mends_their_faults_but_no_fault_of_the_file(problems: Problems) -> None:
    problems.add_where("x", np.array([True]), lines_from(2, 1), "is wrong")
    assert not problems.whole_file
    problems.add_where(None, np.array([True]), lines_from(2, 1), "is no text", mendable=False)
    assert problems.whole_file
    other = Problems("t.csv")
    other.add("t.csv: no header")
    assert other.whole_file


def test_a_column_without_any_value_is_one_fault_and_a_constant_one_is_a_note(problems: Problems) -> None:
    spreads = Spreads()
    for block in ([NAN, NAN], [NAN, NAN]):
        numbers = {"empty": np.array(block), "same": np.array([4.0, NAN]), "label": np.array(block)}
        check_numbers(numbers, ends_of(numbers), lines_from(2, 2), problems, may_be_missing=("label", "same"))
        numbers["late"] = np.array([1.0, 2.0]) if not problems.lines else np.array([NAN, 3.0])
        spreads.see(numbers, ends_of(numbers))
    spreads.tell_empty("t.csv", problems, but={"label"})
    assert problems.lines == ["t.csv: column 'empty' holds no value in any row; leave it out, or fill it"]
    assert spreads.notes_on_constants("t.csv", ["same", "late", "empty"]) == [
        "t.csv: column 'same' holds 4 in every row; a constant tells a model nothing",
        "t.csv: column 'late' holds 3 in every row; a constant tells a model nothing",
    ]


def test_an_empty_column_whose_fault_is_another_one_is_not_told_twice(problems: Problems) -> None:
    problems.add_where("x", np.array([True]), lines_from(2, 1), "'a' is not a number")
    spreads = Spreads()
    spreads.see({"x": np.array([NAN])}, {"x": (NAN, NAN)})
    spreads.tell_empty("t.csv", problems, but=set())
    assert problems.lines == ["t.csv:2: column 'x': 'a' is not a number"]
    assert not problems.is_told("x", besides="'a' is not a number")
    assert problems.is_told("x", besides=MISSING)
