"""Plug-ins of every kind, by the example package: described, composed, trained, gone on with, predicted from."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml
from omegaconf import OmegaConf

from hybrid_trainer import build, prepare
from hybrid_trainer.config import describe
from hybrid_trainer.config.compose import compose_config, load_config, to_config
from hybrid_trainer.config.known_keys import known_keys
from hybrid_trainer.config.overrides import prepare as prepared
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.engine.device import choose_precision
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.errors import BundleError, ConfigError
from hybrid_trainer.extend import CallbackConfig, ModelConfig, callback, model
from hybrid_trainer.inference.bundle import load_bundle
from hybrid_trainer.models import MODELS
from hybrid_trainer.plugins import digests
from hybrid_trainer.resume import resume
from hybrid_trainer.train import train
from tests.conftest import EXAMPLES, make_config
from tests.engine.helpers import CPU

ALL = [
    "plugins=[trend_plugins]",
    "data=random_walk",
    "data.days=200",
    "data.extra_features=[body_5]",
    "data.feature_set=core",
    "data.targets.fall.builder=drawdown",
    "data.targets.fall.horizon=4",
    "model=gated",
    "model.units=8",
    "model.time_window=4",
    "model.heads=[signal,fall]",
    "training.schedule.kind=halving",
    "training.schedule.options.every=1",
    "training.epochs=2",
    "training.batch_size=64",
    "callbacks.extra.weight_norm.limit=500",
    "callbacks.tensorboard.enabled=false",
]


@pytest.fixture(autouse=True)
def package(plugging: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The example package can be imported, as if it were installed; the current folder is a user's."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "trend_plugins"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_by(config: Config) -> str:
    with pytest.raises(ConfigError) as caught:
        prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
    return str(caught.value)


def refused(*overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        make_config(*overrides)
    return str(caught.value)


def test_all_kinds_together_train_and_the_run_goes_on_and_predicts(package: Path) -> None:
    config = make_config(*ALL)
    assert type(config.model).__name__ == "GatedConfig" and config.model.name == "gated"
    assert config.training.schedule.options == {"every": 1}
    run = train(config, package / "run", [])
    rows = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == [1e-3, 5e-4]
    assert len((run.path / "weight_norm.txt").read_text().splitlines()) == 2
    assert load_config(run.path / "config.yaml") == config
    assert run.record["plugins"] == {"trend_plugins": digests(["trend_plugins"])["trend_plugins"]}
    resume(run.path, ["training.epochs=3"])
    assert "code has changed" not in (run.path / "train.log").read_text()
    assert len((run.path / "weight_norm.txt").read_text().splitlines()) == 3  # it knows those before
    rows = [json.loads(line) for line in (run.path / "history.jsonl").read_text().splitlines()]
    assert [row["lr"] for row in rows] == [1e-3, 5e-4, 2.5e-4]
    predictor = load_bundle(run.bundle)
    frame = load_table(config.data, {})
    assert predictor.schema.model.name == "gated"
    assert len(predictor.predict(frame)) > 0
    del MODELS._entries["gated"]
    with pytest.raises(BundleError, match=r"needs the model family 'gated'.*predict --plugins trend_plugins$"):
        load_bundle(run.bundle)


def test_a_callback_is_told_before_the_checkpoint_which_holds_its_state(package: Path) -> None:
    config = make_config(*ALL)
    on = build.Machine(CPU, choose_precision("fp32", CPU))
    data = prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
    made = build.callbacks(config, package, package)
    keys = [one.key or type(one).__name__ for one in made]
    assert keys.index("extra.weight_norm") < keys.index("Checkpoint")
    trainer = build.trainer(config, build.model_spec(config, data), data, on, made)
    assert trainer.state_dict()["callbacks"]["extra.weight_norm"] == {"norms": []}


def test_what_plug_ins_bring_is_described_and_checked_like_what_is_built_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert describe.main(["model=gated", "--plugins", "trend_plugins"]) == 0
    shown = capsys.readouterr().out
    assert "model.units" in shown and "size of the shared layer" in shown and "gated" in shown
    for word, line in {
        "data=random_walk": "data.walks",
        "targets=drawdown": "data.targets.NAME.from_lows",
        "extra=weight_norm": "callbacks.extra.weight_norm.limit",
        "schedule=halving": "training.schedule.options.every",
    }.items():
        assert describe.main([word]) == 0
        assert line in capsys.readouterr().out
    assert known_keys()["model.units"].options == ["model=gated"]


WRONG = [
    ("model.unit=3", "model.unit: no such key; did you mean 'model.units'?"),
    ("model.units=0", "model.units: 0 is out of range; it must be at least 1"),
    ("model.units=many", "model.units: 'many' is not an integer (size of the shared layer; default 32)"),
    ("data.walk=3", "data.walk: no such key; did you mean 'data.walks'?"),
    ("callbacks.extra.weight_norm.limt=3", "callbacks.extra.weight_norm.limt: no such key; did you mean 'limit'?"),
    ("callbacks.extra.weight_norm.limit=0", "callbacks.extra.weight_norm.limit: 0.0 is out of range"),
    ("callbacks.extra.weight_norms={}", "callbacks.extra.weight_norms: there is no callback 'weight_norms'"),
    ("callbacks.extra.weight_norm=3", "callbacks.extra.weight_norm: 3 must be a mapping"),
    ("training.schedule.options.evry=3", "training.schedule.options.evry: no such key; did you mean 'every'?"),
    ("training.schedule.options.every=0", "training.schedule.options.every: 0 is out of range"),
    ("training.schedule.kind=halfing", "training.schedule.kind: 'halfing' is not one of"),
    ("training.schedule.kind=cosine", "training.schedule.options: for a schedule of a plug-in; 'cosine' has none"),
    ("data.targets.fall.from_low=true", "data.targets.fall.from_low: no such key; did you mean 'from_lows'?"),
    ("data.targets.fall.builder=drawdwn", "data.targets.fall.builder: 'drawdwn' is not a builder; did you mean"),
]


def test_a_wrong_key_is_one_line() -> None:
    composed = compose_config(prepared(ALL))
    plain = OmegaConf.to_container(OmegaConf.masked_copy(composed, [key for key in composed if key != "hydra"]))
    for override, said in WRONG:
        path, _, value = override.partition("=")
        changed = OmegaConf.create(copy.deepcopy(plain))
        OmegaConf.update(changed, path, yaml.safe_load(value), merge=False, force_add=True)
        with pytest.raises(ConfigError) as caught:
            to_config(changed)
        assert str(caught.value).startswith(said), override


def test_without_the_plug_in_its_names_are_unknown() -> None:
    assert refused("model=gated").startswith("model: there is no option 'gated'")
    assert refused("callbacks.extra.weight_norm={}").startswith(
        "callbacks.extra.weight_norm: there is no callback 'weight_norm'; no plug-in has brought one"
    )


@pytest.mark.parametrize("builtin", ["hybrid", "cnn"])
def test_a_name_that_is_taken_and_a_config_that_is_none_are_refused(builtin: str) -> None:
    with pytest.raises(ValueError, match=f"already a model named '{builtin}'"):
        model(builtin, ModelConfig)(torch.nn.Identity)
    with pytest.raises(ValueError, match="must be a dataclass that extends CallbackConfig"):
        callback("mine", int)  # type: ignore[arg-type]
        callback("mine", int)(lambda folder: None)  # type: ignore[arg-type,return-value]


def test_a_field_without_a_default_is_refused() -> None:
    from dataclasses import dataclass

    @dataclass(kw_only=True)
    class Bare(CallbackConfig):
        limit: float

    with pytest.raises(ValueError, match=r"limit needs a default: limit: int = key\(1, 'what it means'\)"):
        callback("mine", Bare)(lambda folder: None)  # type: ignore[arg-type,return-value]


def write(folder: Path, text: str) -> None:
    (folder / "mine.py").write_text(text, encoding="utf-8")


HEAD = """
from dataclasses import dataclass
from pathlib import Path
import numpy as np
import polars as pl
from hybrid_trainer.extend import *
from hybrid_trainer.extend import Callback, CallbackConfig, callback

"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "source 'mine': ZeroDivisionError: division by zero ("),
        ("return 3", "source 'mine': it made a int, not a polars.DataFrame"),
    ],
)
def test_a_source_that_fails_is_one_line(body: str, said: str, package: Path) -> None:
    write(package, f"{HEAD}@source('mine', DataConfig)\ndef mine(config):\n    {body}\n")
    config = make_config("plugins=[mine]", "data=mine", "model.heads=[signal]")
    with pytest.raises(ConfigError) as caught:
        load_table(config.data, config.active_targets)
    assert str(caught.value).startswith(said)
    if "1 / 0" in body:
        assert str(caught.value).endswith(f"({package / 'mine.py'}:11)")


def test_a_source_is_asked_once_for_the_columns_and_the_rows(package: Path) -> None:
    from hybrid_trainer.data.sources import check_columns

    write(
        package,
        f"{HEAD}asked = []\n@source('mine', DataConfig)\ndef mine(config):\n    asked.append(1)\n"
        "    return pl.DataFrame({'timestamp': [3, 1, 2], 'a': [1.0, 2.0, None], 'b': ['x', 'y', 'x']})\n",
    )
    config = make_config(
        "plugins=[mine]", "data=mine", "data.features=[a]", "data.missing=gap", "data.targets.own.column=b",
        "data.targets.own.kind=classification", "model.heads=[own]",
    )  # fmt: skip
    check_columns(config.data, config.active_targets)
    table = load_table(config.data, config.active_targets)
    assert sys.modules["mine"].asked == [1]
    assert table.file == "data=mine" and table.timestamp.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(table.numbers["a"], [2.0, np.nan, 1.0])
    again = load_table(config.data, config.active_targets)
    assert sys.modules["mine"].asked == [1, 1] and again.sha256 == table.sha256


def test_a_source_is_checked_like_a_file(package: Path) -> None:
    write(
        package,
        f"{HEAD}@source('mine', DataConfig)\ndef mine(config):\n"
        "    return pl.DataFrame({'timestamp': [1, 1], 'a': ['x', 'y'], 'b': [1.0, 2.0]})\n",
    )
    config = make_config(
        "plugins=[mine]", "data=mine", "data.features=[a]", "data.targets.own.column=b",
        "data.targets.own.kind=regression", "model.heads=[own]",
    )  # fmt: skip
    with pytest.raises(Exception, match="data=mine: column 'a' holds String, not numbers"):
        load_table(config.data, config.active_targets)


TARGET = (
    HEAD
    + """
@dataclass(kw_only=True)
class Mine(PriceTarget):
    pass

@target('mine', Mine)
def mine(name, table, config):
    spec = TargetSpec(name=name, kind='regression', dim=1, horizon=config.horizon, labels=('x',))
    {body}
"""
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "it made a int, not a Target"),
        (
            "return Target(spec=spec, values=np.zeros(len(table)))",
            "its values are 600 of float64, not 600 x 1 of float64, NaN where there is no label",
        ),
        (
            "return Target(spec=TargetSpec(name=name, kind='regression', dim=1, horizon=1, labels=('x',)), "
            "values=np.zeros((len(table), 1)))",
            "its spec says horizon 1, its config 5; they must be the same",
        ),
        ("raise KeyError('x')", "KeyError: 'x' ("),
        (  # one bar further than it says
            "look = lambda bars: future(bars.close, 6) / bars.close\n"
            "    return Target(spec=spec, values=per_row(table, look, behind=0, ahead=6)[:, None])",
            "the label of row ",
        ),
        (
            "return Target(spec=spec, values=per_row(table, lambda bars: bars.close, behind=0, ahead=5)[:, None])",
            "the label is known at its own row: no change of later rows changed it",
        ),
    ],
)
def test_a_builder_of_labels_that_is_wrong_is_refused(body: str, said: str, package: Path) -> None:
    write(package, TARGET.replace("{body}", body))
    config = make_config(
        "plugins=[mine,trend_plugins]", "data=random_walk", "data.days=200", "data.targets.own.builder=mine",
        "model.heads=[own]",
    )  # fmt: skip
    assert said_by(config).startswith(f"data.targets.own (builder 'mine'): {said}")


def test_a_model_or_callback_that_cannot_be_made_is_one_line(package: Path) -> None:
    write(package, f"{HEAD}@callback('mine')\nclass Mine(Callback):\n    pass\n")
    config = make_config("plugins=[mine]", "callbacks.extra.mine={}")
    with pytest.raises(ConfigError, match=r"^callback 'mine': TypeError: .*takes no arguments \(in mine\)$"):
        build.callbacks(config, package, package)


def test_a_plug_in_without_a_model_imports_no_torch(package: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); import trend_plugins.features, trend_plugins.source, "
        "trend_plugins.target; sys.exit('torch' in sys.modules)"
    ).replace("import trend_plugins.features", "import types; p = types.ModuleType('trend_plugins'); "
              "p.__path__ = [sys.argv[1] + '/trend_plugins']; sys.modules['trend_plugins'] = p; "
              "import trend_plugins.features")  # fmt: skip
    done = subprocess.run([sys.executable, "-c", code, str(EXAMPLES / "trend_plugins")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_own_schedule_must_be_one(package: Path) -> None:
    from hybrid_trainer.engine.schedules import Steps, make_own
    from hybrid_trainer.extend import schedule

    schedule("mine")(lambda optimizer, steps: 3)  # type: ignore[arg-type,return-value]
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    steps = Steps(warmup=0, per_epoch=1, total=1)
    with pytest.raises(ConfigError, match="schedule 'mine': it made a int, which is no Schedule"):
        make_own("mine", optimizer, steps, {})
    schedule("other")(lambda optimizer, steps: Schedule(optimizer, steps.warmup))
    assert isinstance(make_own("other", optimizer, steps, {}), Schedule)
    with pytest.raises(ValueError, match="already a schedule named 'cosine'"):
        schedule("cosine")(lambda optimizer, steps: Schedule(optimizer))


def test_the_digest_of_a_table_tells_every_difference() -> None:
    from hybrid_trainer.data.own_sources import digest

    frame = pl.DataFrame({"a": [1.0, None], "b": ["xy", "z"], "c": [1, 2]})
    others = [
        frame.with_columns(a=pl.Series([1.0, 0.0])),
        frame.with_columns(b=pl.Series(["x", "yz"])),
        frame.with_columns(c=pl.col("c").cast(pl.Int32)),
        frame.rename({"c": "d"}),
        frame.reverse(),
    ]
    assert len({digest(one) for one in [frame, *others]}) == 6
    assert digest(frame.clone()) == digest(frame)
