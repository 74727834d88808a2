"""Which trials are given up before their last epoch: Optuna's pruners by name."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from optuna import pruners
from optuna.exceptions import ExperimentalWarning

from hybrid_trainer.config.search import PrunerConfig
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.sweeps.search.samplers import options_of

_PATIENCE = 3  # epochs without improvement before the median is asked
_FIRST_PART = 6  # of the epochs: the first ones tell little of the last, a run that begins slowly may end best
_HERE = "hydra.sweeper.pruner.options"


def make_pruner(config: PrunerConfig, epochs: int) -> pruners.BasePruner:
    """The pruner that a config asks for.

    Args:
        epochs: of a run, at most; hyperband shares them out.

    Raises:
        ConfigError: an option is not the pruner's, or not one of the values it takes.
    """
    options = dict(config.options)
    if config.name == "none":
        if options:
            raise ConfigError(f"{_HERE}: pruner.name=none has none, not {', '.join(options)}")
        return pruners.NopPruner()
    if config.name == "median":
        return _made(pruners.MedianPruner, "median", options)
    if config.name == "hyperband":
        sure = {"min_resource": max(1, epochs // _FIRST_PART), "max_resource": epochs}
        return _made(pruners.HyperbandPruner, "hyperband", {**sure, **options})
    own: dict[str, Any] = {name: options.pop(name) for name in ("patience", "min_delta") if name in options}
    median = _made(pruners.MedianPruner, "patient", options, further=("patience", "min_delta"))
    return _made(pruners.PatientPruner, "patient", {"patience": _PATIENCE, **own, "wrapped_pruner": median})


def _made(
    maker: Callable[..., pruners.BasePruner], name: str, options: dict[str, Any], further: tuple[str, ...] = ()
) -> pruners.BasePruner:
    taken = options_of(maker, {"self"})
    for option in options:
        if option not in taken:
            raise ConfigError(f"{_HERE}.{option}: no option of {name}{did_you_mean(option, [*further, *taken])}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        try:
            return maker(**options)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"{_HERE}: {name}: {error}") from error
