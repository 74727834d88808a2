"""What a check looks at, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.dataset import Dataset

PASS, WARNING, FAIL = "pass", "warning", "FAIL"


@dataclass(frozen=True, kw_only=True)
class Subject:
    """A run's data as it would be trained on, on the CPU; every check draws from `generator()` its own numbers."""

    config: Config
    data: Dataset
    samples: int
    seed: int

    def generator(self) -> np.random.Generator:
        """A fresh one: what a check draws depends on the seed alone, not on the checks before it."""
        return np.random.default_rng(self.seed)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found.

    Attributes:
        looked_at: what was looked at, and how much of it.
        failures, warnings: what is wrong, a line each. measured: what was seen where nothing is wrong.
    """

    looked_at: str
    failures: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    measured: list[str] = field(default_factory=list)

    @property
    def verdict(self) -> str:
        """pass, warning or FAIL."""
        return FAIL if self.failures else WARNING if self.warnings else PASS

    @property
    def said(self) -> list[str]:
        """The lines to show, what is wrong first."""
        return [*self.failures, *self.warnings, *self.measured]
