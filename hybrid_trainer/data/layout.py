"""Which of a file's columns a run reads, and what each of them is. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field

from hybrid_trainer.config.data import PRICE_COLUMNS, DataConfig
from hybrid_trainer.config.targets import ColumnTarget, TargetConfig
from hybrid_trainer.errors import ConfigError, TableError, did_you_mean

_NEEDED = ("open", "high", "low", "close")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Which columns of a file are read, and what they are.

    Attributes:
        timestamp, instrument: the key of a row; no instrument column: the whole table is one instrument.
        prices: open, high, low, close, volume -> the file's column, for those that the file has and the run needs.
        adjusted_close: open to close are scaled by this column / close, volume by the inverse.
        numbers: columns read as numbers (features, context, regression labels).
        labels: columns read as class labels.
        optional: of the numbers, those in which an empty cell means 'no label'.
        split: the column that says which part a row belongs to.
    """

    timestamp: str
    instrument: str | None
    prices: dict[str, str] = field(default_factory=dict)
    adjusted_close: str | None = None
    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    split: str | None = None

    @property
    def number_columns(self) -> list[str]:
        """Every column that must hold numbers, each once."""
        adjusted = [self.adjusted_close] if self.adjusted_close else []
        return list(dict.fromkeys([*self.prices.values(), *adjusted, *self.numbers]))

    @property
    def all_columns(self) -> list[str]:
        """Every column that is read, each once."""
        keys = [self.timestamp, *([self.instrument] if self.instrument else [])]
        split = [self.split] if self.split else []
        return list(dict.fromkeys([*keys, *self.number_columns, *self.labels, *split]))


def layout_for(config: DataConfig, targets: dict[str, TargetConfig], columns: list[str], file: str) -> Layout:
    """Work out which of the file's `columns` a run reads; a column that should be there and isn't is a TableError."""
    own = [target for target in targets.values() if isinstance(target, ColumnTarget)]
    needs_prices = config.feature_set == "core" or len(own) < len(targets)
    prices = _price_columns(config, columns) if needs_prices else {}
    number_labels = [target.column for target in own if target.kind == "regression"]
    layout = Layout(
        timestamp=config.timestamp,
        instrument=config.instrument,
        prices=prices,
        adjusted_close=config.adjusted_close if needs_prices else None,
        numbers=tuple(dict.fromkeys([*config.features, *config.context, *number_labels])),
        labels=tuple(dict.fromkeys(target.column for target in own if target.kind == "classification")),
        optional=tuple(name for name in number_labels if name not in [*config.features, *config.context]),
        split=config.split.column,
    )
    required = {
        "data.timestamp": [config.timestamp],
        "data.instrument": [config.instrument] if config.instrument else [],
        "data.columns": list(config.columns.values()),
        "data.features": config.features,
        "data.context": config.context,
        "data.adjusted_close": [config.adjusted_close] if config.adjusted_close else [],
        "data.targets": [target.column for target in own],
        "data.split.column": [config.split.column] if config.split.column else [],
    }
    lacking = [
        f"{file}: there is no column '{name}' ({key}){did_you_mean(name, columns)}"
        for key, names in required.items()
        for name in names
        if name not in columns
    ]
    if needs_prices:
        why = "data.feature_set=core needs" if config.feature_set == "core" else "the targets made from prices need"
        missing = [name for name in _NEEDED if name not in prices and name not in config.columns]
        if missing:
            own_names = ",".join(name for name, target in targets.items() if isinstance(target, ColumnTarget))
            without = f"model.heads=[{own_names}]" if own_names else "data.features=[...] and label columns of your own"
            lacking.append(
                f"{file}: there is no column {' or '.join(missing)}, which {why}; say where they stand "
                f"(data.columns.{missing[0]}=COLUMN), or do without prices ({without}); known: {', '.join(columns)}"
            )
    if lacking:
        raise TableError("\n".join(lacking))
    _refuse_known_labels(targets, {*prices.values(), layout.adjusted_close})
    return layout


def _refuse_known_labels(targets: dict[str, TargetConfig], inputs: set[str | None]) -> None:
    """A label that stands among the prices is known at its own row; `consistency` has looked at the other inputs."""
    for name, target in targets.items():
        if isinstance(target, ColumnTarget) and target.column in inputs and not target.allow_contemporaneous:
            raise ConfigError(
                f"data.targets.{name}.column: '{target.column}' is a price column, known at the decision row; bring a "
                f"column with the later value, or set data.targets.{name}.allow_contemporaneous=true"
            )


def _price_columns(config: DataConfig, columns: list[str]) -> dict[str, str]:
    lower: dict[str, str] = {}
    for column in columns:
        lower.setdefault(column.lower(), column)
    found = {name: config.columns.get(name) or lower.get(name) for name in PRICE_COLUMNS}
    return {name: column for name, column in found.items() if column in columns}
