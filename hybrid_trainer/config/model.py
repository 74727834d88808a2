"""The config of the models, one dataclass per family."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class ModelConfig:
    """What every model family says."""

    name: str = key("", "which model family")
    time_window: int = key(32, "rows in a window, the decision row included")
    heads: list[str] | None = key(None, "the active targets, of those in data.targets; null: all of them")
    init_from: str | None = key(
        None, "a saved model (RUN_DIR/model) of the same family and features, whose weights this one begins with"
    )
    freeze: list[str] = key(
        [], "parts that don't learn: names of modules or parameters, or patterns: [convolution, recurrent, heads.*]"
    )

    def __post_init__(self) -> None:
        check_range("model.time_window", self.time_window, low=2)
        if self.heads is not None and (not self.heads or len(set(self.heads)) != len(self.heads)):
            raise ConfigError(f"model.heads: {self.heads} must name at least one target, and each once")


@dataclass(kw_only=True)
class SideInputConfig(ModelConfig):
    """What every family says of the inputs beside the window."""

    embeddings: dict[str, int] = key(
        {"instrument": 4},
        "categorical inputs: NAME: size of its vector; one of data.categories that isn't named gets the root of its "
        "number of categories, at most 16; 'instrument' can be switched off with ~model.embeddings.instrument",
    )
    use_context: bool = key(True, "use the context columns (data.context) where there are any")
    unknown_rate: float = key(
        0.0,
        "share of categories and context blocks that training hides at random, so that the model learns what to do "
        "with an unknown category and a missing block",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, size in self.embeddings.items():
            check_range(f"model.embeddings.{name}", size, low=1)
        check_range("model.unknown_rate", self.unknown_rate, low=0, high=0.95)


@dataclass(kw_only=True)
class TrunkConfig(SideInputConfig):
    """What the families with a shared trunk say."""

    pooling: str = key("last", "how the steps become one vector: last | mean | attention")
    context_units: int = key(16, "size to which the context branch brings each block of context columns")
    trunk_units: int = key(64, "size of the shared layer that all heads read")
    dropout: float = key(0.2, "share of units dropped after convolutions, between LSTM layers and in the trunk")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model.pooling", self.pooling, ["last", "mean", "attention"])
        for name in ("context_units", "trunk_units"):
            check_range(f"model.{name}", getattr(self, name), low=1)
        check_range("model.dropout", self.dropout, low=0, high=0.95)


@dataclass(kw_only=True)
class CnnModelConfig(TrunkConfig):
    """The hybrid's convolutions alone."""

    name: str = key("cnn", "which model family")
    cnn_filters: list[int] = key([32, 32], "output channels of each convolution block")
    kernel_size: int = key(3, "rows that one convolution sees; odd")
    pooling: str = key("attention", "how the steps become one vector: last | mean | attention")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_convolutions(self.cnn_filters, self.kernel_size)


@dataclass(kw_only=True)
class LstmModelConfig(TrunkConfig):
    """The hybrid's LSTM alone."""

    name: str = key("lstm", "which model family")
    lstm_units: int = key(64, "hidden size of the LSTM, per direction")
    lstm_layers: int = key(1, "stacked LSTM layers")
    bidirectional: bool = key(False, "also read the window backwards")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_recurrence(self.lstm_units, self.lstm_layers)


@dataclass(kw_only=True)
class HybridModelConfig(TrunkConfig):
    """EnhancedHybridModel: Conv1d blocks, LSTM, embeddings, context branch, shared trunk, a head per task."""

    name: str = key("hybrid", "which model family")
    cnn_filters: list[int] = key([32, 32], "output channels of each convolution block")
    kernel_size: int = key(3, "rows that one convolution sees; odd")
    lstm_units: int = key(64, "hidden size of the LSTM, per direction")
    lstm_layers: int = key(1, "stacked LSTM layers")
    bidirectional: bool = key(False, "also read the window backwards")

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_convolutions(self.cnn_filters, self.kernel_size)
        _check_recurrence(self.lstm_units, self.lstm_layers)


@dataclass(kw_only=True)
class LinearModelConfig(SideInputConfig):
    """One linear layer per task over the flattened window."""

    name: str = key("linear", "which model family")


def _check_convolutions(filters: list[int], kernel_size: int) -> None:
    if not filters or min(filters) < 1:
        raise ConfigError(f"model.cnn_filters: {filters} must be one or more positive integers")
    if kernel_size < 1 or kernel_size % 2 == 0:
        raise ConfigError(f"model.kernel_size: {kernel_size} must be odd and at least 1")


def _check_recurrence(units: int, layers: int) -> None:
    check_range("model.lstm_units", units, low=1)
    check_range("model.lstm_layers", layers, low=1)
