"""All that commands import, for processes that others are forked from; none of it uses its threads before it works."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

sys.modules.setdefault("tensorboard.compat.notf", ModuleType("tensorboard.compat.notf"))  # see callbacks/tensorboard.py

# torch._dynamo: deterministic mode imports it.
for _name in (
    "torch._dynamo",
    "tensorboard.summary.writer.record_writer",
    "matplotlib.pyplot",
    "skops.io",
    "polars",
    "hybrid_trainer.launch",
    "hybrid_trainer.resume",
    "hybrid_trainer.check",
    "hybrid_trainer.build",
    "hybrid_trainer.prepare",
    "hybrid_trainer.fingerprint",
    "hybrid_trainer.evaluation.judge",
    "hybrid_trainer.evaluation.report",
    "hybrid_trainer.evaluation.timeline",
    "hybrid_trainer.engine.collect",
    "hybrid_trainer.inference.command",
):
    importlib.import_module(_name)
