"""The config of the models: what all say, the hybrid and its parts."""

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
    window_norm: str = key(
        "none",
        "what is taken off each window's features, and put back on what is forecast of them: none | "
        "last: the last row | revin: their mean, and they are divided by their standard deviation",
    )
    window_affine: bool = key(False, "window_norm: scale and shift the normalised features by learned numbers")

    @property
    def channel_wise(self) -> bool:
        """Whether each column of a forecast is told from that column's own window alone."""
        return False

    def __post_init__(self) -> None:
        check_range("model.time_window", self.time_window, low=2)
        check_choice("model.window_norm", self.window_norm, ["none", "last", "revin"])
        if self.window_affine and self.window_norm == "none":
            raise ConfigError("model.window_affine: it needs model.window_norm=last or revin")
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

    context_units: int = key(16, "size to which the context branch brings each block of context columns")
    trunk_units: int = key(64, "size of the shared layer that all heads read")
    dropout: float = key(0.2, "share of units dropped after convolutions, between LSTM layers and in the trunk")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("context_units", "trunk_units"):
            check_range(f"model.{name}", getattr(self, name), low=1)
        check_range("model.dropout", self.dropout, low=0, high=0.95)


@dataclass(kw_only=True)
class PooledConfig(TrunkConfig):
    """What the hybrid and its parts say."""

    pooling: str = key("last", "how the steps become one vector: last | mean | attention")
    linear_path: bool = key(
        False,
        "the heads also read the window's last row as it is: what is linear in it, such as tomorrow's volatility in "
        "today's, is then told beyond what training has seen",
    )
    highway: int = key(
        0, "forecasts of features: how many of its own last rows each also reads, in a linear map as in LSTNet; 0: none"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("model.pooling", self.pooling, ["last", "mean", "attention"])
        check_range("model.highway", self.highway, low=0, high=self.time_window)
        if self.linear_path and self.window_norm == "last":
            raise ConfigError(
                "model.linear_path: window_norm=last takes the last row off, so that it is the same in every window; "
                "use window_norm=revin or none, or leave linear_path at false"
            )


@dataclass(kw_only=True)
class ConvolutionConfig(PooledConfig):
    """What the hybrid and its convolutions say of these."""

    cnn_filters: list[int] = key([32, 32], "output channels of each convolution block")
    kernel_size: int = key(3, "rows that one convolution sees; odd")
    dilations: list[int] = key(
        [], "rows from one that a convolution sees to the next, a number per block, such as [1,2]; none: 1 everywhere"
    )
    residual: bool = key(False, "add each convolution block's input to its output")
    layer_norm: bool = key(True, "layer norm behind each convolution")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cnn_filters or min(self.cnn_filters) < 1:
            raise ConfigError(f"model.cnn_filters: {self.cnn_filters} must be one or more positive integers")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(f"model.kernel_size: {self.kernel_size} must be odd and at least 1")
        if self.dilations and (len(self.dilations) != len(self.cnn_filters) or min(self.dilations) < 1):
            raise ConfigError(
                f"model.dilations: {self.dilations} must be {len(self.cnn_filters)} positive integers, one for each of "
                f"model.cnn_filters={self.cnn_filters}"
            )


@dataclass(kw_only=True)
class RecurrentConfig(PooledConfig):
    """What the hybrid and its LSTM say of that."""

    lstm_units: int = key(64, "hidden size of the LSTM, per direction")
    lstm_layers: int = key(1, "stacked LSTM layers")
    bidirectional: bool = key(False, "also read the window backwards")
    cell: str = key("lstm", "lstm | gru: what the recurrent layers are made of")
    forget_bias: float | None = key(1.0, "where the bias of an LSTM's forget gate starts; null: where torch's does")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("model.lstm_units", self.lstm_units, low=1)
        check_range("model.lstm_layers", self.lstm_layers, low=1)
        check_choice("model.cell", self.cell, ["lstm", "gru"])
        check_range("model.forget_bias", self.forget_bias, low=-100, high=100)
        if self.cell == "gru" and self.forget_bias != 1.0:
            raise ConfigError("model.forget_bias: a GRU has no forget gate; leave it out, or set model.cell=lstm")


@dataclass(kw_only=True)
class CnnModelConfig(ConvolutionConfig):
    """The hybrid's convolutions alone."""

    name: str = key("cnn", "which model family")
    pooling: str = key("attention", "how the steps become one vector: last | mean | attention")


@dataclass(kw_only=True)
class LstmModelConfig(RecurrentConfig):
    """The hybrid's LSTM alone."""

    name: str = key("lstm", "which model family")


@dataclass(kw_only=True)
class HybridModelConfig(RecurrentConfig, ConvolutionConfig):
    """EnhancedHybridModel: Conv1d blocks, LSTM, embeddings, context branch, shared trunk, a head per task."""

    name: str = key("hybrid", "which model family")


@dataclass(kw_only=True)
class LinearModelConfig(SideInputConfig):
    """One linear layer per task over the flattened window."""

    name: str = key("linear", "which model family")
