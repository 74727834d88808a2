"""The same model as a user of PyTorch, Lightning or Keras writes it: their modules, their losses, their defaults."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from benchmarks.loops import DROPOUT, INSTRUMENTS, SPECS, TRUNK, Epoch, Setting, Size, panel_of

Items = dict[str, Tensor]


class Windows(Dataset[Items]):
    """What a user writes first: a window per item."""

    def __init__(self, size: Size) -> None:
        self.size, self.panel = size, panel_of(size)

    def __len__(self) -> int:
        return self.size.batch * self.size.steps

    def __getitem__(self, index: int) -> Items:
        row, panel = index + self.size.window, self.panel
        labels = {task: values[row] for task, values in panel.targets.items()}
        return {"x": panel.features[row - self.size.window + 1 : row + 1], "ids": panel.ids[row], **labels}


class Plain(nn.Module):
    """The architecture in torch's own modules."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        sizes = [size.features, size.conv, size.conv]
        self.convolutions = nn.ModuleList(nn.Conv1d(a, b, 3, padding=1) for a, b in pairwise(sizes))
        self.norms = nn.ModuleList(nn.LayerNorm(size.conv) for _ in range(2))
        self.dropout = nn.Dropout(DROPOUT)
        self.lstm = nn.LSTM(size.conv, size.hidden, batch_first=True)
        self.embedding = nn.Embedding(INSTRUMENTS, 4)
        dense = nn.Linear(size.hidden + 4, TRUNK)
        self.trunk = nn.Sequential(dense, nn.LayerNorm(TRUNK), nn.GELU(), nn.Dropout(DROPOUT))
        self.heads = nn.ModuleDict({spec.name: nn.Linear(TRUNK, spec.dim) for spec in SPECS})

    def forward(self, items: Items) -> Items:
        x = items["x"]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            x = convolution(x.transpose(1, 2)).transpose(1, 2)
            x = self.dropout(F.gelu(norm(x)))
        h = self.lstm(x)[0][:, -1]
        h = self.trunk(torch.cat([h, self.embedding(items["ids"][:, 0])], dim=1))
        return {name: head(h) for name, head in self.heads.items()}

    def loss(self, items: Items) -> Tensor:
        outputs, total = self(items), torch.zeros((), device=items["x"].device)
        for spec in SPECS:
            raw = F.softplus(outputs[spec.name]) if spec.link == "softplus" else outputs[spec.name]
            compare = F.cross_entropy if spec.kind == "classification" else F.huber_loss
            total = total + compare(raw.float(), items[spec.name])
        return total


def _optimizer(model: nn.Module, fused: bool = True) -> torch.optim.Optimizer:
    return torch.optim.AdamW(model.parameters(), lr=1e-3, fused=fused)  # the default's loop would be slower


def _loader(size: Size) -> DataLoader[Items]:
    return DataLoader(Windows(size), batch_size=size.batch, shuffle=True)


def dataloader(setting: Setting) -> Epoch:
    """A plain loop over a DataLoader with default collation; no metrics."""
    torch.set_num_threads(setting.threads)
    model, loader = Plain(setting.size), _loader(setting.size)
    optimizer = _optimizer(model)

    def epoch() -> None:
        for items in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=setting.precision == "bf16"):
                loss = model.loss(items)
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()

    return epoch


def lightning(setting: Setting) -> Epoch:
    """Lightning's Trainer over the same DataLoader; logger, checkpoints and bars off."""
    import lightning as pl

    torch.set_num_threads(setting.threads)

    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = Plain(setting.size)

        def training_step(self, items: Items, index: int) -> Tensor:
            return self.model.loss(items)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return _optimizer(self.model, fused=setting.precision == "fp32")  # else Lightning refuses to clip

    module, loader = Module(), _loader(setting.size)

    def epoch() -> None:
        pl.Trainer(
            max_epochs=1,
            accelerator="gpu" if setting.device.type == "cuda" else "cpu",
            devices=1,
            precision="bf16-mixed" if setting.precision == "bf16" else "32-true",
            gradient_clip_val=1.0,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        ).fit(module, loader)

    return epoch


def keras(setting: Setting) -> Epoch:
    """Keras (TensorFlow) `fit` on windows cut beforehand; no metrics."""
    import keras as k

    k.mixed_precision.set_global_policy("mixed_bfloat16" if setting.precision == "bf16" else "float32")
    size, panel = setting.size, panel_of(setting.size)
    x = k.Input((size.window, size.features))
    ids = k.Input((1,), dtype="int32")
    h = x
    for _ in range(2):
        h = k.layers.Conv1D(size.conv, 3, padding="same")(h)
        h = k.layers.Dropout(DROPOUT)(k.layers.Activation("gelu")(k.layers.LayerNormalization()(h)))
    h = k.layers.LSTM(size.hidden)(h)
    h = k.layers.Concatenate()([h, k.layers.Flatten()(k.layers.Embedding(INSTRUMENTS, 4)(ids))])
    h = k.layers.Activation("gelu")(k.layers.LayerNormalization()(k.layers.Dense(TRUNK)(h)))
    h = k.layers.Dropout(DROPOUT)(h)
    heads = {}
    for spec in SPECS:
        activation = "softmax" if spec.kind == "classification" else ("softplus" if spec.link == "softplus" else None)
        heads[spec.name] = k.layers.Dense(spec.dim, activation=activation, name=spec.name, dtype="float32")(h)
    model = k.Model([x, ids], heads)
    losses = {
        spec.name: "sparse_categorical_crossentropy" if spec.kind == "classification" else "huber" for spec in SPECS
    }
    model.compile(k.optimizers.AdamW(1e-3, clipnorm=1.0), losses)
    rows = np.arange(size.window, size.window + size.batch * size.steps)
    windows = panel.features.numpy()[rows[:, None] + np.arange(1 - size.window, 1)]
    labels = {task: values.numpy()[rows] for task, values in panel.targets.items()}
    inputs = [windows, panel.ids.numpy()[rows]]
    return lambda: model.fit(inputs, labels, batch_size=size.batch, shuffle=True, verbose=0)
