"""hydra/sweeper=optuna: searches with Optuna 5. Optuna is imported when a search begins."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence
from pathlib import Path

from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import messages
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.search import OPTUNA
from hybrid_trainer.errors import UserError
from hybrid_trainer.runs.ledger import Entry
from hybrid_trainer.sweeps.folder import opened
from hybrid_trainer.sweeps.local import work


class OptunaSweeper(Sweeper):
    """Asks a study for configurations, has a launcher run them, and tells the study how they did."""

    def __init__(self, **settings: object) -> None:
        """Hydra hands over the section's keys one by one; `sweep` reads them as one checked object."""
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra has composed."""
        self.hydra_context = hydra_context
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> None:
        """Search, or go on with a search that was begun in the sweep's folder; says what was found.

        Raises:
            ConfigError: the study can't be used, or is another. TrainingError: no trial came to its end.
        """
        from hybrid_trainer.sweeps.search import checking, report, retrying, session
        from hybrid_trainer.sweeps.search.space import entries_of

        assert self.config is not None and self.launcher is not None
        sweep = opened(Path(str(self.config.hydra.sweep.dir)))
        settings = checking.settings_of(self.config)
        if "search_space" not in sweep.content:  # as all configs, it is as it was when the sweep began
            sweep.update(search_space=entries_of(settings.search_space))
        space = checking.space_of(arguments, sweep.content["search_space"])

        def usable(overrides: list[str]) -> Config:
            return checking.usable(self._composed(overrides), settings)

        retrying.run_again(sweep, self.launcher)
        search = session.begin(settings, space, sweep, usable)
        work(self.launcher, search, settings.n_jobs)
        sys.stdout.write("\n".join(report.lines(search.study, settings, sweep.path)) + "\n")

    def retry(self, lost: Sequence[Entry]) -> None:
        """Run failed jobs again, and tell the study; see `search.retrying`."""
        from hybrid_trainer.sweeps.search import retrying

        assert self.config is not None and self.launcher is not None
        retrying.run_again(opened(Path(str(self.config.hydra.sweep.dir))), self.launcher, lost)

    def _composed(self, overrides: list[str]) -> DictConfig:
        """The config of a job, as it will be composed for it."""
        assert self.hydra_context is not None and self.config is not None
        try:
            return self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise messages.explain(error) from error


def is_search(tree: DictConfig) -> bool:
    """Whether a composed config asks for a search."""
    return str(tree.hydra.sweeper._target_) == OPTUNA


def check_search(tree: DictConfig, overrides: list[str]) -> list[str]:
    """Check a search before its sweep begins; returns its objectives. See `search.checking`.

    Raises:
        UserError: something is wrong, or Optuna isn't installed.
    """
    if importlib.util.find_spec("optuna") is None:
        raise UserError("hydra/sweeper=optuna: Optuna is not installed: pip install 'hybrid-trainer[sweep]'")
    from hybrid_trainer.sweeps.search import checking

    return checking.check(tree, overrides)
