"""SIGINT, SIGTERM and SIGHUP as a flag, and as what they were."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from hybrid_trainer.engine.interruption import Interruption

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(KeyboardInterrupt):
    """What the handler outside raises."""


def outside(number: int, frame: object) -> None:
    raise Stopped(number)


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    former = {number: signal.signal(number, outside) for number in SIGNALS}
    yield
    for number, handler in former.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_first_signal_is_noted_and_carried_out_when_the_loop_leaves(number: int) -> None:
    with pytest.raises(Stopped) as raised, Interruption() as interruption:
        signal.raise_signal(number)
        assert interruption.requested == number
        interruption.leave()
    assert raised.value.args == (number,)
    assert signal.getsignal(number) is outside


@pytest.mark.parametrize("second", SIGNALS)
def test_the_second_signal_stops_at_once(second: int) -> None:
    reached = []
    with pytest.raises(Stopped) as raised, Interruption():
        signal.raise_signal(signal.SIGTERM)
        reached.append("behind the first")
        signal.raise_signal(second)
        reached.append("behind the second")
    assert (reached, raised.value.args) == (["behind the first"], (second,))


def test_a_signal_behind_the_last_look_is_carried_out_at_the_end() -> None:
    with pytest.raises(Stopped), Interruption():
        signal.raise_signal(signal.SIGTERM)


def test_an_error_of_the_loop_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ZeroDivisionError), Interruption():
        signal.raise_signal(signal.SIGTERM)
        raise ZeroDivisionError


def test_without_a_signal_nothing_happens() -> None:
    with Interruption() as interruption:
        assert interruption.requested is None
    assert signal.getsignal(signal.SIGTERM) is outside


def test_a_signal_that_is_ignored_stays_so() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGHUP)
        assert interruption.requested is None
    assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
