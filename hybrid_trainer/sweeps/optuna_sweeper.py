"""hydra/sweeper=optuna: searches with Optuna 5. Optuna is imported when a search begins."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from hybrid_trainer.config import messages, monitors
from hybrid_trainer.config.compose import to_config
from hybrid_trainer.config.schema import Config
from hybrid_trainer.config.search import SearchConfig
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.errors import ConfigError, TrainingError
from hybrid_trainer.sweeps.working import work

if TYPE_CHECKING:
    from optuna.study import Study

    from hybrid_trainer.sweeps.search.space import Space


class OptunaSweeper(Sweeper):
    """Asks a study for configurations, has a launcher run them, and tells the study how they did."""

    def __init__(self, **settings: object) -> None:
        """Hydra hands over the section's keys one by one; `setup` reads them as one checked object."""
        self.hydra_context: HydraContext | None = None
        self.config: DictConfig | None = None
        self.launcher: Launcher | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take over what Hydra has composed.

        Raises:
            ConfigError: a key of hydra.sweeper is wrong, or Optuna isn't installed.
        """
        if importlib.util.find_spec("optuna") is None:
            raise ConfigError("hydra/sweeper=optuna: Optuna is not installed: pip install 'hybrid-trainer[sweep]'")
        self.hydra_context = hydra_context
        self.config = config
        self.settings = settings_of(config)
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[float] | None:
        """Search; returns the best values, of one objective, and says on the terminal what was found.

        Raises:
            ConfigError: something is wrong that can be known before the first job.
            TrainingError: no trial came to its end.
        """
        from hybrid_trainer.sweeps.search import report, session

        assert self.config is not None and self.launcher is not None
        space = self._space(arguments)
        epochs = max(self._checked(each).training.epochs for each in space.probes())
        folder = Path(str(self.config.hydra.sweep.dir))
        folder.mkdir(parents=True, exist_ok=True)
        search = session.begin(self.settings, space, folder, epochs, self._checked)
        work(self.launcher, search, self.settings.n_jobs)
        sys.stdout.write("\n".join(report.lines(search.study, self.settings, folder)) + "\n")
        return report.best_values(search.study)

    def _space(self, arguments: list[str]) -> Space:
        from hybrid_trainer.sweeps.search.space import entries_of, make_space

        assert self.hydra_context is not None
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        return make_space(parser.parse_overrides(arguments), entries_of(self.settings.search_space))

    def _checked(self, overrides: list[str]) -> Config:
        """The config of a job, composed as the launcher will compose it.

        Raises:
            ConfigError: it can't be run, or has no such objective.
        """
        assert self.hydra_context is not None and self.config is not None
        try:
            tree = self.hydra_context.config_loader.load_sweep_config(self.config, list(overrides))
        except (HydraException, OmegaConfBaseException) as error:
            raise messages.explain(error) from error
        config = to_config(tree)
        check_columns(config.data, config.active_targets)
        for metric in self.settings.directions:
            monitors.check_objective(config, metric)
        return config


def settings_of(config: DictConfig) -> SearchConfig:
    """The section `hydra.sweeper`, checked.

    Raises:
        ConfigError: a key is wrong.
    """
    try:
        made = OmegaConf.to_object(config.hydra.sweeper)
    except OmegaConfBaseException as error:
        raise messages.explain(error, "hydra.sweeper") from error
    assert isinstance(made, SearchConfig)
    return made
