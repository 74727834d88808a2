"""Names of jobs' folders."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.sweeps.names import folder_name, key_of


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["experiment=quick", "model.lstm_units=64", "seed=1"], "3-lstm_units=64_seed=1"),
        (["experiment=quick"], "3"),
        (["model=linear"], "3-model=linear"),
        (["++data.targets.a.horizon=3", "++data.targets.b.horizon=5"],
         "3-data.targets.a.horizon=3_data.targets.b.horizon=5"),
        (["model.cnn_filters=[8,16]"], "3-cnn_filters=8-16"),
        (["data.path='some/folder/good.csv'"], "3-path=good.csv"),
        (["training.learning_rate=1e-3"], "3-learning_rate=1e-3"),
        (["training.learning_rate=0.00013880253392729841"], "3-learning_rate=0.0001388"),
        (["training.learning_rate=1.38802533e-05", "a.b=0.25"], "3-learning_rate=1.388e-05_b=0.25"),
        (["a.note='../../etc'"], "3-note=etc"),
        (["a.b=" + "x" * 200], "3-b=" + "x" * 76),
    ],
)  # fmt: skip
def test_a_folder_says_what_its_job_has_of_its_own(overrides: list[str], name: str) -> None:
    assert folder_name(3, overrides, {"experiment"}) == name


@given(st.integers(0, 10**6), st.lists(st.text(max_size=40), max_size=5))
def test_whatever_the_overrides_are_the_name_is_one_folder(number: int, overrides: list[str]) -> None:
    name = folder_name(number, overrides, ())
    assert re.fullmatch(r"[\w.=+-]{1,80}", name, flags=re.ASCII)
    assert re.match(rf"{number}(?!\d)", name)


def test_the_key_of_an_override() -> None:
    assert [key_of(word) for word in ("++a.b=1", "~a.b", "model@other=x", "a=b=c")] == ["a.b", "a.b", "model", "a"]
