"""Looking ahead in chunks is looking ahead at once."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.ahead import classes, future_sum, per_instrument, per_row
from hybrid_trainer.data.features import Bars, Values, log_return, root_mean_square_return
from hybrid_trainer.data.targets import NO_CLASS
from tests.data.tables import FEW_EXAMPLES, price_table, random_prices


@FEW_EXAMPLES
@given(st.integers(0, 2**31), st.integers(1, 70), st.integers(1, 6))
def test_chunks_of_any_size_give_the_same_bits(seed: int, chunk: int, horizon: int) -> None:
    table = price_table({"A": random_prices(50, seed), "B": random_prices(20, seed + 1)})

    def compute(bars: Bars) -> Values:
        return future_sum(log_return(bars.close), horizon) / root_mean_square_return(bars.close, 4)

    whole = per_instrument(table, compute)
    assert np.isfinite(whole).sum() == (50 - 4 - horizon) + (20 - 4 - horizon)
    np.testing.assert_array_equal(per_row(table, compute, behind=4, ahead=horizon, chunk=chunk), whole)


def test_an_instrument_without_rows_is_no_matter() -> None:
    table = price_table({"A": random_prices(5, 0)}, instruments=("A", "B"))
    assert np.isfinite(per_instrument(table, lambda bars: bars.close)).all()
    assert np.isfinite(per_row(table, lambda bars: bars.close, behind=0, ahead=0)).all()


def test_instruments_shorter_than_what_a_value_reads_have_none() -> None:
    table = price_table({"A": random_prices(3, 0), "B": random_prices(6, 1), "C": random_prices(2, 2)})
    found = per_row(table, lambda bars: bars.close, behind=2, ahead=2)
    assert np.flatnonzero(np.isfinite(found)).tolist() == [5, 6]


def test_a_score_on_a_border_is_not_beyond_it() -> None:
    score = np.array([-2, -1, -0.5, 0, 1, 2, np.nan])
    assert classes(score, np.array([-1.0, 1.0])).tolist() == [0, 1, 1, 1, 1, 2, NO_CLASS]
    assert classes(score, np.array([-1.0, -0.5, 0.5, 1.0])).tolist() == [0, 1, 2, 2, 3, 4, NO_CLASS]
