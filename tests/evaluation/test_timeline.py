"""The picture of a split: what is drawn where."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib import image

from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data.splits import Split, clocks_of, make_split
from hybrid_trainer.data.table import Table
from hybrid_trainer.evaluation.timeline import STATES, draw, pixels_of, row_states, write_picture
from tests.data.tables import closes_table

NAMES = list(STATES)
DAY = 86_400 * 10**9


def table_of(*times: Any, **fields: Any) -> Table:
    return closes_table(*([1.0] * len(some) for some in times), timestamp=np.concatenate(times), **fields)


def split_of(table: Table, independent: bool = False, **keys: Any) -> Split:
    clocks = clocks_of(table, 1, independent=independent)
    return make_split(SplitConfig(**keys), table, np.arange(1, len(table)), clocks)


@pytest.fixture
def table() -> Table:
    return table_of(np.arange(20), np.arange(10, 20), breaks=np.array([5]))


def test_every_row_has_a_state(table: Table) -> None:
    split = split_of(table, fractions=[0.5, 0.25, 0.25], embargo="1")
    states = [NAMES[code] for code in row_states(len(table), split)]
    assert states[0] == "looked back on only"
    assert states[1:20] == (
        ["train"] * 8 + ["embargoed"] + ["purged"] + ["valid"] * 2 + ["embargoed", "purged"] + ["test"] * 5
    )


def test_a_pixel_shows_the_row_that_lasts_there() -> None:
    # A: a stretch 0 to 2 and one at 6, 7; B: rows every two units
    table = table_of(np.array([0, 1, 2, 6, 7]), np.array([0, 2, 4, 6]), breaks=np.array([3]))
    states = np.array([0, 0, 3, 1, 2, 0, 1, 2, 5], dtype=np.int8)
    assert pixels_of(table, states, 0, 9, 10).tolist() == [
        [0, 0, 3, 3, -1, -1, 1, 2, 2, -1],
        [0, 0, 1, 1, 2, 2, 5, 5, 5, -1],
    ]


def test_a_single_purged_row_is_seen_in_a_long_time() -> None:
    table = table_of(np.arange(100_000))
    states = np.zeros(100_000, dtype=np.int8)
    states[50_001] = NAMES.index("purged")
    line = pixels_of(table, states, 0, 99_999, 100)[0]
    assert np.flatnonzero(line == NAMES.index("purged")).tolist() == [49]


def many(count: int) -> Table:
    base = np.datetime64("2020-01-01", "ns").astype(np.int64)
    return Table(
        **{
            **vars(table_of(np.arange(20))),
            "timestamp": base + np.tile(np.arange(20), count) * DAY,
            "instrument": np.repeat(np.arange(count), 20),
            "instruments": tuple(f"s{number:03}" for number in range(count)),
            "line": np.arange(count * 20),
        }
    )


@pytest.mark.parametrize(("count", "independent"), [(1, False), (3, False), (40, True), (60, False), (60, True)])
def test_the_picture_is_written_for_few_and_for_many(tmp_path: Path, count: int, independent: bool) -> None:
    table = many(count)
    keys: dict[str, Any] = {} if independent else {"embargo": "1", "fractions": [0.4, 0.3, 0.3]}
    split = split_of(table, independent=independent, **keys)
    figure = draw(table, split, independent=independent)
    (axes,) = figure.axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    if count <= 40:
        assert labels == list(table.instruments)
    elif independent:
        assert f"test: {len(split.rows['test']):,} rows of 9 sequences" in labels
    else:
        assert axes.get_ylabel() == "rows per time, of 60 instruments"
    (legend,) = figure.legends
    shown = [text.get_text() for text in legend.get_texts()]
    given_up = [] if independent else ["purged", "embargoed"]
    assert shown == ["train", "valid", "test", *given_up, "looked back on only"]
    path = tmp_path / "split.png"
    write_picture(path, table, split, independent=independent)
    height, width, _ = image.imread(path).shape
    assert width == 1320
    assert 200 < height < 2000


def test_the_title_says_which_fold() -> None:
    table = many(2)
    split = split_of(table, kind="walk_forward", folds=2, fold=1, test_size=0.2, valid_size=0.2)
    assert draw(table, split, independent=False).axes[0].get_title(loc="left") == (
        "t.csv: walk_forward split, fold 1 of 0 to 1"
    )
