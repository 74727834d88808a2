"""The config of the models, one dataclass per family."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_range, key
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class ModelConfig:
    """What every model family says."""

    name: str = key("", "which model family")
    time_window: int = key(32, "rows in a window, the decision row included")
    heads: list[str] | None = key(None, "the active targets, of those in data.targets; null: all of them")

    def __post_init__(self) -> None:
        check_range("model.time_window", self.time_window, low=2)
        if self.heads is not None and (not self.heads or len(set(self.heads)) != len(self.heads)):
            raise ConfigError(f"model.heads: {self.heads} must name at least one target, and each once")


@dataclass(kw_only=True)
class HybridModelConfig(ModelConfig):
    """EnhancedHybridModel: Conv1d blocks, LSTM, embeddings, context branch, shared trunk, a head per task."""

    name: str = key("hybrid", "which model family")
    cnn_filters: list[int] = key([32, 32], "output channels of each convolution block")
    kernel_size: int = key(3, "rows that one convolution sees; odd")
    lstm_units: int = key(64, "hidden size of the LSTM")
    lstm_layers: int = key(1, "stacked LSTM layers")
    embeddings: dict[str, int] = key(
        {"instrument": 4},
        "categorical inputs: NAME: size of its vector; "
        "'instrument' can be switched off with ~model.embeddings.instrument",
    )
    use_context: bool = key(True, "use the context columns (data.context) where there are any")
    context_units: int = key(16, "size to which the context branch brings the context columns")
    trunk_units: int = key(64, "size of the shared layer that all heads read")
    dropout: float = key(0.2, "share of units dropped after convolutions, between LSTM layers and in the trunk")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.cnn_filters or min(self.cnn_filters) < 1:
            raise ConfigError(f"model.cnn_filters: {self.cnn_filters} must be one or more positive integers")
        if self.kernel_size < 1 or self.kernel_size % 2 == 0:
            raise ConfigError(f"model.kernel_size: {self.kernel_size} must be odd and at least 1")
        for name in ("lstm_units", "lstm_layers", "context_units", "trunk_units"):
            check_range(f"model.{name}", getattr(self, name), low=1)
        check_range("model.dropout", self.dropout, low=0, high=0.95)
        for name, size in self.embeddings.items():
            check_range(f"model.embeddings.{name}", size, low=1)
