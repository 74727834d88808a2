"""Our launcher, where Hydra finds it: an editable install hides a package of plug-ins, so it is entered by hand."""

from __future__ import annotations

from hydra.core.plugins import Plugins

from hybrid_trainer.config.launchers import LOCAL


def register() -> None:
    """Let `hydra/launcher=local` be ours."""
    from hybrid_trainer.sweeps.local import LocalLauncher

    Plugins.instance().class_name_to_class[LOCAL] = LocalLauncher
