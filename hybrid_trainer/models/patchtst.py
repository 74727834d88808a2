"""PatchTST: a transformer over patches of each feature's window (Nie et al., 2023).

Shape legend: B batch, T time, F feature, S series (B times channels), P patches, L rows of a patch, E size of a patch's
vector, A attention heads, D output of a head.
"""

from __future__ import annotations

import math
from typing import Unpack

import torch
from torch import Tensor, nn

from hybrid_trainer.models.channels import ChannelHeads
from hybrid_trainer.models.dropout import Dropout
from hybrid_trainer.models.fusion import TrunkParameters
from hybrid_trainer.models.registry import MODELS, InputDims


class Attention(nn.Module):
    """Multi-head self-attention whose scores are added to those of the layer before (RealFormer, He et al., 2021).

    Args:
        size: E. heads: A, which divide E. dropout: share of the result's units dropped.
    """

    def __init__(self, size: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.scale = 1 / math.sqrt(size // heads)
        self.inner = nn.Linear(size, 3 * size)  # queries, keys and values in one product
        self.outer = nn.Linear(size, size)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """(S, P, E), scores (S, A, P, P) or None -> (S, P, E), scores."""
        split: Tensor = self.inner(x).view(*x.shape[:2], 3, self.heads, -1)  # (S, P, 3, A, E / A)
        queries, keys, values = split.permute(2, 0, 3, 1, 4)  # each (S, A, P, E / A)
        scores = queries @ keys.transpose(2, 3) * self.scale  # (S, A, P, P)
        if before is not None:
            scores = scores + before
        mixed = (scores.softmax(dim=3) @ values).transpose(1, 2).flatten(2)  # (S, P, E)
        return self.dropout(self.outer(mixed)), scores


class PatchLayer(nn.Module):
    """Attention, then two linear layers at each patch; each part is added to its input, with batch norm.

    Args:
        size: E. heads: A. hidden: size between the two linear layers. dropout: share of units dropped.
        pre_norm: normalise before each part, not behind it.
    """

    def __init__(self, size: int, heads: int, hidden: int, dropout: float, *, pre_norm: bool) -> None:
        super().__init__()
        self.attention = Attention(size, heads, dropout)
        self.norm_attention = nn.BatchNorm1d(size)
        self.feed_forward = nn.Sequential(nn.Linear(size, hidden), nn.GELU(), Dropout(dropout), nn.Linear(hidden, size))
        self.norm_feed_forward = nn.BatchNorm1d(size)
        self.dropout = Dropout(dropout)
        self.pre_norm = pre_norm

    def forward(self, x: Tensor, before: Tensor | None) -> tuple[Tensor, Tensor]:
        """(S, P, E), scores (S, A, P, P) of the layer before or None -> (S, P, E), scores."""
        x = _per_unit(self.norm_attention, x) if self.pre_norm else x
        added, scores = self.attention(x, before)
        x = x + self.dropout(added)  # dropped a second time, as in the authors' code
        x = _per_unit(self.norm_feed_forward if self.pre_norm else self.norm_attention, x)
        x = x + self.dropout(self.feed_forward(x))
        return x if self.pre_norm else _per_unit(self.norm_feed_forward, x), scores


def _per_unit(norm: nn.BatchNorm1d, x: Tensor) -> Tensor:
    """(S, P, E) -> (S, P, E), each unit normalised over all patches of all series."""
    out: Tensor = norm(x.flatten(0, 1))  # (S, P, E) -> (S * P, E)
    return out.view_as(x)


class PatchEncoder(nn.Module):
    """Series -> patches -> vectors that know their places -> transformer layers.

    Args:
        rows: T. patch_len: L. stride: rows from one patch to the next; the last row is repeated that often behind the
            series. size: E. layers: how many. others: `heads`, `hidden`, `dropout`, `pre_norm` of each layer.

    Attributes:
        patches: P.
    """

    spared = ("position",)  # from weight decay

    def __init__(
        self,
        rows: int,
        patch_len: int,
        stride: int,
        size: int,
        layers: int,
        *,
        heads: int,
        hidden: int,
        dropout: float,
        pre_norm: bool,
    ) -> None:
        super().__init__()
        self.patch_len, self.stride = patch_len, stride
        self.patches = (rows + stride - patch_len) // stride + 1
        self.embedding = nn.Linear(patch_len, size)
        self.position = nn.Parameter(torch.empty(self.patches, size).uniform_(-0.02, 0.02))
        self.dropout = Dropout(dropout)
        self.layers = nn.ModuleList(PatchLayer(size, heads, hidden, dropout, pre_norm=pre_norm) for _ in range(layers))

    def forward(self, series: Tensor) -> Tensor:
        """(S, T) -> (S, P, E)."""
        padded = torch.cat([series, series[:, -1:].expand(-1, self.stride)], dim=1)
        patches = padded.unfold(1, self.patch_len, self.stride)  # (S, P, L)
        x: Tensor = self.dropout(self.embedding(patches) + self.position)
        scores: Tensor | None = None
        for layer in self.layers:
            x, scores = layer(x, scores)
        return x


@MODELS.register("patchtst")
class PatchTST(nn.Module):
    """A Time Series is Worth 64 Words (Nie, Nguyen, Sinthong and Kalagnanam, ICLR 2023), as in the authors' code.

    Each feature's window is cut into patches, which one transformer reads, feature by feature. A column of a forecast
    is a linear function of its own feature's patches. Other heads, of which the paper has none that are supervised,
    read the patches of all features and the side inputs through a shared layer. Their instance normalisation is
    `model.window_norm`.

    Args:
        dims: what the data says of inputs and heads.
        patch_len, stride, d_model, attention_heads, d_ff, layers, pre_norm: see `PatchEncoder`.
        individual: each column of a forecast has a map of its own.
        trunk: what stands before the other heads; see `SharedTrunk`. Its dropout is the layers' as well.
    """

    def __init__(
        self,
        dims: InputDims,
        *,
        patch_len: int,
        stride: int,
        d_model: int,
        attention_heads: int,
        d_ff: int,
        layers: int,
        pre_norm: bool,
        individual: bool,
        **trunk: Unpack[TrunkParameters],
    ) -> None:
        super().__init__()
        self.encoder = PatchEncoder(
            dims.time_window,
            patch_len,
            stride,
            d_model,
            layers,
            heads=attention_heads,
            hidden=d_ff,
            dropout=trunk["dropout"],
            pre_norm=pre_norm,
        )
        self.heads = ChannelHeads(dims, self.encoder.patches * d_model, individual=individual, **trunk)

    def forward(self, x: Tensor, context: Tensor | None, ids: Tensor) -> dict[str, Tensor]:
        """x (B, T, F), context (B, C) or None, ids (B, K) -> {task: (B, D) raw outputs}."""
        series = self.heads.series(x)  # (B, channels, T)
        encoded: Tensor = self.encoder(series.flatten(0, 1))  # (B * channels, P, E)
        described = encoded.view(*series.shape[:2], -1)  # (B, channels, P * E)
        outputs: dict[str, Tensor] = self.heads(described, context, ids)
        return outputs
