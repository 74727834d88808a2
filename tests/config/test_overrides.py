"""The command line's overrides, made ready for Hydra."""

from __future__ import annotations

import pytest

from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config


@pytest.mark.parametrize(
    "override",
    [
        "data.targets.signal.horizon=3",
        "data.targets.mine.column=label",
        "data.targets.mine={column: label, kind: regression}",
        "data.targets={}",
        "data.columns.close=Last",
        "training.loss_weights.signal=2",
        "training.loss_weights={signal: 2}",
        "training.losses.volatility=mse",
        "model.embeddings.instrument=8",
        "data.targets.signal.horizon=3,5",
    ],
)
def test_an_override_at_or_below_an_open_mapping_may_add_entries(override: str) -> None:
    assert prepare([override]) == [f"++{override}"]


@pytest.mark.parametrize(
    "override",
    [
        "training.epochs=3",
        "model.heads=[signal]",
        "seed=1,2,3",
        "data.path='a=b.csv'",
        "data.target=5",
        "paths.root=/tmp/x",
        "+data.targets.signal.horizon=3",
        "++training.loss_weights.signal=2",
        "~model.embeddings.instrument",
        "~data.targets.signal",
        "hydra.run.dir=elsewhere",
        "experiment=quick",
        "experiment=null",
        "nothing",
        "run.id=null",
        "run.id=a,b",
        "run.id='1'",
    ],
)
def test_any_other_override_stays_as_it_is(override: str) -> None:
    assert prepare([override]) == [override]


def test_the_order_is_kept() -> None:
    given = ["seed=1", "data.columns.open=O", "training.epochs=2", "seed=3"]
    assert prepare(given) == ["seed=1", "++data.columns.open=O", "training.epochs=2", "seed=3"]


@pytest.mark.parametrize("sign", ["", "+", "++", "~"])
@pytest.mark.parametrize(
    "key",
    [
        "hydra.callbacks.mine._target_",
        "hydra.callbacks",
        "hydra.job_logging.root.level",
        "hydra.hydra_logging",
        "hydra/job_logging",
        "hydra/hydra_logging",
    ],
)
def test_code_and_logging_cannot_be_set_through_hydra(sign: str, key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare(["seed=1", f"{sign}{key}=default"])
    assert str(caught.value) == (
        f"{key}: cannot be set: a run sets up its own logging, and a config may not name code to run"
    )


@pytest.mark.parametrize(
    "override",
    ["hydra.launcher._target_=os.system", "++hydra={launcher: {_target_: os.system}}", "hydra.sweeper.x._target_=y"],
)
def test_a_class_of_hydra_cannot_be_picked(override: str) -> None:
    with pytest.raises(ConfigError, match=r"^hydra\S*: a config may not name code to run \(_target_\)"):
        prepare([override])


@pytest.mark.parametrize("override", ["=3", "", "+=3", "~"])
def test_an_override_without_a_key_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match=r": not an override; write key=value$"):
        prepare([override])


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("data=null", "data: 'null' is not an option; write data=us_stocks or csv or parquet or synthetic"),
        ("~data", "data: a group cannot be removed; write data=us_stocks or csv or parquet or synthetic"),
        ("data=", "data: '' is not an option; write data=us_stocks or csv or parquet or synthetic"),
        (
            "data=[csv,parquet]",
            "data: '[csv,parquet]' is not an option; write data=us_stocks or csv or parquet or synthetic",
        ),
        ("model=5", f"model: '5' is not an option; write model={' or '.join(OPTIONS['model'])}"),
        ("training={epochs: 3}", "training: '{epochs: 3}' is not an option; write training=default"),
    ],
)
def test_a_group_needs_the_name_of_an_option(override: str, text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        prepare([override])
    assert str(caught.value) == text


@pytest.mark.parametrize("override", ["data=csv", "data='csv'", 'data="csv"', "model=my_own", "data=csv,parquet"])
def test_the_name_of_an_option_passes(override: str) -> None:
    assert prepare([override]) == [override]


@pytest.mark.parametrize(
    ("given", "prepared"),
    [
        ("data.expressions.m=col('x').clip(-1, 1)", "++data.expressions.m=\"col('x').clip(-1, 1)\""),
        ('data.expressions.m=col("x")', '++data.expressions.m="col(\\"x\\")"'),
        ("data.expressions.m='1 + col(\"x\")'", "++data.expressions.m='1 + col(\"x\")'"),
        ("++data.expressions.m=col('x')", "++data.expressions.m=\"col('x')\""),
        ("data.expressions={}", "++data.expressions={}"),
        ("~data.expressions.m", "~data.expressions.m"),
    ],
)
def test_an_expression_needs_no_quotes_of_its_own(given: str, prepared: str) -> None:
    assert prepare([given]) == [prepared]


@pytest.mark.parametrize("text", ["col('x').clip(-1, 1)", 'col("x") ** 2', "col('a\\\\b').log()"])
def test_an_expression_arrives_as_it_was_written(text: str) -> None:
    assert make_config(f"data.expressions.m={text}").data.expressions == {"m": text}


@pytest.mark.parametrize("name", ["1e5", "2026_11_25", "007", "true", "12345e7", "my-run.2"])
def test_a_runs_name_is_text_whatever_it_looks_like(name: str) -> None:
    assert make_config(f"run.id={name}").run.id == name


@pytest.mark.parametrize(
    "value", ["multirun/a/0-model=gated_seed=1/model", "./instrument=AAPL/part-0.csv", "a=", "a=b=c"]
)
def test_a_folder_whose_name_has_an_equals_sign_needs_no_quotes(value: str) -> None:
    assert make_config("data=csv", f"data.path={value}").data.path == value  # type: ignore[union-attr]
    assert prepare([f"data.path='{value}'"]) == [f"data.path='{value}'"]
