"""One clear line for whatever is wrong in a user's config: the key, what was given, what would be right."""

from __future__ import annotations

import re

import pytest
from omegaconf.errors import ConfigAttributeError

from hybrid_trainer.config.messages import explain
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config


def message(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(*overrides)
    text = str(caught.value)
    assert "\n" not in text
    return text


TOP = "known: data, model, training, callbacks, seed, run, plugins, paths"


UNKNOWN = [
    # by its whole path
    ("training.epoch=3", "training.epoch: no such key; did you mean 'training.epochs'?"),
    ("+training.epoch=3", "training.epoch: no such key; did you mean 'training.epochs'?"),
    ("++training.epoch=3", "training.epoch: no such key; did you mean 'training.epochs'?"),
    ("model.lstm_unit=5", "model.lstm_unit: no such key; did you mean 'model.lstm_units'?"),
    ("training.loss_weight.signal=2", "training.loss_weight: no such key; did you mean 'training.loss_weights'?"),
    ("training.schedule.kindd=none", "training.schedule.kindd: no such key; did you mean 'training.schedule.kind'?"),
    ("training/epochs=3", "training/epochs: no such key; did you mean 'training.epochs'?"),
    # by its last word
    ("epochs=3", "epochs: no such key; did you mean 'training.epochs'?"),
    ("model.epochs=3", "model.epochs: no such key; did you mean 'training.epochs'?"),
    # nothing is close
    ("foo=1", f"foo: no such key; {TOP}"),
    ("foo.bar=1", f"foo: no such key; {TOP}"),
    ("+foo.bar=1", f"foo: no such key; {TOP}"),
    ("++foo.bar=1", f"foo: no such key; {TOP}"),
    # in open mappings
    ("data.targets.signal.horizn=3", "data.targets.signal.horizn: no such key; did you mean 'horizon'?"),
    ("+data.targets.signal.horizn=3", "data.targets.signal.horizn: no such key; did you mean 'horizon'?"),
    ("++data.targets.signal.horizn=3", "data.targets.signal.horizn: no such key; did you mean 'horizon'?"),
    (
        "training.loss_weights.typo=2",
        "training.loss_weights.typo: 'typo' is not an active head; known: signal, volatility, regime, sl_tp",
    ),
    (
        "+training.loss_weights.singal=2",
        "training.loss_weights.singal: 'singal' is not an active head; did you mean 'signal'?",
    ),
    (
        "training.losses.volatilty=mse",
        "training.losses.volatilty: 'volatilty' is not an active head; did you mean 'volatility'?",
    ),
    (
        "data.targets.singal.horizon=3",
        "data.targets.singal.builder: 'singal' is not a builder; did you mean 'signal'?",
    ),
    (
        "data.columns.volum=Volume",
        "data.columns: 'volum' is not one of open, high, low, close, volume; did you mean 'volume'?",
    ),
    ("model.embeddings.sector=3", "model.embeddings.sector: not a categorical input; known: instrument"),
    # another option has it
    ("data.path=x.csv", "data.path: only with data=csv or data=parquet"),
    ("+data.path=x.csv", "data.path: only with data=csv or data=parquet"),
    ("++data.path=x.csv", "data.path: only with data=csv or data=parquet"),
    # nothing to remove, nothing to add
    ("~training.epoch", "~training.epoch: there is no such key to remove"),
    ("~model.embeddings.sector", "~model.embeddings.sector: there is no such key to remove"),
    ("+training.epochs=3", "training.epochs: is there already; write it without '+'"),
]


def test_a_key_that_an_experiment_sets_for_another_family_is_told_as_the_experiments() -> None:
    chosen = ("experiment=acl18", "data.path=x.parquet", "model=linear")
    assert message(*chosen) == (
        "model.cnn_filters: experiment=acl18 sets it, and only model=hybrid or model=cnn has it; "
        "write an experiment without such keys"
    )
    assert message(*chosen, "model.cnn_filters=[8]") == "model.cnn_filters: only with model=hybrid or model=cnn"


@pytest.mark.parametrize(("override", "text"), UNKNOWN, ids=[case[0] for case in UNKNOWN])
def test_an_unknown_key_is_told_with_the_closest(override: str, text: str) -> None:
    assert message(override) == text


TYPES = [
    (
        "training.epochs=abc",
        "training.epochs: 'abc' is not an integer (passes over the training windows, at most; default 20)",
    ),
    (
        "training.epochs=1.5",
        "training.epochs: '1.5' is not an integer (passes over the training windows, at most; default 20)",
    ),
    (
        "training.epochs=true",
        "training.epochs: 'True' is not an integer (passes over the training windows, at most; default 20)",
    ),
    (
        "training.learning_rate=fast",
        "training.learning_rate: 'fast' is not a number (step size of the optimizer, at the start; default 0.001)",
    ),
    (
        "training.deterministic=maybe",
        "training.deterministic: 'maybe' is not true or false (only operations that repeat bit for bit; default true)",
    ),
    (
        "model.cnn_filters=32",
        "model.cnn_filters: must be a list: model.cnn_filters=[...] "
        "(output channels of each convolution block; default [32, 32])",
    ),
    (
        "model.cnn_filters=[a]",
        "model.cnn_filters[0]: 'a' is not an integer (output channels of each convolution block; default [32, 32])",
    ),
    (
        "training.loss_weights=5",
        "training.loss_weights: must be a mapping: training.loss_weights.NAME=... "
        "(weight of each task in the total loss: TASK: number; 1 where not given; default {})",
    ),
    ("training.loss_weights.signal=much", "training.loss_weights.signal: 'much' is not a number"),
    ("model.embeddings.instrument=wide", "model.embeddings.instrument: 'wide' is not an integer"),
    ("data.targets.signal.horizon=abc", "data.targets.signal.horizon: 'abc' is not an integer"),
    ("data.targets.signal=5", "data.targets.signal: 5 must be a mapping such as {builder: signal, horizon: 5}"),
    # null where it is not allowed
    (
        "training.epochs=null",
        "training.epochs: null is not allowed (passes over the training windows, at most; default 20)",
    ),
    ("training.loss_weights.signal=null", "training.loss_weights.signal: null is not allowed"),
    ("training.schedule=null", "training.schedule: null is not allowed"),
    (
        "callbacks.tensorboard.enabled=null",
        "callbacks.tensorboard.enabled: null is not allowed (write them at all; default true)",
    ),
    ("training.epochs=???", "training.epochs: a value is needed"),
]


@pytest.mark.parametrize(("override", "text"), TYPES, ids=[case[0] for case in TYPES])
def test_a_wrong_type_is_told_with_the_keys_meaning_and_default(override: str, text: str) -> None:
    assert message(override) == text


VALUES = [
    ("seed=-1", "seed: -1 is out of range; it must be at least 0"),
    ("training.epochs=0", "training.epochs: 0 is out of range; it must be at least 1"),
    ("training.learning_rate=nan", "training.learning_rate: nan is out of range; it must be above 0"),
    ("training.loss_weights.signal=-1", "training.loss_weights.signal: -1.0 is out of range; it must be at least 0"),
    ("data.targets.signal.horizon=0", "data.targets.signal.horizon: 0 is out of range; it must be at least 1"),
    ("data.targets.signal.classes=4", "data.targets.signal.classes: 4 must be 3 or 5"),
    (
        "data.targets.signal.thresholds=[2,1]",
        "data.targets.signal.thresholds: [2.0, 1.0] must be 1 positive, increasing number(s)",
    ),
    ("training.optimizer=adm", "training.optimizer: 'adm' is not one of adamw, adam, sgd; did you mean 'adam'?"),
    ("data.targets.mine={builder: foo}", "data.targets.mine.builder: 'foo' is not a builder; known: signal, "),
    ("data.targets.mine.builder=column", "data.targets.mine.column: name the column that holds the labels"),
    (
        "data.targets.mine={column: y, kind: foo}",
        "data.targets.mine.kind: 'foo' is not one of classification, regression",
    ),
    ("model.heads=[singal]", "model.heads: 'singal' is not in data.targets; did you mean 'signal'?"),
    (
        "callbacks.checkpoint.monitor=valid/los",
        "callbacks.checkpoint.monitor: 'valid/los' is not a number of the epoch row; did you mean 'valid/loss'?",
    ),
    # options of a group
    ("data=us_stock", "data: there is no option 'us_stock'; did you mean 'us_stocks'?"),
    ("model=gru", "model: there is no option 'gru'; known: cnn, deeplob, dlinear, hybrid, linear, lstm"),
    ("experiment=nope", "experiment: there is no option 'nope'; known: acl18, crypto1h, etth2"),
    ("data/targets=nope", "data/targets: there is no option 'nope'; known: price"),
    ("data=csv", "data.path: data=csv needs a file: data.path=prices.csv"),
    ("model.name=nope", "model.name: 'nope' is not known; known: hybrid"),
    # values that are no values
    ("training.epochs=${model.nope}", "training.epochs: Interpolation key 'model.nope' not found"),
    ("training.epochs=${nope:1}", "training.epochs: Unsupported interpolation type nope"),
    ("training.epochs", "training.epochs: not an override; write key=value, and quote a value with spaces or "),
    ("model.cnn_filters=[1", "model.cnn_filters=[1: not an override; write key=value, and quote a value with "),
]


@pytest.mark.parametrize(("override", "text"), VALUES, ids=[case[0] for case in VALUES])
def test_a_wrong_value_is_told_with_what_would_be_right(override: str, text: str) -> None:
    assert message(override).startswith(text)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [
        ("model.lstm_units=32,64", "model.lstm_units", "32,64"),
        ("seed=range(0,3)", "seed", "range(0,3)"),
        ("model.heads=signal,volatility", "model.heads", "signal,volatility"),
        ("data=csv,us_stocks", "data", "csv,us_stocks"),
    ],
)
def test_several_values_need_multirun(override: str, key: str, value: str) -> None:
    assert message(override).startswith(f"{key}: '{value}' is several values; add --multirun to run each")


@pytest.mark.parametrize(
    "override", ["_target_=os.system", "+model._target_=os.system", "++data.targets.signal._target_=os.system"]
)
def test_a_target_class_is_an_unknown_key(override: str) -> None:
    key = override.lstrip("+").partition("=")[0]
    assert message(override).startswith(f"{key}: no such key")


def test_a_key_of_another_builder_or_a_new_entry_is_accepted_where_it_belongs() -> None:
    config = make_config("data.targets.mine={column: y, kind: regression, horizon: 2}", "+training.loss_weights.mine=2")
    assert config.heads[-1] == "mine"
    assert config.data.targets["mine"].horizon == 2
    assert config.training.loss_weights == {"mine": 2.0}


def test_a_list_of_context_columns_can_be_replaced_and_blocks_added_to_but_not_mixed() -> None:
    assert make_config("data.context=[a]", "data.context=[b]").data.context_blocks == {"context": ["b"]}
    both = make_config("data.context.text=[a]", "data.context.rest=[b]")
    assert both.data.context_blocks == {"text": ["a"], "rest": ["b"]}
    text = (
        "a list of columns and named blocks do not go together; name each block, data.context.NAME=[a,b], and remove "
        "one with ~data.context.NAME"
    )
    assert message("data.context=[a]", "data.context.text=[b]") == f"data.context.text: {text}"
    assert message("data.context.text=[b]", "data.context=[a]") == f"data.context: {text}"


IN_THE_USERS_WORDS = [
    ("data.targets.volatility.classes=3", r"^data\.targets\.volatility\.classes: (?!.*did you mean 'classes')"),
    ("+training.foo.bar=2", r"^training\.foo: no such key(?!; did you mean 'training')"),
    (
        "callbacks.early_stoping.patience=3",
        r"^callbacks\.early_stoping: no such key; did you mean 'callbacks\.early_stopping'\?$",
    ),
    ("callbacks.early_stopping=5", r"^callbacks\.early_stopping: (?!.*subclass)"),
    ("paths=5", r"^paths: (?!.*subclass)"),
    ("~training.epochs", r"^~?training\.epochs: "),
    ("~data.targets", r"^~?data\.targets: "),
    ("+experiment=quick", r"^experiment: .*without '\+'"),
    ("data=[csv,us_stocks]", r"^data: "),
    ("training.epochs.foo=3", r"^training\.epochs\.foo: "),
    ("data.targets.signal.horizon=null", r"^data\.targets\.signal\.horizon: null is not allowed"),
    ("seed=null", r"^seed: null is not allowed"),
    ("data.targets.signal.horizon=3,5", r"^data\.targets\.signal\.horizon: '3,5' is several values"),
    ("=3", r"^=3: not an override"),
]


@pytest.mark.parametrize(("override", "pattern"), IN_THE_USERS_WORDS)
def test_a_message_speaks_the_users_language(override: str, pattern: str) -> None:
    assert re.search(pattern, message(override))


def test_an_error_of_ours_inside_another_is_shown_as_it_is() -> None:
    inner = ConfigError("seed: is wrong")
    outer = RuntimeError("while composing")
    outer.__cause__ = inner
    assert explain(outer) is inner


def test_an_error_that_nobody_foresaw_becomes_one_line() -> None:
    assert str(explain(RuntimeError("first\n  second"))) == "first second"


def test_a_signal_is_no_mistake_in_the_config_though_omegaconf_stumbles_over_it() -> None:
    def stumbles() -> None:
        try:
            try:
                raise KeyboardInterrupt
            finally:
                None._invalidate_flags_cache()  # type: ignore[attr-defined]
        except AttributeError as error:
            raise ConfigAttributeError(str(error)) from None

    with pytest.raises(ConfigAttributeError) as caught:
        stumbles()
    with pytest.raises(KeyboardInterrupt):
        explain(caught.value)
