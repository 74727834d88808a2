"""`describe [GROUP | KEY]`: names, types, defaults and meaning of every config key. Imports no torch."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config import machine_profile
from hybrid_trainer.config.callbacks import CALLBACKS
from hybrid_trainer.config.known_keys import KnownKey, keys_of, known_keys, shown
from hybrid_trainer.config.launchers import LocalLauncherConfig
from hybrid_trainer.config.losses import LOSS_CONFIGS
from hybrid_trainer.config.metrics import METRIC_CONFIGS
from hybrid_trainer.config.schema import OPTIONS, TopLevelConfig
from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.config.targets import TARGETS
from hybrid_trainer.config.training import SCHEDULES
from hybrid_trainer.errors import ConfigError, did_you_mean
from hybrid_trainer.plugins import hint, load_plugins


def main(arguments: list[str]) -> int:
    """Show the keys of a group (data, model, training, callbacks, targets, losses, run, hydra/launcher), or of all."""
    parser = Parser("describe", main.__doc__)
    parser.add_argument(
        "what", nargs="?", metavar="GROUP", help="a group, an option such as data=csv, or part of a key"
    )
    parser.add_argument("--plugins", default="", metavar="NAME[,NAME]", help="your plug-ins, to show what they bring")
    options = parser.parse_args(arguments)
    load_plugins([name for name in options.plugins.split(",") if name])
    what = options.what
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 140
    console = Console(width=width)
    profile = machine_profile.find(machine_profile.AUTO)
    for table in tables(what, profile.values if profile else {}):
        console.print(table)
    return 0


def tables(what: str | None, measured: Mapping[str, Any] = MappingProxyType({})) -> list[Table]:
    """One table per option that `what` names; all where it is None; any other word is looked for in the keys.

    Args:
        measured: the machine profile's values by key.
    """
    sections = _sections()
    if what is None:
        chosen = list(sections)
    else:
        chosen = [name for name in sections if name == what or name.partition("=")[0] == what]
    if chosen:
        return [_table(name, sections[name], measured) for name in chosen]
    assert what is not None
    of_sweeps = [known for name, keys in sections.items() if name.startswith("hydra/") for known in keys]
    found = [known for known in [*known_keys().values(), *of_sweeps] if what in known.path]
    if not found:
        names = [*OPTIONS, "targets", "losses", *sections]
        near = did_you_mean(what, [*names, *known_keys(), *(known.path for known in of_sweeps)])
        if "did you mean" not in near:
            near = f"; known: {', '.join(names)}"  # all keys would fill the screen
        raise ConfigError(f"describe {what}: neither a group nor a key{near}{hint()}")
    return [_table(f"keys with '{what}'", found, measured)]


def _sections() -> dict[str, list[KnownKey]]:
    found = {"run": keys_of(TopLevelConfig, "")}
    for group, options in OPTIONS.items():
        for name, schema in options.items():
            found[f"{group}={name}"] = keys_of(schema, f"{group}.")
    for name, schema in TARGETS.items():
        found[f"targets={name}"] = keys_of(schema, "data.targets.NAME.")
    for name in LOSS_CONFIGS:
        found[f"losses={name}"] = keys_of(LOSS_CONFIGS.get(name, "training.losses"), "training.losses.TASK.")
    for name, judged in METRIC_CONFIGS.items():
        found[f"metrics={name}"] = keys_of(judged, f"training.metrics.{name}.")
    for name, own in CALLBACKS.items():
        found[f"extra={name}"] = keys_of(own, f"callbacks.extra.{name}.")
    for name, steps in SCHEDULES.items():
        found[f"schedule={name}"] = keys_of(steps, "training.schedule.options.")
    for part, schema in (("launcher=local", LocalLauncherConfig), ("sweeper=optuna", SearchConfig)):
        keys = keys_of(schema, f"hydra.{part.partition('=')[0]}.")
        found[f"hydra/{part}"] = [known for known in keys if not known.path.endswith("._target_")]
    return found


def _table(title: str, keys: list[KnownKey], measured: Mapping[str, Any]) -> Table:
    table = Table(title=title, title_justify="left")
    for name in ("key", "type", "default", "meaning"):
        table.add_column(name, overflow="fold", no_wrap=name == "key")
    for known in keys:
        here = f" ({shown(measured[known.path])} by the machine profile)" if known.path in measured else ""
        cells = (known.path, known.type, shown(known.default) + here, known.help)
        table.add_row(*map(escape, cells))  # [0.5] is no markup
    return table
