"""A user's own configs: options in ./conf/GROUP/, and one file of keys with --config FILE."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.errors import ConfigError
from tests.conftest import make_config

Write = Callable[[str, str], Path]


def composed(*arguments: str) -> Config:
    """What `python -m hybrid_trainer ARGUMENTS` would run, in the current folder."""
    rest = user_files.take_config_option(list(arguments))
    return to_config(compose_config(prepare(user_files.overrides() + rest)))


def refused(*arguments: str) -> str:
    with pytest.raises(ConfigError) as caught:
        composed(*arguments)
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Write a file in the current folder, which is an empty one."""
    monkeypatch.chdir(tmp_path)

    def writer(name: str, text: str) -> Path:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return writer


MINE = "defaults: [default, _self_]\nepochs: 7\n"
EXPERIMENT = "# @package _global_\ntraining: {epochs: 9}\nmodel: {lstm_units: 8}\n"


def test_without_a_conf_folder_there_is_nothing_to_search(write: Write) -> None:
    assert user_files.overrides() == []
    write("conf/other/thing.yaml", "x: 1")
    assert user_files.overrides() == []


def test_the_checkouts_own_conf_folder_is_not_a_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(Path(str(files("hybrid_trainer.conf"))).parent)
    assert user_files.overrides() == []


def test_an_unchanged_copy_of_the_built_in_options_is_accepted(write: Write) -> None:
    built_in = Path(str(files("hybrid_trainer.conf"))) / "model" / "hybrid.yaml"
    write("conf/model/hybrid.yaml", built_in.read_text())
    assert composed().model == make_config().model


def test_an_option_of_the_users_own_is_found_in_the_conf_folder(write: Write) -> None:
    write("conf/training/mine.yaml", MINE)
    assert composed("training=mine").training.epochs == 7
    assert composed("training=mine", "training.epochs=8").training.epochs == 8
    assert composed().training.epochs == 20


def test_an_experiment_of_the_users_own_is_found_in_the_conf_folder(write: Write) -> None:
    write("conf/experiment/mine.yaml", EXPERIMENT)
    config = composed("experiment=mine")
    assert (config.training.epochs, getattr(config.model, "lstm_units", None)) == (9, 8)


def test_an_experiment_can_choose_options(write: Write) -> None:
    text = "# @package _global_\ndefaults: [{override /data: csv}]\ndata: {path: p.csv, timestamp: when}\n"
    write("conf/experiment/mine.yaml", text)
    data = composed("experiment=mine").data
    assert (data.name, data.timestamp, getattr(data, "path", None)) == ("csv", "when", "p.csv")


def test_a_data_option_of_the_users_own_keeps_the_name_of_what_it_varies(write: Write) -> None:
    write("conf/data/shares.yaml", "defaults: [csv, _self_]\npath: p.csv\ninstrument: Ticker\n")
    data = composed("data=shares").data
    assert (data.name, data.instrument) == ("csv", "Ticker")
    assert list(data.targets) == ["signal", "volatility", "regime", "sl_tp"]


def test_an_option_that_is_not_there_is_told_with_the_users_own(write: Write) -> None:
    write("conf/training/mine.yaml", MINE)
    assert refused("training=mina") == "training: there is no option 'mina'; did you mean 'mine'?"


def test_an_option_with_a_built_in_name_is_refused_since_it_would_not_be_read(write: Write) -> None:
    write("conf/training/default.yaml", "epochs: 3\n")
    assert refused() == (
        "conf/training/default.yaml: the built-in option training/default has this name, so this file would not be "
        "read; give it another name (it may begin with 'defaults: [default, _self_]')"
    )


@pytest.mark.parametrize(
    ("section", "text"),
    [
        (
            "hydra: {callbacks: {mine: {_target_: os.system}}}",
            "hydra.callbacks: mine: a config may not name code to run",
        ),
        (
            "hydra: {job_logging: {version: 1, root: {level: INFO}}}",
            "hydra.job_logging: logging is set up by the run itself; remove this section",
        ),
    ],
)
def test_an_experiment_may_not_set_up_code_or_logging(write: Write, section: str, text: str) -> None:
    write("conf/experiment/mine.yaml", f"# @package _global_\n{section}\n")
    assert refused("experiment=mine") == text


@pytest.mark.parametrize("plugin", ["launcher", "sweeper"])
def test_an_experiment_may_not_pick_hydras_own_classes(write: Write, plugin: str) -> None:
    write("conf/experiment/mine.yaml", f"# @package _global_\nhydra: {{{plugin}: {{_target_: os.system}}}}\n")
    assert refused("experiment=mine").startswith(f"hydra.{plugin}._target_: 'os.system': a config may not name code")


def test_a_broken_file_is_told_with_its_name(write: Write) -> None:
    write("conf/experiment/mine.yaml", "# @package _global_\ntraining: {epochs: [\n")
    text = refused("experiment=mine")
    assert text.startswith("a config file is not valid YAML: ")
    assert "conf/experiment/mine.yaml" in text


@pytest.mark.parametrize("name", ["two words", "a%20b", "ä", "a (1)", "a'b", "a,b"])
def test_the_conf_folder_is_found_below_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    folder = tmp_path / name / "conf" / "training"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text(MINE)
    monkeypatch.chdir(tmp_path / name)
    assert composed("training=mine").training.epochs == 7


def test_a_file_of_keys_comes_before_the_overrides(write: Write) -> None:
    write("my.yaml", "training: {epochs: 7, learning_rate: 1e-4}\nseed: 5\n")
    config = composed("--config", "my.yaml", "seed=6")
    assert (config.training.epochs, config.training.learning_rate, config.seed) == (7, 1e-4, 6)
    assert composed("seed=6", "--config=my.yaml") == config


def test_a_file_of_keys_comes_after_an_experiment(write: Write) -> None:
    write("my.yaml", "training: {epochs: 7}\n")
    config = composed("experiment=quick", "--config", "my.yaml")
    assert (config.training.epochs, config.training.batch_size) == (7, 256)


def test_the_other_arguments_are_left_as_they_were(write: Write) -> None:
    write("my.yaml", "seed: 5\n")
    rest = user_files.take_config_option(["--multirun", "seed=1,2", "--config", "my.yaml", "model=hybrid"])
    assert rest == ["config_file=file", "--multirun", "seed=1,2", "model=hybrid"]
    assert user_files.take_config_option(["-m", "seed=1,2"]) == ["-m", "seed=1,2"]


def test_a_file_of_keys_can_choose_an_option_by_its_name_or_by_defaults(write: Write) -> None:
    write("a.yaml", "data: {name: csv, path: p.csv}\n")
    write("b.yaml", "defaults: [{override /data: csv}, _self_]\ndata: {path: p.csv}\n")
    expected = make_config("data=csv", "data.path=p.csv")
    assert composed("--config", "a.yaml") == expected
    assert composed("--config", "b.yaml") == expected


def test_a_file_of_keys_can_add_targets_of_its_own(write: Write) -> None:
    write("my.yaml", "data: {targets: {mine: {column: y, kind: regression}}}\nmodel: {heads: [mine]}\n")
    assert composed("--config", "my.yaml").heads == ["mine"]


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["experiment=quick", "seed=3"],
        ["data=csv", "data.path=p.csv", "data.features=[a,b]", "data.targets.mine={column: y, kind: classification}"],
        ["data=parquet", "paths.processed_data_path=p.parquet", "data.clip=null"],
        ["training.loss_weights.signal=2", "~model.embeddings.instrument", "training.clip_norm=null"],
        ["~data.targets.signal"],
        ["~data.columns.volume"],
    ],
    ids=" ".join,
)
def test_a_runs_own_config_given_back_makes_the_same_run(write: Write, overrides: list[str]) -> None:
    config = make_config(*overrides)
    write("outputs/config.yaml", OmegaConf.to_yaml(asdict(config)))
    assert composed("--config", "outputs/config.yaml") == config


@pytest.mark.parametrize(
    "option", ["model=linear", "data=csv", "data=us_stocks", "training=default", "experiment=quick", "experiment=mine"]
)
def test_an_option_beside_a_runs_own_config_is_told(write: Write, option: str) -> None:
    """Whether it would collide with the file or only come to nothing."""
    write("conf/experiment/mine.yaml", "# @package _global_\nseed: 7\n")
    write("outputs/config.yaml", OmegaConf.to_yaml(asdict(make_config("model.heads=[signal]"))))
    assert refused("--config", "outputs/config.yaml", option) == (
        f"{option.partition('=')[0]}: {option} would change nothing beside outputs/config.yaml; "
        "--config: a file with whole sections, such as a run's config.yaml, goes with single keys "
        "(training.epochs=30), not with an option of a group or an experiment"
    )


def test_an_option_of_a_group_that_the_file_does_not_have_whole_takes_effect(write: Write) -> None:
    plain = asdict(make_config("training.epochs=7"))
    write("my.yaml", OmegaConf.to_yaml({"training": plain["training"], "seed": 3}))
    config = composed("--config", "my.yaml", "model=linear")
    assert (config.model.name, config.training.epochs, config.seed) == ("linear", 7, 3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- a\n- b\n", "my.yaml: must hold keys, such as 'training: {epochs: 30}'"),
        ("a: [1\n", "my.yaml: not valid YAML: "),
        ("training:\n\tepochs: 3\n", "my.yaml: not valid YAML: "),
        ("seed: 1\nseed: 2\n", "my.yaml: not valid YAML: "),
        ("hydra: {run: {dir: x}}\n", "my.yaml: hydra: a file of keys may not set Hydra up; give these keys on the "),
        ("just text\n", "just text: no such key; known: data, model, training, callbacks, seed, run, plugins, paths"),
        ("foo: {bar: 1}\n", "foo: no such key; known: data, model, training, callbacks, seed, run, plugins, paths"),
        ("data: {name: nope}\n", "data.name: 'nope' is not known; known: us_stocks, csv, parquet"),
        ("data: {targets: {signal: {horizn: 3}}}\n", "data.targets.signal.horizn: no such key; did you mean 'horizon'"),
        ("training: {epochs: 0}\n", "training.epochs: 0 is out of range; it must be at least 1"),
    ],
)
def test_a_wrong_file_of_keys_is_told(write: Write, text: str, said: str) -> None:
    write("my.yaml", text)
    assert refused("--config", "my.yaml").startswith(said)


def test_a_file_of_keys_that_cannot_be_read_is_told(write: Write) -> None:
    write("folder/x.yaml", "")
    Path("latin.yaml").write_bytes("data: {timestamp: größe}".encode("latin-1"))
    assert refused("--config", "nope.yaml") == "nope.yaml: No such file or directory (--config)"
    assert refused("--config", "folder") == "folder: Is a directory (--config)"
    assert refused("--config", "latin.yaml").startswith("latin.yaml: not valid YAML: 'utf-8' codec can't decode")
    assert refused("--config") == "--config: name a YAML file: --config my_setup.yaml"
    assert refused("--config", "a.yaml", "--config=b.yaml") == "--config: only one file can be given, not 2"


def test_an_empty_file_of_keys_changes_nothing(write: Write) -> None:
    write("my.yaml", "")
    assert composed("--config", "my.yaml") == make_config()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("training: {epoch: 7}", "training.epoch: no such key; did you mean 'training.epochs'?"),
        ("training: {epochs: abc}", "training.epochs: 'abc' is not an integer"),
        ("training: {epochs: null}", "training.epochs: null is not allowed"),
        ("data: {path: p.csv}", "data.path: only with data=csv or data=parquet"),
        ("model: {_target_: os.system}", "model._target_: no such key"),
    ],
)
def test_a_wrong_key_in_a_file_reads_as_on_the_command_line(write: Write, text: str, said: str) -> None:
    write("my.yaml", text)
    assert said in refused("--config", "my.yaml")


def test_a_wrong_key_in_an_experiment_reads_as_on_the_command_line(write: Write) -> None:
    write("conf/experiment/mine.yaml", "# @package _global_\ntraining: {epoch: 7}\n")
    assert "training.epoch: no such key; did you mean 'training.epochs'?" in refused("experiment=mine")


@pytest.mark.parametrize(
    ("text", "said"),
    [("data: {name: '${nope}'}", "data.name: "), ("5", "my.yaml: must hold keys"), ("data: csv", "my.yaml: data: ")],
)
def test_a_file_of_keys_that_makes_no_sense_is_told(write: Write, text: str, said: str) -> None:
    write("my.yaml", text)
    assert refused("--config", "my.yaml").startswith(said)
