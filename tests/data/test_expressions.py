"""Expressions against polars itself, their lookbacks, and what they refuse."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.data.bars import Bars
from hybrid_trainer.data.expressions import parse
from hybrid_trainer.data.kernels import Values
from hybrid_trainer.errors import ConfigError
from tests.data.tables import random_prices

ROWS = 120
COLUMNS = random_prices(ROWS, 0) | {"x": np.random.default_rng(1).normal(size=ROWS)}

# text -> lookback; each is evaluated by polars as it stands.
TEXTS = {
    "col('close')": 1,
    "pl.col('close')": 1,
    "col('close').log().diff(5)": 6,
    "col('close').pct_change()": 2,
    "col('close').pct_change(n=3)": 4,
    "col('x').shift(4)": 5,
    "col('x').shift(0)": 1,
    "col('x').shift()": 2,
    "col('x').diff().diff()": 3,
    "(col('high') - col('low')) / col('close')": 1,
    "2 * col('x') ** 2 - 1.5": 1,
    "-col('x') + 1e-3": 1,
    "2 ** col('x')": 1,
    "col('x').abs().sqrt()": 1,
    "col('x').sign() * col('x').exp()": 1,
    "col('volume').log1p()": 1,
    "col('x').clip(-0.5, 0.5)": 1,
    "col('x').clip(upper_bound=0.25)": 1,
    "col('x').clip(lower_bound=-1)": 1,
    "col('x').rolling_mean(7)": 7,
    "col('x').rolling_sum(window_size=8)": 8,
    "col('x').rolling_std(9)": 9,
    "col('x').rolling_min(10)": 10,
    "col('x').rolling_max(11)": 11,
    "col('close').rolling_mean(5) / col('close').rolling_mean(20) - 1": 20,
    "(col('close').log().diff() ** 2).rolling_mean(10).sqrt().shift(3)": 14,
    "(col('x') - col('x').rolling_mean(6)) / col('x').rolling_std(6)": 6,
}


def computed(text: str) -> Values:
    with np.errstate(all="ignore"):
        return parse("f", text).compute(Bars(COLUMNS))


@pytest.mark.parametrize("text", TEXTS)
def test_an_expression_means_what_it_means_in_polars(text: str) -> None:
    expression = eval(text, {"col": pl.col, "pl": pl})
    expected = pl.DataFrame(COLUMNS).select(expression.alias("f"))["f"].cast(pl.Float64).fill_null(np.nan).to_numpy()
    np.testing.assert_allclose(computed(text), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("text", "lookback"), TEXTS.items())
def test_the_lookback_follows_from_the_text(text: str, lookback: int) -> None:
    feature = parse("f", text)
    assert feature.lookback == lookback
    assert np.isnan(computed(text)).sum() == lookback - 1


def test_an_expression_says_which_columns_it_reads() -> None:
    feature = parse("f", "(col('x') + col('close').shift(2)) / col('x')")
    assert (feature.name, feature.reads, feature.needs_volume) == ("f", ("x", "close"), False)
    assert parse("g", "col('volume').log1p()").needs_volume


def test_a_mean_over_the_market_is_read_as_a_column_of_its_own() -> None:
    feature = parse("f", "-(col('x').diff(2).market_mean().rolling_mean(3) / col('close'))")
    (mean,) = feature.market
    assert (mean.name, mean.lookback, mean.reads) == ("col('x').diff(2).market_mean()", 3, ("x",))
    assert (feature.lookback, feature.reads) == (5, ("x", "close"))
    assert feature.columns == ("x", "close", mean.name)
    nested = parse("f", "((col('x') - col('x').market_mean()) ** 2).market_mean()")
    assert [each.name for each in nested.market] == [
        "col('x').market_mean()",
        "((col('x') - col('x').market_mean()) ** 2).market_mean()",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("col('x').shift(-1)", "shift(-1) would read later rows; rows are counted backwards from 0"),
        ("col('x').diff(-1)", "diff(-1) would read later rows; rows are counted backwards from 0"),
        ("col('x').diff(0)", "diff(0): must be at least 1"),
        ("col('x').rolling_std(1)", "rolling_std(1): must be at least 2"),
        ("col('x').rolling_mean(0)", "rolling_mean(0): must be at least 1"),
        (
            "col('x').rolling_mean(5, center=True)",
            "rolling_mean(center=...) would read later rows; a window ends in its own row",
        ),
        (
            "col('x').rolling_mean(5, min_samples=1)",
            "rolling_mean(): there is no argument 'min_samples'; it takes window_size",
        ),
        ("col('x').shift(2, 2)", "shift() is given 2 arguments; it takes n"),
        ("col('x').shift(2, **{})", "shift(): there is no argument 'None'; it takes n"),
        ("col('x').rolling_mean(5, window_size=5)", "rolling_mean(): 'window_size' is given twice"),
        ("col('x').rolling_mean()", "rolling_mean() needs window_size"),
        ("col('x').rolling_mean(None)", "rolling_mean(): None is not a whole number of rows"),
        ("col('x').shift(1.5)", "shift(): 1.5 is not a whole number of rows"),
        ("col('x').shift(True)", "shift(): 'True' is not a number"),
        ("col('x').clip(col('y'))", "clip(): 'col('y')' is not a number"),
        ("col('x').log(2)", "log() is given 1 arguments; it takes no argument"),
        ("col('x').rolling_men(5)", "there is no method 'rolling_men'; did you mean 'rolling_mean'?"),
        ("col('x').rolling_max(100002)", "reads 100002 rows; at most 100000 can be read"),
        (
            "col('x').market_mean(5)",
            "market_mean() takes no argument: it is over all instruments at the row's time",
        ),
        ("(1 + 2).market_mean()", "'(1 + 2).market_mean()' is made of numbers alone; write its value"),
        ("col('x').market_men()", "there is no method 'market_men'; did you mean 'market_mean'?"),
        ("x + 1", "'x' stands alone; a column is written col('x')"),
        ("1 + 2", "'1 + 2' reads no column; write col('close')"),
        ("(2).log()", "'2 .log()' is made of numbers alone; write its value"),
        ("col('x') % 2", "'col('x') % 2': this operator cannot be used; there are + - * / **"),
        ("col('x', 'y')", "'col('x', 'y')' must name one column: col('close')"),
        ("col(5)", "'col(5)' must name one column: col('close')"),
        ("log(col('x'))", "'log' is not known; methods stand behind a value: col('close').log()"),
        ("col('x').log", "'col('x').log' cannot be used; there are col('NAME'), numbers, + - * / ** and methods"),
        ("True * col('x')", "'True' cannot be used; there are col('NAME'), numbers, + - * / ** and methods"),
        ("[col('x')][0]", "'[col('x')][0]' cannot be used; there are col('NAME'), numbers, + - * / ** and methods"),
        ("(lambda: 1)()", "'lambda: 1' is not known; methods stand behind a value: col('close').log()"),
        ("__import__('os').getcwd()", "there is no method 'getcwd'; known: "),
        ("col('x').__class__()", "there is no method '__class__'; known: "),
        ("col('x'", "'col('x'' is not an expression ('(' was never closed)"),
        ("", "'' is not an expression (invalid syntax)"),
        ("x = 1", "'x = 1' is not an expression (invalid syntax)"),
        ("-" * 1999 + "1", None),
        ("1" * 2001, "is longer than 2000 characters; write a feature in Python instead (plugins)"),
    ],
)
def test_anything_else_is_refused_in_one_line(text: str, said: str | None) -> None:
    with pytest.raises(ConfigError) as caught:
        parse("f", text)
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("data.expressions.f: ")
    if said is not None and said.endswith("known: "):
        assert line.startswith(f"data.expressions.f: {said}log, log1p, ")
    elif said is not None:
        assert line == f"data.expressions.f: {said}"


def test_numbers_that_are_too_large_are_infinite_and_no_error() -> None:
    assert np.isinf(computed("col('x') + 9.0 ** 9 ** 9")).all()
    assert np.isinf(computed("col('x') / 0")).all()
