"""The whole of what is searched: order, conditions, grids, and what is tried out beforehand."""

from __future__ import annotations

from pathlib import Path

import optuna
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.search.space import entries_of
from tests.sweeps.search.helpers import space_of

NESTED = {
    "c": {"sweep": [10, 20], "when": {"b": 2}},
    "b": {"sweep": [1, 2], "when": "a=x,y"},
    "a": ["x", "y", "z"],
}


def picked(space_words: tuple[str, ...], entries: dict[str, object], **values: object) -> list[str]:
    """The overrides where the study picks these values."""
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    study.enqueue_trial(values)
    return space_of(*space_words, entries=entries).ask(study.ask())


def test_a_key_is_asked_for_where_its_condition_holds_whatever_the_order_of_the_entries() -> None:
    assert picked((), NESTED, a="z") == ["a=z"]
    assert picked((), NESTED, a="x", b=1) == ["a=x", "b=1"]
    assert picked((), NESTED, a="y", b=2, c=20) == ["a=y", "b=2", "c=20"]


def test_a_condition_may_name_what_is_given_once_and_for_all() -> None:
    entries: dict[str, object] = {"b": {"sweep": [1, 2], "when": "model=tcn"}, "c": [1, 2]}
    assert picked(("model=tcn",), entries, b=2, c=1) == ["model=tcn", "b=2", "c=1"]
    assert picked(("model=lstm",), entries, c=1) == ["model=lstm", "c=1"]


def test_a_condition_tells_true_from_one() -> None:
    entries: dict[str, object] = {"b": {"sweep": [1, 2], "when": {"a": True}}, "a": [True, False]}
    assert picked((), entries, a=True, b=1) == ["a=True", "b=1"]
    with pytest.raises(ConfigError, match="a is never 1"):
        space_of(entries={"b": {"sweep": [1, 2], "when": {"a": 1}}, "a": [True, False]}).probes()


def test_the_command_line_wins_over_the_yaml_space() -> None:
    entries: dict[str, object] = {"a": [1, 2], "b": [1, 2]}
    space = space_of("a=7", "b=3,4", entries=entries)
    assert space.fixed == ["a=7"]
    assert space.grid() == [{"b": 3}, {"b": 4}]


def test_the_grid_has_every_point_once_and_leaves_out_what_is_not_asked_for() -> None:
    points = space_of(entries=NESTED).grid()
    assert points == [
        {"a": "x", "b": 1},
        {"a": "x", "b": 2, "c": 10},
        {"a": "x", "b": 2, "c": 20},
        {"a": "y", "b": 1},
        {"a": "y", "b": 2, "c": 10},
        {"a": "y", "b": 2, "c": 20},
        {"a": "z"},
    ]
    assert space_of("a=range(0.1,0.5,0.2)").grid() == [{"a": 0.1}, {"a": 0.3}]


def test_every_choice_and_both_ends_are_tried_out_beforehand_one_key_at_a_time() -> None:
    space = space_of("f=1", "a=x,y", "b=range(2,9,2)", "c=interval(0,1)")
    assert space.probes() == [
        ["f=1", "a=x", "b=2", "c=0.0"],
        ["f=1", "a=y", "b=2", "c=0.0"],
        ["f=1", "a=x", "b=8", "c=0.0"],
        ["f=1", "a=x", "b=2", "c=1.0"],
    ]
    assert ["a=x", "b=2", "c=20"] in space_of(entries=NESTED).probes()


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_any_pick_of_a_conditional_space_is_a_point_of_its_grid(data: st.DataObject) -> None:
    keys = "abcd"
    entries: dict[str, object] = {}
    for place, key in enumerate(keys):
        when = {other: data.draw(st.integers(0, 2)) for other in keys[:place] if data.draw(st.booleans())}
        entries[key] = {"sweep": [0, 1, 2], **({"when": when} if when else {})}
    space = space_of(entries=dict(reversed(entries.items())))
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=data.draw(st.integers(0, 99))))
    assert space.ask(study.ask()) in [space.overrides(point) for point in space.grid()]


@pytest.mark.parametrize(
    ("words", "entries", "said"),
    [
        (("a=1",), {}, "nothing is searched; give a key several values"),
        ((), {"a": {"sweep": [1, 2], "when": "aa=1"}, "ab": [1]}, "when: 'aa' is neither searched nor given; did you"),
        (
            (),
            {"a": {"sweep": [1, 2], "when": "b=1"}, "b": {"sweep": [1, 2], "when": "a=1"}},
            "a, b: their conditions wait for each other",
        ),
    ],
)
def test_a_space_that_makes_no_sense_is_refused(words: tuple[str, ...], entries: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        space_of(*words, entries=entries)


def test_a_condition_that_never_holds_is_told_before_anything_starts() -> None:
    space = space_of(entries={"a": ["x", "y"], "b": {"sweep": [1, 2], "when": "a=xx"}})
    with pytest.raises(ConfigError, match=r"search_space\.b\.when: a is never xx"):
        space.probes()


def test_an_interval_has_no_grid_and_an_endless_one_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^b: an interval has no grid"):
        space_of("a=1,2", "b=interval(0,1)").grid()
    with pytest.raises(ConfigError, match="the grid has more than 100000 points"):
        space_of("a=range(1000)", "b=range(1000)").grid()


def test_a_search_space_is_a_mapping_or_the_file_of_one(tmp_path: Path) -> None:
    file = tmp_path / "space.yaml"
    file.write_text("model.lstm_units: [32, 64]\ntraining: {learning_rate: {type: float, low: 1e-4, high: 1e-2}}\n")
    assert entries_of(str(file)) == {
        "model.lstm_units": [32, 64],
        "training.learning_rate": {"type": "float", "low": 1e-4, "high": 1e-2},
    }
    assert entries_of({"model": {"lstm_units": "32,64"}}) == {"model.lstm_units": "32,64"}
    assert entries_of(None) == {}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("- a\n", "must be a mapping"),
        ("a: [1\n", "not valid YAML"),
        ("a: 1\na: 2\n", "valid YAML"),
    ],
)
def test_a_file_that_holds_no_space_is_refused(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "space.yaml"
    if content is not None:
        file.write_text(content)
    with pytest.raises(ConfigError, match=rf"^hydra\.sweeper\.search_space: .*space\.yaml: .*{said}"):
        entries_of(str(file))
