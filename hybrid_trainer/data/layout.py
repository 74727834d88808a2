"""Which of a file's columns a run reads, and what each of them is. Imports no torch."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from hybrid_trainer.config.data import PRICE_COLUMNS, DataConfig, context_key
from hybrid_trainer.config.targets import ColumnTarget, TargetConfig
from hybrid_trainer.data.features import TIME, select_features
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
        optional: of the numbers, those in which an empty cell is no fault: 'no label', or a missing context block.
        context: name of each block -> its columns, patterns spelt out.
        whole: of the context columns, those in which an empty cell is a fault (data.context_missing=error).
        categories: columns read as categories.
        split: the column that says which part a row belongs to.
    """

    timestamp: str
    instrument: str | None
    prices: dict[str, str] = field(default_factory=dict)
    adjusted_close: str | None = None
    numbers: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    context: dict[str, tuple[str, ...]] = field(default_factory=dict)
    whole: tuple[str, ...] = ()
    categories: tuple[str, ...] = ()
    split: str | None = None

    @property
    def context_columns(self) -> tuple[str, ...]:
        """The columns of all context blocks."""
        return tuple(column for columns in self.context.values() for column in columns)

    @property
    def number_columns(self) -> list[str]:
        """Every column that must hold numbers, each once."""
        adjusted = [self.adjusted_close] if self.adjusted_close else []
        return list(dict.fromkeys([*self.prices.values(), *adjusted, *self.numbers]))

    @property
    def category_columns(self) -> list[str]:
        """Every column that is read as text: categories, and the split's."""
        return [*self.categories, *([self.split] if self.split and self.split not in self.categories else [])]

    @property
    def all_columns(self) -> list[str]:
        """Every column that is read, each once."""
        keys = [self.timestamp, *([self.instrument] if self.instrument else [])]
        return list(dict.fromkeys([*keys, *self.number_columns, *self.labels, *self.category_columns]))


def layout_for(config: DataConfig, targets: dict[str, TargetConfig], columns: list[str], file: str) -> Layout:
    """Work out which of the file's `columns` a run reads; a column that should be there and isn't is a TableError."""
    prices = _price_columns(config, columns)
    asks, reads = _feature_columns(config, prices)
    needs_prices = asks is not None or any(target.needs_prices for target in targets.values())
    prices = prices if needs_prices else {}
    read = [name for names in reads.values() for name in names]
    number_labels = [column for target in targets.values() for column in target.number_columns]
    class_labels = [column for target in targets.values() for column in target.label_columns]
    context = {name: _spelt_out(given, columns) for name, given in config.context_blocks.items()}
    in_context = [column for block in context.values() for column in block]
    needed = {*config.features, *read, *prices.values()}
    whole = config.context_missing == "error"
    layout = Layout(
        timestamp=config.timestamp,
        instrument=config.instrument,
        prices=prices,
        adjusted_close=config.adjusted_close if needs_prices else None,
        numbers=tuple(dict.fromkeys([*config.features, *in_context, *read, *number_labels])),
        labels=tuple(dict.fromkeys(class_labels)),
        optional=tuple(dict.fromkeys(name for name in [*in_context, *number_labels] if name not in needed)),
        context=context,
        whole=tuple(name for name in in_context if name not in config.features) if whole else (),
        categories=tuple(config.categories),
        split=config.split.column,
    )
    asked = {**_asked(config), **{context_key(name): list(block) for name, block in context.items()}, **reads}
    asked["data.targets"] = list(dict.fromkeys([*number_labels, *class_labels]))
    lacking = [
        f"{file}: there is no column '{name}' ({key}){did_you_mean(name, columns)}"
        for key, names in asked.items()
        for name in names
        if name not in columns
    ]
    missing = [name for name in _NEEDED if needs_prices and name not in prices and name not in config.columns]
    if missing:
        lacking.append(f"{file}: {_lacking_prices(missing, asks, targets)}; known: {', '.join(columns)}")
    if lacking:
        raise TableError("\n".join(lacking))
    _refuse_shared_columns(context, file)
    _refuse_known_labels(targets, {*prices.values(), layout.adjusted_close}, reads)
    _refuse_labels_in_context(targets, in_context)
    return layout


def _asked(config: DataConfig) -> dict[str, list[str]]:
    """The columns that keys name themselves, by the keys."""
    single = {
        "data.timestamp": config.timestamp,
        "data.instrument": config.instrument,
        "data.adjusted_close": config.adjusted_close,
        "data.split.column": config.split.column,
    }
    several = {
        "data.columns": list(config.columns.values()),
        "data.features": config.features,
        "data.categories": config.categories,
    }
    return {key: [name] for key, name in single.items() if name} | several


def _lacking_prices(missing: list[str], asks: str | None, targets: dict[str, TargetConfig]) -> str:
    """That price columns are not there, who needs them, and what to do; `asks` is the key whose features do."""
    why = "the targets made from prices need" if asks is None else f"{asks} needs"
    own_names = ",".join(name for name, target in targets.items() if not target.needs_prices)
    without = f"model.heads=[{own_names}]" if own_names else "data.features=[...] and label columns of your own"
    return (
        f"there is no column {' or '.join(missing)}, which {why}; say where they stand "
        f"(data.columns.{missing[0]}=COLUMN), or do without prices ({without})"
    )


def _spelt_out(given: list[str], columns: list[str]) -> tuple[str, ...]:
    """The columns that a block names; a pattern such as text_* stands for those of the file that fit, in its order."""
    found: list[str] = []
    for entry in given:
        if "*" in entry and entry not in columns:
            pattern = re.escape(entry).replace(r"\*", ".*")
            fitting = [column for column in columns if re.fullmatch(pattern, column)]
            found += fitting or [entry]  # one that nothing fits stays, and is told to be lacking
        else:
            found.append(entry)
    return tuple(dict.fromkeys(found))


def _refuse_shared_columns(context: dict[str, tuple[str, ...]], file: str) -> None:
    owner: dict[str, str] = {}
    for name, block in context.items():
        for column in block:
            if column in owner:
                raise TableError(
                    f"{file}: column '{column}' is in two blocks, {context_key(owner[column])} and "
                    f"{context_key(name)}; leave it in one"
                )
            owner[column] = name


def _refuse_labels_in_context(targets: dict[str, TargetConfig], context: list[str]) -> None:
    """`consistency` has looked at the columns that are named; here a pattern such as text_* is spelt out."""
    for name, target in targets.items():
        if isinstance(target, ColumnTarget) and target.column in context and not target.allow_contemporaneous:
            raise ConfigError(
                f"data.targets.{name}.column: a pattern of data.context takes in '{target.column}', so the label "
                "would be read off the input; name the block's columns, or set "
                f"data.targets.{name}.allow_contemporaneous=true"
            )


def _feature_columns(config: DataConfig, prices: dict[str, str]) -> tuple[str | None, dict[str, list[str]]]:
    """The first key whose features read prices, and the other columns that features read, by the key that names them.

    In a table without a full set of prices, `col('close')` in an expression is a column like any other.
    """
    select_features(config.feature_set, config.extra_features, config.expressions)  # refuses two of one name
    asks = None if config.feature_set == "none" else f"data.feature_set={config.feature_set}"
    complete = all(name in prices for name in _NEEDED)
    own: dict[str, list[str]] = {}
    for entry in select_features("none", config.extra_features, config.expressions):
        written = entry.name in config.expressions
        key = f"data.expressions.{entry.name}" if written else "data.extra_features"
        if entry.market and config.independent_sequences:
            raise ConfigError(
                f"{key}: market_mean() is over all instruments at one time, but independent sequences share no "
                "calendar; leave it out"
            )
        for name in entry.reads:
            if name == TIME:
                continue  # every table has it
            if (complete and name in prices) or (name in _NEEDED and not written):
                asks = asks or key
            else:
                own.setdefault(key, []).append(name)
    return asks, own


def _refuse_known_labels(
    targets: dict[str, TargetConfig], inputs: set[str | None], reads: dict[str, list[str]]
) -> None:
    """A label that features read is known at its own row; `consistency` has looked at the columns used as they are."""
    for name, target in targets.items():
        if not isinstance(target, ColumnTarget) or target.allow_contemporaneous:
            continue
        for key, columns in reads.items():
            if target.column in columns:
                raise ConfigError(
                    f"data.targets.{name}.column: '{target.column}' is read by {key} as well, so the label would be "
                    f"read off the input; remove it there, or set data.targets.{name}.allow_contemporaneous=true"
                )
        if target.column in inputs:
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
