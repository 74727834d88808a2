"""Every key of the schema, listed with type, default, meaning and the options that have it."""

from __future__ import annotations

from typing import Any

import pytest

from hybrid_trainer.config.known_keys import keys_of, known_keys, open_mappings
from hybrid_trainer.config.schema import OPTIONS
from hybrid_trainer.config.targets import SignalTarget
from tests.conftest import make_config


def test_a_key_is_listed_with_type_default_and_meaning() -> None:
    known = known_keys()["training.epochs"]
    assert (known.path, known.type, known.default) == ("training.epochs", "int", 20)
    assert known.help == "passes over the training windows, at most"
    assert known.options == ["training=default"]


def test_a_type_is_written_as_a_user_reads_it() -> None:
    assert {path: known_keys()[path].type for path in ("seed", "paths.log_dir", "model.heads", "data.columns")} == {
        "seed": "int",
        "paths.log_dir": "str | None",
        "model.heads": "list[str] | None",
        "data.columns": "dict[str, str]",
    }


def test_a_key_knows_every_option_that_has_it() -> None:
    assert known_keys()["data.path"].options == ["data=csv", "data=parquet"]
    assert known_keys()["data.clip"].options == ["data=us_stocks", "data=csv", "data=parquet", "data=synthetic"]


def test_the_keys_of_a_section_inside_a_section_are_listed_by_their_whole_path() -> None:
    assert known_keys()["callbacks.early_stopping.patience"].default == 5
    assert "callbacks.early_stopping" not in known_keys()


def test_the_keys_of_one_dataclass_come_in_the_order_of_their_declaration() -> None:
    paths = [known.path for known in keys_of(SignalTarget, "x.")]
    names = ["builder", "horizon", "horizons", "classes", "thresholds", "threshold_quantiles", "lookback"]
    assert paths == [f"x.{name}" for name in names]


def test_the_open_mappings_are_those_whose_entries_a_user_names() -> None:
    assert set(open_mappings()) == {
        "data.columns",
        "data.context",
        "data.expressions",
        "data.targets",
        "callbacks.extra",
        "training.schedule.options",
        "model.embeddings",
        "training.loss_weights",
        "training.losses",
        "training.metrics",
        "training.schedule.monitor",
        "callbacks.checkpoint.monitor",
        "callbacks.early_stopping.monitor",
        "callbacks.early_stopping.task_patience",
        "callbacks.task_metrics",
    }


@pytest.mark.parametrize("group", OPTIONS)
def test_the_default_that_is_shown_is_the_one_that_a_run_gets(group: str) -> None:
    config = make_config()

    def effective(path: str) -> Any:
        value: Any = config
        for name in path.split("."):
            value = getattr(value, name)
        return value

    shown = {known.path: known.default for known in keys_of(type(getattr(config, group)), f"{group}.")}
    shown.pop("data.targets", None)  # from conf/data/targets/
    assert shown == {path: effective(path) for path in shown}
