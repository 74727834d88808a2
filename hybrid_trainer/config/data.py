"""The config of the data: where the table is, what is made of it, how it is split, what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.errors import ConfigError

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")


@dataclass(kw_only=True)
class SplitConfig:
    """How decision rows are divided into train, valid and test."""

    kind: str = key("chronological", "chronological: by fractions of the calendar of all instruments together")
    fractions: list[float] = key([0.70, 0.15, 0.15], "shares of the calendar for train, valid and test; sum 1")

    def __post_init__(self) -> None:
        check_choice("data.split.kind", self.kind, ["chronological"])
        if len(self.fractions) != 3 or not (min(self.fractions) > 0 and abs(sum(self.fractions) - 1) <= 1e-6):
            raise ConfigError(f"data.split.fractions: {self.fractions} must be three positive numbers with sum 1")


@dataclass(kw_only=True)
class DataConfig:
    """What every data set needs to say."""

    name: str = key("", "which source reads the table")
    timestamp: str = key("timestamp", "column with the time of a row (a date, an ISO date-time or an integer)")
    instrument: str | None = key(None, "column that names the instrument; none: the whole table is one instrument")
    columns: dict[str, str] = key({}, "where open, high, low, close, volume stand, if not under these names")
    adjusted_close: str | None = key(None, "column with the adjusted close: prices are scaled by it / close")
    feature_set: str = key(
        "auto",
        "core: causal indicators from prices; none: data.features alone; "
        "auto: none where data.features is given, else core",
    )
    features: list[str] = key([], "the table's own columns to use as features, as they are")
    context: list[str] = key([], "the table's own columns for the context branch (a text embedding, say)")
    missing: str = key("error", "a missing feature value: error: refuse the table; gap: no window crosses the row")
    on_error: str = key("raise", "a bad row: raise: refuse the table; drop: go on without it, and say so")
    cache: str = key(
        "auto",
        "keep the checked table in paths.cache_dir for the next run: auto: from a million rows on; always; never",
    )
    targets: dict[str, Any] = key({}, "what can be predicted: NAME: {builder, horizon, ...}; see model.heads")
    shuffle_labels: bool = key(
        False, "give every row another row's label: nothing is left to learn, and what still beats chance is a leak"
    )
    split: SplitConfig = key(SplitConfig(), "how rows are divided into train, valid and test")
    scaler: str = key("standard", "standard (mean, sd) | robust (median, quartiles) | none; fitted on training rows")
    clip: float | None = key(10.0, "scaled features are cut off at plus and minus this; null: not at all")

    def __post_init__(self) -> None:
        check_choice("data.feature_set", self.feature_set, ["auto", "core", "none"])
        check_choice("data.missing", self.missing, ["error", "gap"])
        check_choice("data.on_error", self.on_error, ["raise", "drop"])
        check_choice("data.cache", self.cache, ["auto", "always", "never"])
        check_choice("data.scaler", self.scaler, ["standard", "robust", "none"])
        check_range("data.clip", self.clip, above=0)
        for name in self.columns:
            check_choice("data.columns", name, PRICE_COLUMNS)
        for name in ("features", "context"):
            columns: list[str] = getattr(self, name)
            twice = {column for column in columns if columns.count(column) > 1}
            if twice:
                raise ConfigError(f"data.{name}: '{min(twice)}' is named twice")
        if self.feature_set == "auto":
            self.feature_set = "none" if self.features else "core"
        if self.feature_set == "none" and not self.features:
            raise ConfigError("data.features: name at least one column, or set data.feature_set=core")


@dataclass(kw_only=True)
class UsStocksData(DataConfig):
    """The embedded set: daily prices of AAPL, FB, GOOG, IBM and MSFT, 2000 to 2013."""

    name: str = key("us_stocks", "which source reads the table")
    timestamp: str = key("Date", "column with the time of a row (a date, an ISO date-time or an integer)")
    instrument: str | None = key("Ticker", "column that names the instrument; none: the whole table is one instrument")
    columns: dict[str, str] = key(
        {"open": "Open", "high": "High", "low": "Low", "close": "Close", "volume": "Volume"},
        "where open, high, low, close, volume stand, if not under these names",
    )
    adjusted_close: str | None = key("Adj Close", "column with the adjusted close: prices are scaled by it / close")
    feature_set: str = key("core", "core: causal indicators from prices; none: data.features alone")


@dataclass(kw_only=True)
class TableData(DataConfig):
    """The user's own: a CSV (also gzipped) or Parquet file, told apart by its suffix, or a folder of Parquet files."""

    name: str = key("csv", "which source reads the table")
    path: str | None = key(None, "the file or folder; paths.processed_data_path where it isn't given")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.path:
            raise ConfigError(f"data.path: data={self.name} needs a file: data.path=prices.csv")


@dataclass(kw_only=True)
class ParquetData(TableData):
    """The same, under the name that says Parquet."""

    name: str = key("parquet", "which source reads the table")


@dataclass(kw_only=True)
class SyntheticData(DataConfig):
    """Seeded prices with a planted signal, regimes and clustered volatility; what can be predicted at best is known."""

    name: str = key("synthetic", "which source reads the table")
    instrument: str | None = key("instrument", "column that names the instrument")
    feature_set: str = key("core", "core: causal indicators from prices; none: data.features alone")
    features: list[str] = key(["driver"], "the table's own columns to use as features; the signal is in 'driver'")
    instruments: int = key(4, "how many instruments")
    rows: int = key(3000, "rows of each instrument, one per minute")
    generator_seed: int = key(0, "seed of the table; apart from `seed`, so that runs with other seeds see one table")
    signal_strength: float = key(
        1.0, "how far the signal moves the next return, in standard deviations of its noise; 0: there is no signal"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("data.instruments", self.instruments, low=1)
        check_range("data.rows", self.rows, low=100, high=100_000_000)
        check_range("data.generator_seed", self.generator_seed, low=0)
        check_range("data.signal_strength", self.signal_strength, low=0, high=100)
