"""The config of the published families that make one vector of the whole window: TCN, LSTNet, DeepLOB, MLSTM-FCN."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_range, check_sizes, key
from hybrid_trainer.config.model import TrunkConfig
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class TcnModelConfig(TrunkConfig):
    """TCN: causal convolutions whose dilation doubles from block to block, with residuals."""

    name: str = key("tcn", "which model family")
    channels: list[int] = key([32, 32, 32, 32], "channels of each residual block; block n is dilated 2^n rows")
    kernel_size: int = key(3, "rows that one convolution sees")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("model.channels", self.channels)
        check_range("model.kernel_size", self.kernel_size, low=2)


@dataclass(kw_only=True)
class LstNetModelConfig(TrunkConfig):
    """LSTNet: a convolution, a GRU, a GRU that skips a period, and an autoregression beside them."""

    name: str = key("lstnet", "which model family")
    filters: int = key(100, "output channels of the convolution")
    kernel_size: int = key(3, "rows that one convolution sees; 6 in the paper")
    gru_units: int = key(100, "hidden size of the GRU")
    skip: int = key(5, "rows of the period that the second GRU skips, 24 for hourly data; 0: no such GRU")
    skip_units: int = key(5, "hidden size of the GRU that skips")
    highway: int = key(8, "last rows that the autoregression of a forecast reads, 24 in the paper; 0: none")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("filters", "kernel_size", "gru_units", "skip_units"):
            check_range(f"model.{name}", getattr(self, name), low=1)
        check_range("model.skip", self.skip, low=0)
        check_range("model.highway", self.highway, low=0, high=self.time_window)
        steps = self.time_window - self.kernel_size + 1
        if steps < max(1, self.skip):
            raise ConfigError(
                f"model.skip: with model.time_window={self.time_window} and model.kernel_size={self.kernel_size} the "
                f"convolution leaves {max(steps, 0)} step(s), and model.skip={self.skip} needs {max(1, self.skip)}; "
                "lower one of them, or take a longer window"
            )


@dataclass(kw_only=True)
class DeepLobModelConfig(TrunkConfig):
    """DeepLOB: convolutions that merge neighbouring features, an inception module, an LSTM."""

    name: str = key("deeplob", "which model family")
    filters: int = key(16, "output channels of the convolutions")
    inception_filters: int = key(32, "output channels of each of the inception module's three branches")
    lstm_units: int = key(64, "hidden size of the LSTM")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("filters", "inception_filters", "lstm_units"):
            check_range(f"model.{name}", getattr(self, name), low=1)


@dataclass(kw_only=True)
class MlstmFcnModelConfig(TrunkConfig):
    """MLSTM-FCN: convolutions with squeeze-and-excite blocks beside an LSTM that reads feature by feature."""

    name: str = key("mlstm_fcn", "which model family")
    filters: list[int] = key([128, 256, 128], "output channels of each convolution")
    kernel_sizes: list[int] = key([8, 5, 3], "rows that each convolution sees")
    reduction: int = key(16, "by how much a squeeze-and-excite block narrows its channels")
    lstm_units: int = key(8, "hidden size of the LSTM, 8, 64 or 128 in the paper")
    lstm_dropout: float = key(0.8, "share of the LSTM's units dropped")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_sizes("model.filters", self.filters)
        check_sizes("model.kernel_sizes", self.kernel_sizes, ("model.filters", self.filters))
        check_range("model.reduction", self.reduction, low=1)
        check_range("model.lstm_units", self.lstm_units, low=1)
        check_range("model.lstm_dropout", self.lstm_dropout, low=0, high=0.95)
