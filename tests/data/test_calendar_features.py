"""Where in the day and in the week a row stands, against datetime's own answers."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.errors import TableError
from tests.data.tables import price_table, random_prices

NAMES = ["time_of_day_sin", "time_of_day_cos", "time_of_week_sin", "time_of_week_cos"]


def test_they_are_points_on_the_circle_of_the_day_and_of_the_week() -> None:
    minutes = np.random.default_rng(0).integers(0, 60 * 24 * 365 * 60, 50)
    minutes[:2] = [60 * 24 * 400, -60 * 24 * 400]  # also before 1970
    table = price_table({"A": random_prices(50, 0)}, timestamp=np.sort(minutes) * 60 * 10**9)
    panel = build_panel(table, feature_set="none", features=[], context={}, extra_features=NAMES)
    assert list(panel.feature_names) == NAMES
    for row, time in enumerate(np.sort(minutes).tolist()):
        when = datetime.datetime(1970, 1, 1) + datetime.timedelta(minutes=time)
        of_day = (when.hour + when.minute / 60) / 24
        of_week = (when.weekday() + of_day) / 7
        wanted = [wave(2 * np.pi * part) for part in (of_day, of_week) for wave in (np.sin, np.cos)]
        np.testing.assert_allclose(panel.features[row], wanted, atol=1e-6)


def test_a_clock_without_dates_is_refused() -> None:
    with pytest.raises(TableError) as caught:
        build_panel(
            price_table({"A": random_prices(50, 0)}, timestamp=np.arange(50)),
            feature_set="none",
            features=[],
            context={},
            extra_features=["time_of_week_cos"],
        )
    assert str(caught.value) == (
        "t.csv: the feature 'time_of_week_cos' reads the time of day or week, but the timestamps are a plain clock "
        "without dates; leave it out"
    )
