"""The config of the families that were published as forecasters: each column from its own past."""

from __future__ import annotations

from dataclasses import dataclass

from hybrid_trainer.config.keys import check_range, key
from hybrid_trainer.config.model import TrunkConfig
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class ChannelWiseConfig(TrunkConfig):
    """What the channel-wise families say."""

    individual: bool = key(False, "a forecast has weights of its own for each column; else all columns share them")

    @property
    def channel_wise(self) -> bool:
        """Each column of a forecast is told from that column's own window alone."""
        return True


@dataclass(kw_only=True)
class DLinearModelConfig(ChannelWiseConfig):
    """DLinear: the window's moving average and the rest, each through a linear map."""

    name: str = key("dlinear", "which model family")
    moving_average: int = key(25, "rows of the moving average that is the trend; odd")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moving_average < 1 or self.moving_average % 2 == 0:
            raise ConfigError(f"model.moving_average: {self.moving_average} must be odd and at least 1")


@dataclass(kw_only=True)
class PatchTSTModelConfig(ChannelWiseConfig):
    """PatchTST: a transformer over patches of each feature's window; sizes as its authors chose them for ETTh2."""

    name: str = key("patchtst", "which model family")
    window_norm: str = key(
        "revin",
        "what is taken off each window's features, and put back on what is forecast of them: none | "
        "last: the last row | revin: their mean, and they are divided by their standard deviation",
    )
    patch_len: int = key(16, "rows of a patch")
    stride: int = key(8, "rows from one patch to the next; the window's last value is repeated that often behind it")
    d_model: int = key(16, "size of a patch's vector")
    attention_heads: int = key(4, "heads of the attention; they divide d_model")
    d_ff: int = key(128, "hidden size between two attentions")
    layers: int = key(3, "transformer layers")
    pre_norm: bool = key(False, "normalise before each part of a layer, not behind it")
    dropout: float = key(0.3, "share of units dropped in the layers and in the trunk")

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("patch_len", "stride", "d_model", "attention_heads", "d_ff", "layers"):
            check_range(f"model.{name}", getattr(self, name), low=1)
        if self.d_model % self.attention_heads:
            raise ConfigError(
                f"model.attention_heads: {self.attention_heads} does not divide model.d_model={self.d_model}"
            )
        if self.patch_len > self.time_window + self.stride:
            raise ConfigError(
                f"model.patch_len: a patch of {self.patch_len} rows is longer than model.time_window="
                f"{self.time_window} with model.stride={self.stride} repeated rows behind it"
            )
