"""Hydra's plug-ins of our own, told to Hydra by name.

Hydra takes a plug-in only under the name `hydra_plugins`, where it finds those of an editable install in some places and in
others not; so ours stand in the package, and are registered under that name when a sweep begins.
"""

from __future__ import annotations

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

from hybrid_trainer.config.search import TARGET
from hybrid_trainer.sweeps.optuna_sweeper import OptunaSweeper


def register_plugins() -> None:
    """Tell Hydra of all of them."""
    _register(OptunaSweeper, TARGET)


def _register(plugin: type[Plugin], target: str) -> None:
    module, _, name = target.rpartition(".")
    if target not in Plugins.instance().class_name_to_class:
        Plugins.instance().register(type(name, (plugin,), {"__module__": module, "__doc__": plugin.__doc__}))
