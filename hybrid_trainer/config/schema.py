"""The whole config as plain dataclasses, and which dataclass each option of a group has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from hybrid_trainer.config.callbacks import CallbacksConfig
from hybrid_trainer.config.data import DataConfig, ParquetData, SyntheticData, TableData, UsStocksData
from hybrid_trainer.config.encoders import (
    DeepLobModelConfig,
    LstNetModelConfig,
    MlstmFcnModelConfig,
    TcnModelConfig,
)
from hybrid_trainer.config.forecasters import DLinearModelConfig, PatchTSTModelConfig
from hybrid_trainer.config.keys import check_range, key
from hybrid_trainer.config.model import (
    CnnModelConfig,
    HybridModelConfig,
    LinearModelConfig,
    LstmModelConfig,
    ModelConfig,
)
from hybrid_trainer.config.targets import TargetConfig
from hybrid_trainer.config.training import TrainingConfig
from hybrid_trainer.errors import ConfigError

_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,127}", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d")


@dataclass(kw_only=True)
class PathsConfig:
    """Where things are read from and written to; relative to the current folder."""

    root: str = key(".", "the folder under which outputs/ and multirun/ lie; no run is written outside it")
    processed_data_path: str | None = key(None, "the default of data.path")
    model_save_path: str | None = key(None, "where finished models are published; null: only in the run directory")
    log_dir: str | None = key(None, "TensorBoard's root; null: in the run directory")
    cache_dir: str | None = key(
        None, "where large tables are kept between runs; null: hybrid_trainer in $XDG_CACHE_HOME or ~/.cache"
    )
    machine_profile: str | None = key(
        "auto",
        "what tune-engine found on this machine, taken as defaults: a file, or auto: hybrid_trainer/machine.json in "
        "$XDG_CONFIG_HOME or ~/.config, where it exists; null: none",
    )


@dataclass(kw_only=True)
class RunConfig:
    """Which run this is."""

    id: str | None = key(None, "a name of your own: the run's directory is outputs/ID; null: by date and time")

    def __post_init__(self) -> None:
        if self.id is not None and not _ID.fullmatch(self.id):
            raise ConfigError(
                f"run.id: '{self.id}' must be letters, digits, '.', '_' and '-', and begin with a letter or digit"
            )
        if self.id is not None and _DATE.fullmatch(self.id):
            raise ConfigError(f"run.id: '{self.id}': outputs/{self.id} is the folder of that day's runs; add a word")


@dataclass(kw_only=True)
class TopLevelConfig:
    """The keys that belong to no group."""

    seed: int = key(0, "seed of python, numpy and torch")
    run: RunConfig = key(RunConfig(), "which run this is")
    plugins: list[str] = key([], "modules of your own, imported first: what they register is known by its name")
    paths: PathsConfig = key(PathsConfig(), "where things are read from and written to")

    def __post_init__(self) -> None:
        check_range("seed", self.seed, low=0, high=2**32 - 1)


@dataclass(kw_only=True)
class Config(TopLevelConfig):
    """A run, completely described."""

    data: DataConfig = field(default_factory=UsStocksData, metadata={"help": "the table and what is made of it"})
    model: ModelConfig = field(default_factory=HybridModelConfig, metadata={"help": "the model"})
    training: TrainingConfig = key(TrainingConfig(), "how the model is trained")
    callbacks: CallbacksConfig = key(CallbacksConfig(), "what looks on while a model is trained")

    @property
    def heads(self) -> list[str]:
        """The active targets' names, in the order of the heads."""
        return list(self.data.targets) if self.model.heads is None else self.model.heads

    @property
    def active_targets(self) -> dict[str, TargetConfig]:
        """The config of each active target, by name."""
        return {name: self.data.targets[name] for name in self.heads}


# group -> value of its `name` key -> dataclass; conf/<group>/<option>.yaml extends one of these.
OPTIONS: dict[str, dict[str, type[Any]]] = {
    "data": {"us_stocks": UsStocksData, "csv": TableData, "parquet": ParquetData, "synthetic": SyntheticData},
    "model": {
        "hybrid": HybridModelConfig,
        "cnn": CnnModelConfig,
        "lstm": LstmModelConfig,
        "linear": LinearModelConfig,
        "dlinear": DLinearModelConfig,
        "patchtst": PatchTSTModelConfig,
        "tcn": TcnModelConfig,
        "lstnet": LstNetModelConfig,
        "deeplob": DeepLobModelConfig,
        "mlstm_fcn": MlstmFcnModelConfig,
    },
    "training": {"default": TrainingConfig},
    "callbacks": {"default": CallbacksConfig},
}
