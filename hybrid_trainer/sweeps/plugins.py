"""Our launcher and sweeper, where Hydra finds them: an editable install would hide a package of plug-ins."""

from __future__ import annotations

from importlib.util import find_spec

from hydra.core.plugins import Plugins

from hybrid_trainer.config.launchers import LOCAL
from hybrid_trainer.config.search import OPTUNA
from hybrid_trainer.errors import UserError

_EXTRAS = {"hydra_plugins.hydra_submitit_launcher": "slurm", "hydra_plugins.hydra_ray_launcher": "ray"}


def register() -> None:
    """Let `hydra/launcher=local` and `hydra/sweeper=optuna` be ours."""
    from hybrid_trainer.sweeps.local import LocalLauncher
    from hybrid_trainer.sweeps.optuna_sweeper import OptunaSweeper

    Plugins.instance().class_name_to_class[LOCAL] = LocalLauncher
    Plugins.instance().class_name_to_class[OPTUNA] = OptunaSweeper


def refuse_missing(target: str) -> None:
    """Raise UserError where a launcher is chosen whose extra is not installed."""
    for package, extra in _EXTRAS.items():
        if target.startswith(f"{package}.") and not _is_installed(package):
            raise UserError(f"hydra/launcher: {package} is not installed: pip install 'hybrid-trainer[{extra}]'")


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:  # no plug-in of Hydra's is installed at all
        return False
