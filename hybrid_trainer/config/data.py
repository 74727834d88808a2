"""The config of the data: where the table is, what is made of it, how it is split, what is to be predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.spans import parse_span
from hybrid_trainer.config.split import SplitConfig
from hybrid_trainer.errors import ConfigError

PRICE_COLUMNS = ("open", "high", "low", "close", "volume")
CONTEXT_BLOCK = "context"  # the block that data.context=[a,b] makes


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
        "core: causal indicators from prices; technical: the well-known set; none: only what is named below; "
        "auto: none where features, extra_features or expressions are given, else core",
    )
    extra_features: list[str] = key(
        [], "single features beside the set: built-in ones, or your own by their names (see plugins)"
    )
    expressions: dict[str, str] = key({}, "features written as text: NAME: \"col('close').log().diff(5)\"")
    features: list[str] = key([], "the table's own columns to use as features, as they are")
    # Any and None: OmegaConf knows no 'list or mapping', and puts no list in the place of a mapping.
    context: Any = key(
        None,
        "the table's own columns for the context branch (a text embedding, say): a list, or named blocks "
        "NAME: [a, b]; 'text_*' stands for every column whose name begins so",
    )
    context_missing: str = key(
        "fallback",
        "a context block with a missing value: fallback: a learned vector stands in; error: refuse the table",
    )
    categories: list[str] = key(
        [], "the table's own columns to embed as categories (a sector, say); an empty cell is <unk>"
    )
    missing: str = key("error", "a missing feature value: error: refuse the table; gap: no window crosses the row")
    max_gap: str | None = key(
        "auto",
        "the longest step between neighbouring rows of an instrument that windows, features and labels may cross: "
        "auto: as the data's own calendar has it; 5: that many usual steps; 2h, 3d: a duration; null: any",
    )
    independent_sequences: bool = key(
        False,
        "the instruments are sequences without a shared calendar (gestures, patients, sessions): each belongs to one "
        "part as a whole, and labels are purged within a sequence",
    )
    on_error: str = key("raise", "a bad row: raise: refuse the table; drop: go on without it, and say so")
    cache: str = key(
        "auto",
        "keep the checked table in paths.cache_dir for the next run: auto: from a million rows on; always; never",
    )
    in_memory_mib: int = key(
        1024,
        "features of a cached table of at most this size (MiB) are held in memory or on the GPU; larger ones are read "
        "from the cache while they train, in an order that is random within pools of half a million rows",
    )
    targets: dict[str, Any] = key({}, "what can be predicted: NAME: {builder, horizon, ...}; see model.heads")
    shuffle_labels: bool = key(
        False, "give every row another row's label: nothing is left to learn, and what still beats chance is a leak"
    )
    split: SplitConfig = key(SplitConfig(), "how rows are divided into train, valid and test")
    scaler: str = key("standard", "standard (mean, sd) | robust (median, quartiles) | none; fitted on training rows")
    clip: float | None = key(
        10.0, "scaled features and context columns are cut off at plus and minus this; null: not at all"
    )

    def __post_init__(self) -> None:
        check_choice("data.feature_set", self.feature_set, ["auto", "core", "technical", "none"])
        check_choice("data.missing", self.missing, ["error", "gap"])
        check_choice("data.on_error", self.on_error, ["raise", "drop"])
        check_range("data.in_memory_mib", self.in_memory_mib, low=0)
        check_choice("data.cache", self.cache, ["auto", "always", "never"])
        check_choice("data.scaler", self.scaler, ["standard", "robust", "none"])
        check_range("data.clip", self.clip, above=0)
        if self.max_gap not in (None, "auto"):
            parse_span("data.max_gap", self.max_gap)
        self._check_sequences()
        for name in self.columns:
            check_choice("data.columns", name, PRICE_COLUMNS)
        check_choice("data.context_missing", self.context_missing, ["fallback", "error"])
        self.context = _blocks(self.context) or None
        _check_once("data.features", self.features)
        _check_once("data.extra_features", self.extra_features)
        _check_once("data.categories", self.categories)
        for name in self.categories:
            if name in ("instrument", self.instrument):
                raise ConfigError(f"data.categories: '{name}' is embedded already: model.embeddings.instrument")
        named = self.features or self.extra_features or self.expressions
        if self.feature_set == "auto":
            self.feature_set = "none" if named else "core"
        if self.feature_set == "none" and not named:
            raise ConfigError("data.features: name at least one column, or set data.feature_set=core")

    def _check_sequences(self) -> None:
        """Independent sequences have names and no calendar; without them nothing is put in an order of sequences."""
        split = self.split
        if not self.independent_sequences:
            for name, default in (("order", "shuffled"), ("seed", 0)):
                if getattr(split, name) != default:
                    raise ConfigError(f"data.split.{name}: it is used with data.independent_sequences=true alone")
            return
        if self.instrument is None:
            raise ConfigError("data.instrument: data.independent_sequences=true needs the column that names a sequence")
        if split.kind == "date":
            raise ConfigError(
                "data.split.kind: independent sequences share no calendar, so no date divides them; "
                "use chronological, walk_forward, cpcv (fractions and folds are then of the sequences) or column"
            )
        if split.kind != "column" and parse_span("data.split.embargo", split.embargo).amount:
            raise ConfigError("data.split.embargo: whole sequences are divided; no part follows another in time")

    @property
    def context_blocks(self) -> dict[str, list[str]]:
        """The columns, or patterns of columns, of each context block."""
        return self.context or {}


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
    feature_set: str = key("core", "core | technical: indicators from prices; none: only what is named below")


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
    feature_set: str = key("core", "core | technical: indicators from prices; none: only what is named below")
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


def _blocks(given: Any) -> dict[str, list[str]]:
    """The context columns by block; a list alone is one block named `context`."""
    blocks = given if isinstance(given, dict) else {CONTEXT_BLOCK: given} if given else {}
    made: dict[str, list[str]] = {}
    for name, columns in blocks.items():
        path = context_key(str(name))
        listed = columns if isinstance(columns, list) else [columns]
        if not str(name).isidentifier():
            raise ConfigError(f"data.context: '{name}' must be letters, digits and underscores: it names a block")
        if not listed or not all(type(column) in (str, int) for column in listed):
            raise ConfigError(f"{path}: {columns!r} must be column names: {path}=[a,b] or text_*")
        made[str(name)] = [str(column) for column in listed]
        _check_once(path, made[str(name)])
    return made


def context_key(block: str) -> str:
    """The key under which a user finds a block of context columns."""
    return "data.context" if block == CONTEXT_BLOCK else f"data.context.{block}"


def _check_once(path: str, columns: list[str]) -> None:
    twice = {column for column in columns if columns.count(column) > 1}
    if twice:
        raise ConfigError(f"{path}: '{min(twice)}' is named twice")
