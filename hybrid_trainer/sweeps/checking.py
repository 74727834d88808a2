"""Before a sweep begins: every value of every dimension is composed and checked."""

from __future__ import annotations

from dataclasses import dataclass

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, Override
from hydra.errors import HydraException
from omegaconf import DictConfig

from hybrid_trainer.config.compose import compose_here, to_config
from hybrid_trainer.config.machine_profile import Profile
from hybrid_trainer.config.schema import OPTIONS, Config
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.errors import ConfigError
from hybrid_trainer.inference.files import verify_named


@dataclass(frozen=True)
class Checked:
    """What is known of a sweep whose every value is right.

    Attributes:
        tree, config: of the first job. profile: that of all jobs. plugins: of all of them. threads: the most of any.
        splits: of each job that was looked at.
    """

    tree: DictConfig
    config: Config
    profile: Profile | None
    plugins: list[str]
    threads: int
    splits: list[SplitConfig]


def checked(overrides: list[str]) -> Checked:
    """Compose and check every value of every dimension.

    Raises:
        UserError: one is wrong, or names what only a single run can have.
    """
    found = [_point(point) for point in points(overrides)]
    tree, config, profile = found[0]
    if any(other != profile for _, _, other in found):
        raise ConfigError("paths.machine_profile: one for all jobs of a sweep")
    plugins = dict.fromkeys(name for _, each, _ in found for name in each.plugins)
    threads = max(each.training.threads for _, each, _ in found)
    return Checked(tree, config, profile, list(plugins), threads, [each.data.split for _, each, _ in found])


def _point(overrides: list[str]) -> tuple[DictConfig, Config, Profile | None]:
    tree, profile = compose_here(overrides)
    config = to_config(tree)
    check_columns(config.data, config.active_targets)
    if config.model.init_from is not None:
        verify_named("model.init_from", config.model.init_from)
    if config.run.id is not None or config.training.resume != "off":
        raise ConfigError("run.id, training.resume: name one run; leave them out of a sweep")
    return tree, config, profile


def _group(override: Override) -> str:
    return str(override.key_or_group).partition("@")[0].partition("/")[0]


def parsed(words: list[str]) -> list[Override]:
    """The words of a command line as Hydra reads them.

    Raises:
        ConfigError: one is no override, or asks for options of what is no group.
    """
    return list(map(_parsed, words))


def _parsed(word: str) -> Override:
    try:
        (override,) = OverridesParser.create().parse_overrides([word])
        if override.is_discrete_sweep() and not isinstance(override.value(), Glob):
            list(override.sweep_string_iterator())
    except (HydraException, ValueError, TypeError) as error:
        quoted = "and quote a value with spaces or commas: \"key='a, b'\""
        raise ConfigError(
            f"{word}: not an override; write key=value, a sweep as key=a,b or key=range(0,3), {quoted}"
        ) from error
    if isinstance(override.value(), Glob) and _group(override) not in (*OPTIONS, "experiment"):
        raise ConfigError(f"{override.key_or_group}: glob() picks options of a group; write the values themselves")
    return override


def points(overrides: list[str]) -> list[list[str]]:
    """The first value of every dimension together, then each further value of one dimension at a time."""
    values = []
    for text, override in zip(overrides, parsed(overrides), strict=True):
        if override.is_discrete_sweep() and not isinstance(override.value(), Glob):
            key = text.partition("=")[0]
            values.append([f"{key}={value}" for value in override.sweep_string_iterator()])
        elif override.is_sweep_override():
            values.append([])  # an interval or a glob: the sweeper picks from it
        else:
            values.append([text])
    first = [options[0] for options in values if options]
    found = [first]
    for index, options in enumerate(values):
        before = [other[0] for other in values[:index] if other]
        after = [other[0] for other in values[index + 1 :] if other]
        found += [[*before, option, *after] for option in options[1:]]
    return found
