"""Categories to numbers; what training hasn't seen is `<unk>`, number 0."""

from __future__ import annotations

import numpy as np

from hybrid_trainer.data.vocabulary import UNKNOWN, Vocabulary

CATEGORIES = ("AAPL", "FB", "IBM", "MSFT")


def test_only_the_categories_of_training_rows_are_known_in_alphabetical_order() -> None:
    vocabulary = Vocabulary.fit(np.array([3, 0, 3, 2]), CATEGORIES)
    assert vocabulary.names == ("AAPL", "IBM", "MSFT")
    assert len(vocabulary) == 4  # with <unk>
    assert Vocabulary.fit(np.array([0, 1]), ("b", "a")).names == ("a", "b")


def test_a_category_that_training_has_not_seen_is_number_zero() -> None:
    vocabulary = Vocabulary.fit(np.array([3, 0, 2]), CATEGORIES)
    numbers = vocabulary.encode(np.array([0, 1, 2, 3, 1]), CATEGORIES)
    assert numbers.dtype == np.int64
    assert numbers.tolist() == [1, 0, 2, 3, 0]


def test_another_table_is_encoded_by_name_not_by_position() -> None:
    vocabulary = Vocabulary(("AAPL", "IBM"))
    assert vocabulary.encode(np.array([0, 1, 2]), ("IBM", "NEW", "AAPL")).tolist() == [2, 0, 1]


def test_an_empty_vocabulary_knows_nothing() -> None:
    vocabulary = Vocabulary.fit(np.array([], dtype=np.int64), CATEGORIES)
    assert len(vocabulary) == 1
    assert vocabulary.encode(np.array([2, 0]), CATEGORIES).tolist() == [0, 0]


def test_the_word_for_unknown_is_no_category() -> None:
    assert UNKNOWN not in Vocabulary.fit(np.arange(4), CATEGORIES).names
