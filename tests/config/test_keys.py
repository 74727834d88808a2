"""Declaring a key, and the checks that sections run on themselves."""

from __future__ import annotations

from dataclasses import dataclass, fields

import pytest

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class Section:
    names: list[str] = key(["a"], "some names")


def test_each_instance_gets_its_own_copy_of_a_default() -> None:
    first, second = Section(), Section()
    first.names.append("b")
    assert second.names == ["a"]
    assert Section().names == ["a"]


def test_a_key_carries_its_meaning() -> None:
    assert fields(Section)[0].metadata["help"] == "some names"


def test_an_allowed_choice_passes() -> None:
    check_choice("optimizer", "adam", ["adamw", "adam"])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("adm", "optimizer: 'adm' is not one of adamw, sgd; did you mean 'adamw'?"),
        ("rmsprop", "optimizer: 'rmsprop' is not one of adamw, sgd"),
        ("", "optimizer: '' is not one of adamw, sgd"),
        ("ADAMW", "optimizer: 'ADAMW' is not one of adamw, sgd"),
    ],
)
def test_a_wrong_choice_is_told_with_what_there_is_and_the_closest(value: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_choice("optimizer", value, ["adamw", "sgd"])
    assert str(caught.value) == text


def test_choices_may_come_from_an_iterator() -> None:
    with pytest.raises(ConfigError, match="'c' is not one of a, b"):
        check_choice("x", "c", iter(["a", "b"]))


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (1, {"low": 1}),
        (1.0, {"high": 1}),
        (1e-12, {"above": 0}),
        (0.5, {"above": 0, "high": 0.5}),
        (0, {"low": 0, "high": 0}),
        (None, {"low": 1}),
        (float("inf"), {"low": 0}),
    ],
)
def test_a_value_inside_its_range_passes(value: float | None, bounds: dict[str, float]) -> None:
    check_range("x", value, **bounds)


@pytest.mark.parametrize(
    ("value", "bounds", "text"),
    [
        (0, {"low": 1}, "x: 0 is out of range; it must be at least 1"),
        (0, {"above": 0}, "x: 0 is out of range; it must be above 0"),
        (1.5, {"high": 1}, "x: 1.5 is out of range; it must be at most 1"),
        (-1, {"low": 0, "high": 0.95}, "x: -1 is out of range; it must be at least 0 and at most 0.95"),
        (2, {"above": 0, "high": 1}, "x: 2 is out of range; it must be above 0 and at most 1"),
        (float("nan"), {"low": 0}, "x: nan is out of range; it must be at least 0"),
        (float("nan"), {"high": 1}, "x: nan is out of range; it must be at most 1"),
        (float("inf"), {"high": 1}, "x: inf is out of range; it must be at most 1"),
    ],
)
def test_a_value_outside_its_range_is_told_with_the_bounds(value: float, bounds: dict[str, float], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_range("x", value, **bounds)
    assert str(caught.value) == text


def test_a_large_bound_is_shown_exactly() -> None:
    with pytest.raises(ConfigError, match=r"at most 4294967295$"):
        check_range("seed", 2**32, high=2**32 - 1)
