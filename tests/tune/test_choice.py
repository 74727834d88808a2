"""From times to a choice: hand-made times, and a clock that the test reads out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.tune.choice import Ratio, choose, race, ratio


def everything(candidate: object) -> bool:
    return True


def test_a_ratio_is_taken_round_by_round() -> None:
    assert ratio([1.0, 6.0, 2.0], [2.0, 4.0, 8.0]) == Ratio(median=0.5, low=0.25, high=1.5, rounds=3)
    assert ratio([3.0], [2.0, 9.0]) == Ratio(median=1.5, low=1.5, high=1.5, rounds=1)


@pytest.mark.parametrize(
    ("times", "winner"),
    [
        ({1: [10, 10, 10], 2: [6, 6, 6]}, 2),
        ({1: [10, 10, 10], 2: [6, 6, 10]}, 1),  # gains 0.4, but the rounds lie 0.4 apart
        ({1: [10, 10, 10], 2: [6, 6, 9.9]}, 2),  # gains 0.4, and they lie 0.39 apart
        ({1: [10, 20, 30], 2: [6, 12, 18]}, 2),  # the machine grew slower, for both alike
        ({1: [100, 100, 100], 2: [99, 99, 99]}, 1),  # less than two percent is not worth other bits
        ({1: [100, 100, 100], 2: [98, 98, 98]}, 2),
        ({1: [10, 10, 10], 2: [12, 12, 12]}, 1),
        ({1: [10, 10, 10], 2: [6, 6, 6], 4: [5.95, 5.95, 5.95]}, 2),  # four are no better than two
        ({1: [10, 10, 10], 2: [6, 6, 6], 4: [3, 3, 3]}, 4),
        ({1: [10, 10, 10], 2: [9, 6, 12], 4: [5, 5, 5]}, 4),  # two are unsure, four are not
        ({1: [10, 10, 10], 2: [6, 6]}, 1),  # was given up
    ],
)
def test_the_default_stays_unless_another_is_faster_by_more_than_the_spread(
    times: dict[int, list[float]], winner: int
) -> None:
    assert choose(times, 1, everything) == winner


def test_what_is_not_allowed_does_not_win_and_does_not_stand_in_the_way() -> None:
    times = {"fp32": [10.0, 10.0], "bf16": [4.0, 4.0], "native": [6.0, 6.0]}
    assert choose(times, "fp32", everything) == "bf16"
    assert choose(times, "fp32", lambda one: one != "bf16") == "native"


@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=7), st.permutations(["a", "b", "c"]))
def test_equals_leave_the_default(its: list[float], names: list[str]) -> None:
    assert choose(dict.fromkeys(names, its), names[1], everything) == names[1]


def test_a_race_goes_round_in_turns_and_gives_the_hopeless_up_after_two() -> None:
    asked: list[str] = []
    # b is slow once, by accident; c always; the default d is the slowest, but everything is compared with it.
    clock = {"a": [1.0, 1.0, 1.0, 1.0], "b": [9.0, 1.2, 1.2, 1.2], "c": [1.6, 1.6], "d": [8.0, 8.0, 8.0, 8.0]}

    def time_of(name: str) -> float:
        asked.append(name)
        return clock[name][asked.count(name) - 1]

    assert race(["a", "b", "c", "d"], "d", 4, time_of) == clock
    assert "".join(asked) == "abcd" + "bcda" + "dab" + "abd"
