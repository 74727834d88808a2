"""Categories to numbers; what training hasn't seen is `<unk>`, number 0."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.table import Coded, Table
from hybrid_trainer.data.vocabulary import UNKNOWN, Vocabulary, category_texts, encode_inputs, fit_vocabularies
from hybrid_trainer.errors import TableError
from tests.data.tables import SOME_EXAMPLES, closes_table

CATEGORIES = ("AAPL", "FB", "IBM", "MSFT")


def test_only_the_categories_of_training_rows_are_known_in_alphabetical_order() -> None:
    vocabulary = Vocabulary.fit(np.array([3, 0, 3, 2]), CATEGORIES)
    assert vocabulary.names == ("AAPL", "IBM", "MSFT")
    assert len(vocabulary) == 4  # with <unk>
    assert Vocabulary.fit(np.array([0, 1]), ("b", "a")).names == ("a", "b")


def test_a_category_that_training_has_not_seen_is_number_zero() -> None:
    vocabulary = Vocabulary.fit(np.array([3, 0, 2]), CATEGORIES)
    numbers = vocabulary.encode(np.array([0, 1, 2, 3, 1]), CATEGORIES)
    assert numbers.dtype == np.int32
    assert numbers.tolist() == [1, 0, 2, 3, 0]


def test_a_missing_category_is_unknown_and_none_of_the_vocabulary() -> None:
    codes = np.array([-1, 2, -1, 0], dtype=np.int32)
    vocabulary = Vocabulary.fit(codes, CATEGORIES)
    assert vocabulary.names == ("AAPL", "IBM")
    assert vocabulary.encode(codes, CATEGORIES).tolist() == [0, 2, 0, 1]
    assert Vocabulary.fit(np.array([-1, -1]), CATEGORIES).names == ()
    empty = Vocabulary.fit(np.array([0, 1]), ("", "a"))
    assert empty.encode(np.array([0, 1]), ("", "a")).tolist() == [0, 1]


@pytest.mark.parametrize(("known", "size"), [(1, 2), (3, 2), (4, 3), (8, 3), (9, 4), (255, 16), (100_000, 16)])
def test_a_vector_is_as_long_as_the_root_of_the_categories_at_most_16(known: int, size: int) -> None:
    assert Vocabulary(tuple(map(str, range(known)))).vector_size == size


@SOME_EXAMPLES
@given(
    training=st.lists(st.none() | st.sampled_from("abcdef"), max_size=30),
    fresh=st.lists(st.none() | st.sampled_from("abcdefgh<"), max_size=30),
)
def test_numbers_stand_for_the_same_categories_in_every_table(
    training: list[str | None], fresh: list[str | None]
) -> None:
    fitted, other = Coded.of(training), Coded.of(fresh)
    vocabulary = Vocabulary.fit(fitted.codes, fitted.names)
    known = sorted({text for text in training if text is not None})
    assert vocabulary.names == tuple(known)
    expected = [known.index(text) + 1 if text in known else 0 for text in fresh]
    assert vocabulary.encode(other.codes, other.names).tolist() == expected


@pytest.mark.parametrize(
    ("column", "texts"),
    [
        (pl.Series(["7", "007", "7.0", "7.50", "-3.00", None, "x.0"]), ["7", "007", "7", "7.50", "-3", None, "x.0"]),
        (pl.Series([7.0, 0.5, None, np.nan, -3.0]), ["7", "0.5", None, None, "-3"]),
        (pl.Series([7, None]), ["7", None]),
        (pl.Series([True, None]), ["true", None]),
        (pl.Series(["b", None, "a"], dtype=pl.Categorical), ["b", None, "a"]),
    ],
)
def test_a_category_has_one_text_whatever_stands_beside_it(column: pl.Series, texts: list[str | None]) -> None:
    assert category_texts(column).to_list() == texts
    assert [category_texts(column[row : row + 1]).to_list() for row in range(len(column))] == [[text] for text in texts]


def table_of(sectors: list[str | None]) -> Table:
    table = closes_table([1.0] * 3, [1.0] * 3)
    layout = replace(table.layout, categories=("sector",), split="part")
    parts = Coded.of(["train"] * 6)  # the split's column is a text, but no input
    return replace(table, layout=layout, categories={"sector": Coded.of(sectors), "part": parts})


def test_the_instrument_stands_first_then_the_tables_categories() -> None:
    table = table_of(["tech", "oil", None, "oil", "bank", "bank"])
    vocabularies = fit_vocabularies(table, np.array([0, 1, 2, 3]))
    assert {name: vocabulary.names for name, vocabulary in vocabularies.items()} == {
        "instrument": ("A", "B"),
        "sector": ("oil", "tech"),
    }
    ids = encode_inputs(table, vocabularies)
    assert ids.dtype == np.int32
    assert ids.tolist() == [[1, 2], [1, 1], [1, 0], [2, 1], [2, 0], [2, 0]]


def test_a_category_that_is_empty_in_every_training_row_is_refused() -> None:
    text = r"^t\.csv: column 'sector' \(data\.categories\) is empty in every training row; .*: remove it$"
    with pytest.raises(TableError, match=text):
        fit_vocabularies(table_of([None, None, None, "oil", None, None]), np.array([0, 1, 2, 4]))


def test_another_table_is_encoded_by_name_not_by_position() -> None:
    vocabulary = Vocabulary(("AAPL", "IBM"))
    assert vocabulary.encode(np.array([0, 1, 2]), ("IBM", "NEW", "AAPL")).tolist() == [2, 0, 1]


def test_an_empty_vocabulary_knows_nothing() -> None:
    vocabulary = Vocabulary.fit(np.array([], dtype=np.int64), CATEGORIES)
    assert len(vocabulary) == 1
    assert vocabulary.encode(np.array([2, 0]), CATEGORIES).tolist() == [0, 0]


def test_the_word_for_unknown_is_no_category() -> None:
    assert UNKNOWN not in Vocabulary.fit(np.arange(4), CATEGORIES).names
