"""What the fork server imports, so that no job has to: everything that a run imports. Nobody else imports this module.

Modules are all that is loaded: no polars work, whose threads a fork would leave behind, and no look at a GPU, since a
process that was forked behind one can't use it.
"""

from __future__ import annotations

import gc

import matplotlib.backends.backend_agg
import matplotlib.figure  # noqa: F401
import skops.io  # noqa: F401
import torch._dynamo
import torch.utils.tensorboard  # noqa: F401
from hydra.core.plugins import Plugins

import hybrid_trainer.build
import hybrid_trainer.evaluation.judge
import hybrid_trainer.evaluation.report
import hybrid_trainer.evaluation.task_bests
import hybrid_trainer.evaluation.timeline
import hybrid_trainer.fingerprint
import hybrid_trainer.inference.bundle
import hybrid_trainer.prepare
import hybrid_trainer.sweeps.worker  # noqa: F401
from hybrid_trainer.config.compose import compose_bare

Plugins.instance()  # looks through what is installed
compose_bare([])  # Hydra's grammar is slow until it has parsed something
gc.freeze()  # what was imported stays: jobs needn't look through it, nor copy its pages
