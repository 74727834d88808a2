"""Before a search begins: its keys, its space and its objectives. What is wrong is told before anything is there."""

from __future__ import annotations

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import messages, monitors
from hybrid_trainer.config.compose import compose_here, to_config
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.sweeps.names import key_of
from hybrid_trainer.sweeps.search.pruners import make_pruner
from hybrid_trainer.sweeps.search.samplers import make_sampler
from hybrid_trainer.sweeps.search.space import Space, entries_of, make_space


def check(tree: DictConfig, overrides: list[str]) -> list[str]:
    """Compose and check what of a search can be known beforehand; returns its objectives.

    Args:
        tree: composed, of any job. overrides: the sweep's, made ready for Hydra.

    Raises:
        ConfigError: something is wrong.
    """
    settings = settings_of(tree)
    space = space_of([word for word in overrides if not _is_hydras(word)], settings.search_space)
    make_sampler(settings.sampler, space.grid() if settings.sampler.name == "grid" else None)
    hydras = [word for word in overrides if _is_hydras(word)]
    epochs = [usable(compose_here([*hydras, *words])[0], settings).training.epochs for words in space.probes()]
    make_pruner(settings.pruner, max(epochs))
    return list(settings.directions)


def settings_of(tree: DictConfig) -> SearchConfig:
    """The section `hydra.sweeper`, checked.

    Raises:
        ConfigError: a key is wrong.
    """
    try:
        made = OmegaConf.to_object(tree.hydra.sweeper)
    except OmegaConfBaseException as error:
        raise messages.explain(error, "hydra.sweeper") from error
    assert isinstance(made, SearchConfig)
    return made


def space_of(words: list[str], given: object) -> Space:
    """What is searched: the sweeps among the overrides of a job, and `hydra.sweeper.search_space`."""
    return make_space(OverridesParser.create().parse_overrides(words), entries_of(given))


def usable(tree: DictConfig, settings: SearchConfig) -> Config:
    """The config of a job.

    Raises:
        ConfigError: no run can have it, or none of its numbers is an objective.
    """
    config = to_config(tree)
    check_columns(config.data, config.active_targets)
    for metric in settings.directions:
        monitors.check_objective(config, metric)
    return config


def _is_hydras(word: str) -> bool:
    return key_of(word).startswith(("hydra.", "hydra/"))
