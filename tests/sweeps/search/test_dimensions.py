"""What Hydra's sweep syntax and the entries of a YAML search space mean to a study."""

from __future__ import annotations

import re

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from hybrid_trainer.errors import ConfigError
from hybrid_trainer.sweeps.search.dimensions import Dimension, of_entry, of_override
from hybrid_trainer.sweeps.search.values import parse, text_of

C, F, I = CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E741

SWEEPS: list[tuple[str, BaseDistribution]] = [
    ("1,2", C([1, 2])),
    ("choice(1,2)", C([1, 2])),
    ("true,false,null", C([True, False, None])),
    ("hybrid,patchtst", C(["hybrid", "patchtst"])),
    ("'a b',\"c,d\"", C(["a b", "c,d"])),
    ("1e-3,0.01", C([0.001, 0.01])),
    ("sort(3,1,2)", C([1, 2, 3])),
    ("[16],[16,32]", C(["[16]", "[16,32]"])),
    ("{a:1},{a:2}", C(["{a:1}", "{a:2}"])),
    ("1,1.0,true", C(["1", "1.0", "True"])),
    ("range(1,4)", I(1, 3)),
    ("range(3)", I(0, 2)),
    ("range(1,10,3)", I(1, 7, step=3)),
    ("range(10,1,-3)", I(4, 10, step=3)),
    ("range(0.1,0.5,0.2)", F(0.1, 0.3, step=0.2)),
    ("range(0,1,0.25)", F(0.0, 0.75, step=0.25)),
    ("float(range(1,4))", F(1.0, 3.0, step=1.0)),
    ("interval(1,10)", F(1.0, 10.0)),
    ("interval(-0.5,0.5)", F(-0.5, 0.5)),
    ("int(interval(1,10))", I(1, 10)),
    ("tag(log,interval(1e-4,1e-1))", F(1e-4, 1e-1, log=True)),
    ("tag(log,int(interval(8,512)))", I(8, 512, log=True)),
    ("tag(log,range(1,100))", I(1, 99, log=True)),
]


def sweep(text: str) -> Dimension:
    return of_override(OverridesParser.create().parse_override(f"a.b={text}"))


@pytest.mark.parametrize(("text", "meant"), SWEEPS)
def test_hydras_sweeps_become_distributions(text: str, meant: BaseDistribution) -> None:
    made = sweep(text)
    assert (made.key, made.distribution) == ("a.b", meant)
    assert [type(value) for value in getattr(made.distribution, "choices", ())] == [
        type(value) for value in getattr(meant, "choices", ())
    ]


@pytest.mark.parametrize(
    ("entry", "meant"),
    [
        ([16, 32], C([16, 32])),
        (["a b", "007"], C(["a b", "007"])),
        ("16,32", C([16, 32])),
        ("tag(log, interval(1e-4, 1e-1))", F(1e-4, 1e-1, log=True)),
        ({"sweep": "range(1,4)"}, I(1, 3)),
        ({"sweep": [1, 2]}, C([1, 2])),
        ({"choices": [1, 2]}, C([1, 2])),
        ({"type": "categorical", "choices": [[16], [16, 32]]}, C(["[16]", "[16,32]"])),
        ({"type": "int", "low": 16, "high": 250, "step": 16}, I(16, 240, step=16)),
        ({"type": "int", "low": 16, "high": 256, "log": True}, I(16, 256, log=True)),
        ({"type": "float", "low": 0, "high": 1, "step": 0.3}, F(0.0, 0.9, step=0.3)),
        ({"type": "float", "low": 1e-4, "high": 1e-1, "log": True}, F(1e-4, 1e-1, log=True)),
    ],
)
def test_entries_of_a_yaml_space_become_distributions(entry: object, meant: BaseDistribution) -> None:
    assert of_entry("model.lstm_units", entry).distribution == meant


def test_a_value_comes_back_as_the_override_that_was_written() -> None:
    listed = sweep("[16],[16,32]")
    assert listed.override("[16,32]") == "a.b=[16,32]"
    quoted = sweep("'a b',null")
    assert [quoted.override(value) for value in ("a b", None)] == ["a.b='a b'", "a.b=null"]
    assert of_entry("a", ["7", "x"]).override("7") == "a='7'"
    assert sweep("range(0.1,0.5,0.1)").override(0.1 + 2 * 0.1) == "a.b=0.3"  # 0.30000000000000004
    assert sweep("interval(0,1)").override(1e-05) == "a.b=1e-05"


def test_what_the_user_names_in_an_open_mapping_is_written_with_two_plus_signs() -> None:
    made = of_entry("data.targets.signal.horizon", [1, 5])
    assert (made.key, made.override(5)) == ("data.targets.signal.horizon", "++data.targets.signal.horizon=5")
    assert of_entry("data.targets.signal.horizon", "range(1,5)").written == "++data.targets.signal.horizon"
    assert of_entry("training.epochs", {"type": "int", "low": 1, "high": 3}).written == "training.epochs"


@given(
    st.one_of(
        st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=9)
    )
)
def test_a_value_is_read_as_it_was_before_it_was_written(value: object) -> None:
    if isinstance(value, str) and ("\\" in value or "$" in value or not value.isprintable()):
        return  # what no config value is: Hydra's own escapes, and interpolations
    read = parse(f"key={text_of(value)}")
    assert read is not None
    assert read.value() == value
    assert type(read.value()) is type(value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("glob(*)", "a.b: glob() names no values by itself; write the options out: a.b=one,two"),
        ("shuffle(1,2)", "a.b: shuffle() has no meaning in a search, whose sampler picks the order; leave it out"),
        (
            "shuffle(range(1,5))",
            "a.b: shuffle() has no meaning in a search, whose sampler picks the order; leave it out",
        ),
        ("tag(log,choice(1,2))", "a.b: tag(log, ...) is for interval() and range(), not for a choice"),
        ("tag(wide,interval(1,2))", "a.b: tag(wide, ...): log is the only tag that a search knows"),
        ("tag(log,interval(0,1))", "a.b: from 0.0: a logarithm needs numbers above 0"),
        ("tag(log,range(1,9,2))", "a.b: log and a step do not go together"),
        ("tag(log,range(0.1,0.9,0.1))", "a.b: tag(log, range(...)) is for integers; write tag(log, interval(...))"),
        ("interval(5,1)", "a.b: from 5.0 to 1.0: the first number must be the smaller one"),
        ("range(5,1)", "a.b: range(5,1,1) is empty"),
        ("1,2,1", "a.b: 1 is given twice"),
    ],
)
def test_what_a_search_has_no_use_for_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(said)}$"):
        sweep(text)


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        (64, "64 is no sweep; write one such as"),
        ("64", "'64' is no sweep; write one such as"),
        ([], r"\[\] is no sweep"),
        ({"low": 1, "high": 2}, "must say type: categorical | int | float"),
        ({"type": "integer", "low": 1}, "must say type: categorical | int | float"),
        ({"type": "int", "low": 1.5, "high": 2}, "low, high and step must be integers"),
        ({"type": "float", "low": "a", "high": 2}, "low, high and step must be numbers"),
        ({"type": "float", "low": 0, "high": 2, "step": 0.0}, "step 0.0: must be above 0"),
        ({"type": "float", "low": 1, "high": 2, "log": 1}, ".log: 1 must be true or false"),
        ({"type": "int", "low": 1, "hihg": 2}, ".hihg: no such entry; did you mean 'high'?"),
        ({"type": "categorical", "choices": "a,b"}, ".choices: must be a list of values"),
        ({"sweep": "1,2", "low": 1}, ".low: no such entry"),
        ({"sweep": "1,2", "when": 5}, ".when: 5: write 'KEY=VALUE'"),
        ({"sweep": "1,2", "when": "b=interval(0,1)"}, "write 'KEY=VALUE'"),
    ],
)
def test_an_entry_that_is_wrong_is_told_with_its_key(entry: object, said: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^hydra\.sweeper\.search_space\.training\.epochs.*{said.replace('|', '.')}"
    ):
        of_entry("training.epochs", entry)


@pytest.mark.parametrize("key", ["hydra.sweeper.n_trials", "+hydra.launcher.n_jobs"])
def test_a_search_changes_nothing_of_hydras(key: str) -> None:
    with pytest.raises(ConfigError, match="a search changes no setting of Hydra's"):
        of_entry(key, [1, 2])
