"""From overrides to plain dataclasses: what is promised exists, has an effect, and composes."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import asdict, fields, is_dataclass
from functools import reduce
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from hybrid_trainer.config.compose import compose_config, load_config, to_config
from hybrid_trainer.config.data import TableData
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import OPTIONS, Config
from hybrid_trainer.config.targets import ColumnTarget, RegimeTarget, SignalTarget
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config

CONF = Path(str(files("hybrid_trainer.conf")))

PROMISED = {
    "training.epochs": 7,
    "training.batch_size": 33,
    "training.learning_rate": 0.125,
    "training.optimizer": "sgd",
    "training.loss_weights.volatility": 2.5,
    "model.time_window": 11,
    "model.lstm_units": 17,
    "model.cnn_filters": [5, 6, 7],
    "model.heads": ["volatility", "regime"],
    "model.embeddings.instrument": 9,
    "callbacks.early_stopping.patience": 13,
    "callbacks.checkpoint.monitor": "valid/regime/mcc",
    "paths.processed_data_path": "somewhere.csv",
    "paths.model_save_path": "models",
    "paths.log_dir": "logs",
}


def look_up(config: Config, key: str) -> Any:
    def step(at: Any, name: str) -> Any:
        return at[name] if isinstance(at, dict) else getattr(at, name)

    return reduce(step, key.split("."), config)


@pytest.fixture(scope="module")
def changed() -> Config:
    return make_config(*(f"{key}={value}" for key, value in PROMISED.items()))


@pytest.fixture(scope="module")
def default() -> Config:
    return make_config()


@pytest.mark.parametrize("key", PROMISED)
def test_a_promised_name_exists_and_has_an_effect(changed: Config, default: Config, key: str) -> None:
    assert look_up(changed, key) == PROMISED[key]
    if "loss_weights" not in key:  # empty unless given
        assert look_up(default, key) != PROMISED[key]


def test_the_processed_data_path_is_the_default_of_the_data_path() -> None:
    data = make_config("data=csv", "paths.processed_data_path=a.csv").data
    assert isinstance(data, TableData)
    assert data.path == "a.csv"
    own = make_config("data=parquet", "paths.processed_data_path=a.csv", "data.path=b.parquet")
    assert isinstance(own.data, TableData)
    assert own.data.path == "b.parquet"
    assert own.paths.processed_data_path == "a.csv"


NEEDED = {"data=csv": ["data.path=p.csv"], "data=etth2": ["data.path=p.csv"], "data=parquet": ["data.path=p.parquet"]}
CHOICES = [
    f"{path.parent.relative_to(CONF)}={path.stem}"
    for path in sorted(CONF.rglob("*.yaml"))
    if path.parent != CONF  # config.yaml itself
]


def test_there_is_something_in_every_group() -> None:
    assert {choice.partition("=")[0] for choice in CHOICES} == {*OPTIONS, "experiment", "data/targets"}


@pytest.mark.parametrize("choice", CHOICES)
def test_every_option_and_every_experiment_composes(choice: str) -> None:
    published = choice.startswith("experiment=") and choice != "experiment=quick"
    config = make_config(choice, *(["data.path=a_file"] if published else NEEDED.get(choice, [])))
    group, _, option = choice.partition("=")
    if group in OPTIONS and option in OPTIONS[group]:
        assert type(getattr(config, group)) is OPTIONS[group][option]
        assert getattr(config, group).name == option


def test_the_default_is_the_embedded_data_set_with_four_heads(default: Config) -> None:
    assert default.data.name == "us_stocks"
    assert default.heads == ["signal", "volatility", "regime", "sl_tp"]
    assert default.data.targets["signal"] == SignalTarget(horizon=5, classes=3, thresholds=[0.5], lookback=20)
    assert default.seed == 0


@pytest.mark.parametrize("group", ["model", "training", "callbacks"])
def test_the_yaml_files_and_the_dataclasses_tell_the_same_defaults(default: Config, group: str) -> None:
    section = getattr(default, group)
    assert section == type(section)()


def plain_leaves(value: Any) -> list[Any]:
    if is_dataclass(value):
        return [leaf for field in fields(value) for leaf in plain_leaves(getattr(value, field.name))]
    if type(value) is dict:
        return [leaf for item in value.items() for leaf in plain_leaves(list(item))]
    if type(value) is list:
        return [leaf for item in value for leaf in plain_leaves(item)]
    return [value]


def test_a_config_holds_plain_values_alone(changed: Config) -> None:
    types = {type(leaf) for leaf in plain_leaves(changed)}
    assert types <= {str, int, float, bool, type(None)}


def test_two_configs_share_nothing() -> None:
    tree = compose_config([])
    first, second = to_config(tree), to_config(tree)
    first.model.embeddings["x"] = 1  # type: ignore[attr-defined]
    first.data.targets.clear()
    assert second == to_config(tree)


def test_an_interpolation_of_the_users_own_is_resolved() -> None:
    assert make_config("training.batch_size=${model.time_window}", "model.time_window=12").training.batch_size == 12


def test_numbers_are_read_as_numbers_and_texts_as_texts() -> None:
    given = ["training.learning_rate=1e-3", "training.clip_norm=null", "data.instrument=no", "data.timestamp=007"]
    config = make_config(*given)
    assert config.training.learning_rate == 1e-3
    assert config.training.clip_norm is None
    assert (config.data.instrument, config.data.timestamp) == ("no", "007")


def test_targets_become_the_dataclasses_of_their_builders() -> None:
    config = make_config(
        "data.targets.signal.classes=5", "data.targets.mine={column: y, kind: classification, horizon: 3}"
    )
    assert config.data.targets["signal"] == SignalTarget(horizon=5, classes=5, thresholds=[0.4, 1.2])
    assert config.data.targets["mine"] == ColumnTarget(column="y", kind="classification", horizon=3)
    assert config.heads == ["signal", "volatility", "regime", "sl_tp", "mine"]


def test_a_target_can_be_removed_and_its_name_given_to_another_builder() -> None:
    assert make_config("~data.targets.signal").heads == ["volatility", "regime", "sl_tp"]
    config = make_config("~data.targets.regime", "data.targets.next={builder: regime, threshold: 0.3}")
    assert config.data.targets["next"] == RegimeTarget(horizon=20, threshold=0.3)


def test_the_later_of_two_overrides_wins() -> None:
    assert make_config("seed=1", "training.epochs=2", "seed=3").seed == 3


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["data=csv", "data.path=p.csv", "data.features=[a]", "~data.targets.signal"],
        ["data.context=[a,b]", "data.categories=[sector]", "model.embeddings.sector=3"],
        ["data.context.text=[a,b]", "data.context.rest=r_*"],
    ],
)
def test_a_config_written_to_yaml_is_read_back_the_same(tmp_path: Path, overrides: list[str]) -> None:
    config = make_config(*overrides)
    file = tmp_path / "config.yaml"
    file.write_text(OmegaConf.to_yaml(asdict(config)))
    assert load_config(file) == config


def test_a_run_directory_lies_under_the_root_and_ends_with_a_random_part() -> None:
    tree = compose_config(["paths.root=elsewhere"])
    first, second = str(tree.hydra.run.dir), str(tree.hydra.run.dir)
    assert first.startswith("elsewhere/outputs/")
    assert first.rpartition("-")[2] == second.rpartition("-")[2]
    assert len(first.rpartition("-")[2]) == 6
    assert str(tree.hydra.sweep.dir).startswith("elsewhere/multirun/")


def test_a_composed_tree_that_lacks_a_section_is_refused() -> None:
    tree = OmegaConf.create({"seed": 1, "data": {"path": "x"}})
    with pytest.raises(ConfigError, match=r"^data: choose an option: data=us_stocks \| csv \| parquet \| synthetic$"):
        to_config(tree)


def test_a_key_that_passed_hydra_behind_a_plus_is_refused() -> None:
    tree = compose_config([])
    OmegaConf.set_struct(tree, False)
    OmegaConf.update(tree, "extra", {"a": 1}, force_add=True)
    with pytest.raises(ConfigError, match=r"^extra: no such key"):
        to_config(tree)


def test_callbacks_of_hydra_are_refused_however_they_come() -> None:
    for override in ("+hydra={callbacks: {mine: {_target_: os.system}}}", "++hydra={callbacks: {mine: {}}}"):
        with pytest.raises(ConfigError, match="hydra"):
            compose_config(prepare([override]))


@pytest.mark.parametrize("key", ["hydra.launcher._target_", "hydra.sweeper._target_"])
def test_classes_of_hydra_cannot_be_replaced(key: str) -> None:
    with pytest.raises(ConfigError, match="_target_"):
        compose_config(prepare([f"{key}=os.system"]))


def test_a_plugin_of_hydra_is_chosen_by_its_name() -> None:
    tree = compose_config(prepare(["hydra/launcher=basic", "hydra/sweeper=basic"]))
    assert str(tree.hydra.launcher._target_).endswith(".BasicLauncher")


def test_composing_and_checking_a_table_import_no_torch() -> None:
    program = (
        "import sys, numpy\n"
        "from hybrid_trainer.config import consistency, messages, user_files\n"
        "from hybrid_trainer.config.compose import compose_config, to_config\n"
        "from hybrid_trainer.data import checks, csv_diagnosis, features, sources, timestamps\n"
        "config = to_config(compose_config([]))\n"
        "table = sources.load_table(config.data, config.active_targets)\n"
        "chosen = features.select_features('technical', [], {'m': \"col('close').diff()\"})\n"
        "out = numpy.empty((len(table), len(chosen)), 'float32')\n"
        "features.compute_features(table.prices, table.blocks, chosen, out)\n"
        "print(len(table), [name for name in ('torch', 'sklearn', 'skops') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    rows, loaded = done.stdout.split(maxsplit=1)
    assert int(rows) > 10_000
    assert loaded.strip() == "[]"


def test_a_default_entry_of_a_mapping_that_is_removed_stays_away() -> None:
    assert make_config("~model.embeddings.instrument").model.embeddings == {}  # type: ignore[attr-defined]
    assert "volume" not in make_config("~data.columns.volume").data.columns
    assert make_config("model.embeddings.instrument=7").model.embeddings == {"instrument": 7}  # type: ignore[attr-defined]


@pytest.mark.parametrize("given", ["model.embeddings.instrument=null", "model.embeddings={instrument:null}"])
def test_an_embedding_is_switched_off_by_null(given: str) -> None:
    assert make_config(given).model.embeddings == {"instrument": None}  # type: ignore[attr-defined]
