"""Conditions: what they choose, what they refuse, and that nothing in them is run."""

from __future__ import annotations

import pytest

from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.comparison.filters import parse_condition
from hybrid_trainer.runs.comparison.run import Run
from tests.runs.comparison.records import run

RUNS = [
    run("a", metrics={"valid/loss": 0.5, "test/5d/r2": 0.3}, model__name="hybrid", model__units=64, seed=0, deep=True),
    run("b", metrics={"valid/loss": 1.5, "train/loss": 1.0}, model__name="linear", model__units=8, seed=1, deep=False),
    run("c", status="failed", model__name="hybrid", data__split__fold=3, data__gap=None, data__clip="auto"),
]
KEYS = list(dict.fromkeys(key for one in RUNS for key in one.config))
METRICS = list(dict.fromkeys(name for one in RUNS for name in one.metrics))


def chosen(text: str, runs: list[Run] = RUNS) -> str:
    condition = parse_condition(text, KEYS, METRICS)
    return "".join(one.path.name for one in runs if condition(one))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("model.units >= 64", "a"),
        ("model.units>=8 and seed != 0", "b"),
        ("units < 64 or valid/loss < 1", "ab"),
        ("0.4 < valid/loss <= 1.5", "ab"),
        ("valid/loss > train/loss", "b"),
        ("model.name == hybrid", "ac"),
        ("model.name == 'hybrid' and not status == failed", "a"),
        ("model.name in [linear, 'cnn']", "b"),
        ("model.name not in (linear,)", "ac"),
        ("'brid' in model.name", "ac"),
        ("key('test/5d/r2') > -1.5e-3", "a"),
        ("deep", "a"),
        ("not deep", "bc"),
        ("deep == false", "b"),
        ("data.gap == null", "c"),
        ("fold == 3", "c"),
        ("run == b", "b"),
        ("status != complete", "c"),
        ("data.clip > 3", ""),  # text is no number
        ("seed >= 0 and (seed == 1 or valid/loss < 1)", "ab"),
        ("model.units != 64", "b"),  # a run without the key doesn't fulfil it
    ],
)
def test_the_runs_that_fulfil_a_condition(text: str, names: str) -> None:
    assert chosen(text) == names


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("seed=1", "equal is written =="),
        ("", "is not a condition"),
        ("test/5d/r2 > 0", r"key\('test/5d/r2'\)"),
        ("model.unit > 3", "no run has 'model.unit'; did you mean 'model.units'"),
        ("sed == 1", "no run has 'sed'; did you mean 'seed'"),
        ("valid/loss < tran/loss", "no run has 'tran/loss'; did you mean 'train/loss'"),
        ("1 < 2", "compares no key or metric"),
        ("seed + 1 > 2", "compares no key or metric"),
        ("seed is 1", "there are == !="),
        ("__import__('os').system('touch owned') == seed", "cannot be used"),
        ("seed > (lambda: 1)()", "cannot be used"),
        ("[seed for seed in [1]]", "cannot be used"),
        ("3", "cannot be used"),
        ("seed == " + "1" * 2000, "longer than 2000"),
        ("(" * 300 + "seed" + ")" * 300, "is not a condition"),
    ],
)
def test_what_is_no_condition_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(UserError, match=said) as told:
        parse_condition(text, KEYS, METRICS)
    assert str(told.value).startswith("--where: ") and "\n" not in str(told.value)


def test_the_end_of_a_key_must_be_one_keys_alone() -> None:
    with pytest.raises(UserError, match=r"'name' may be any of model\.name, data\.name; write it in full"):
        parse_condition("name == x", ["model.name", "data.name"], [])
