"""The config of the split: which rows train, which choose, which judge."""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields
from math import comb

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.spans import check_moment, parse_span
from hybrid_trainer.errors import ConfigError

# The keys that each kind reads; beside these, all read `kind` and `embargo`.
KINDS = {
    "chronological": ("fractions",),
    "date": ("valid_from", "test_from", "train_from", "test_until"),
    "walk_forward": ("folds", "fold", "window", "test_size", "valid_size"),
    "cpcv": ("groups", "test_groups", "fold", "valid_size"),
    "column": ("column",),
}
_MOST_COMBINATIONS = 5000


@dataclass(kw_only=True)
class SplitConfig:
    """How decision rows are divided into train, valid and test."""

    kind: str = key(
        "chronological",
        "chronological: by fractions of the calendar of all instruments together; date: at given dates; "
        "walk_forward: one of several test blocks that follow each other; cpcv: combinatorial purged "
        "cross-validation; column: as a column of the table says",
    )
    embargo: str = key(
        "0",
        "what must lie between the end of one part's labels and the first row of another: a number of bars of the "
        "calendar of all instruments, or a duration (2h, 3d)",
    )
    fractions: list[float] = key(
        [0.70, 0.15, 0.15], "chronological: shares of the calendar for train, valid and test; sum 1"
    )
    valid_from: str | None = key(None, "date: first time of validation")
    test_from: str | None = key(None, "date: first time of test")
    train_from: str | None = key(None, "date: first time of training; null: the first there is")
    test_until: str | None = key(None, "date: end of test, not included; null: the last time there is")
    folds: int = key(5, "walk_forward: how many test blocks; the last one ends with the calendar")
    fold: int = key(0, "walk_forward, cpcv: which fold this run is; --multirun 'data.split.fold=range(5)' runs five")
    window: str = key(
        "expanding", "walk_forward: expanding: train on all that lies before; rolling: on as much as the first fold has"
    )
    test_size: float = key(0.1, "walk_forward: share of the calendar of each test block")
    valid_size: float = key(
        0.1, "walk_forward: share of the calendar before test that validates; cpcv: last share of the training times"
    )
    groups: int = key(6, "cpcv: how many groups the calendar is cut into")
    test_groups: int = key(2, "cpcv: how many of the groups test at a time")
    column: str | None = key(
        None, "column: the column that says train, valid or test; a row with anything else is looked back on only"
    )
    order: str = key(
        "shuffled",
        "with data.independent_sequences: shuffled: by a hash of seed and name; file: as they come there",
    )
    seed: int = key(0, "with data.independent_sequences: the seed of the shuffled order; apart from the run's `seed`")

    def __post_init__(self) -> None:
        check_choice("data.split.kind", self.kind, KINDS)
        self._refuse_unused()
        parse_span("data.split.embargo", self.embargo)
        if len(self.fractions) != 3 or not (min(self.fractions) > 0 and abs(sum(self.fractions) - 1) <= 1e-6):
            raise ConfigError(f"data.split.fractions: {self.fractions} must be three positive numbers with sum 1")
        for name in ("valid_from", "test_from", "train_from", "test_until"):
            if getattr(self, name) is not None:
                check_moment(f"data.split.{name}", getattr(self, name))
        for kind, names in {"date": ("valid_from", "test_from"), "column": ("column",)}.items():
            for name in names:
                if self.kind == kind and not getattr(self, name):
                    raise ConfigError(f"data.split.{name}: data.split.kind={kind} needs it")
        check_choice("data.split.window", self.window, ["expanding", "rolling"])
        check_choice("data.split.order", self.order, ["shuffled", "file"])
        check_range("data.split.folds", self.folds, low=1)
        check_range("data.split.test_size", self.test_size, above=0)
        check_range("data.split.valid_size", self.valid_size, above=0)
        if self.kind == "walk_forward":
            self._check_walk_forward()
        if self.kind == "cpcv":
            self._check_cpcv()

    def _refuse_unused(self) -> None:
        """A key of another kind would be read by nobody: what the user meant by it would not happen."""
        owned = {name for names in KINDS.values() for name in names}
        for field in fields(self):
            assert field.default_factory is not MISSING
            untouched = getattr(self, field.name) == field.default_factory()
            if field.name in owned and field.name not in KINDS[self.kind] and not untouched:
                kinds = " or ".join(kind for kind, names in KINDS.items() if field.name in names)
                raise ConfigError(
                    f"data.split.{field.name}: data.split.kind={self.kind} does not use it; it belongs to kind={kinds}"
                )

    def _check_walk_forward(self) -> None:
        if not self.folds * self.test_size + self.valid_size < 1:
            raise ConfigError(
                f"data.split.test_size: {self.folds} test blocks of {self.test_size:g} and a validation of "
                f"{self.valid_size:g} of the calendar leave nothing to train on"
            )
        self._check_fold(self.folds, f"data.split.folds={self.folds}")

    def _check_cpcv(self) -> None:
        check_range("data.split.groups", self.groups, low=2)
        check_range("data.split.test_groups", self.test_groups, low=1, high=self.groups - 1)
        check_range("data.split.valid_size", self.valid_size, high=0.9)
        combinations = comb(self.groups, self.test_groups)
        if combinations > _MOST_COMBINATIONS:
            raise ConfigError(
                f"data.split.groups: {self.groups} groups with {self.test_groups} for test have {combinations} "
                f"combinations; at most {_MOST_COMBINATIONS} are supported"
            )
        self._check_fold(combinations, f"{self.groups} groups with {self.test_groups} for test")

    def _check_fold(self, count: int, why: str) -> None:
        if not 0 <= self.fold < count:
            raise ConfigError(f"data.split.fold: {self.fold} is out of range; {why} has the folds 0 to {count - 1}")
