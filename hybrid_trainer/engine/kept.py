"""A part's raw outputs, kept on the device until its last batch: for the metrics that need all rows at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.metrics import OwnMetric, needs_all_rows, own_metrics, whole_metrics
from hybrid_trainer.ranks import Ranks
from hybrid_trainer.types import EpochRow, TargetSpec


class KeptOutputs:
    """(R, D) float32 outputs of the tasks that have such metrics, a row per decision row of the loader, in its order.

    Each of several processes fills in its own rows and leaves the others 0, so that their sum is exact.

    Args:
        own: metrics of plug-ins, which need all rows as well.
    """

    def __init__(self, loader: WindowLoader, specs: list[TargetSpec], own: Sequence[OwnMetric] = ()) -> None:
        self.loader = loader
        self.own = own
        kinds = {kind for metric in own for kind in metric.kinds}
        self.specs = [spec for spec in specs if needs_all_rows(spec) or spec.kind in kinds]
        self._outputs: dict[str, Tensor] = {}

    def add(self, number: int, outputs: Mapping[str, Tensor]) -> None:
        """Keep the (B, D) outputs of batch `number`; nothing waits for the device."""
        own = self.loader.places(number)
        for spec in self.specs:
            raw = outputs[spec.name]
            if spec.name not in self._outputs:
                self._outputs[spec.name] = torch.zeros(len(self.loader.rows), raw.shape[1], device=raw.device)
            into = self._outputs[spec.name][own]
            into.copy_(raw[: len(into)])  # where no row is left for this process, its batch is a stand-in

    def compute(self, part: str, ranks: Ranks) -> EpochRow:
        """The metrics, under names that begin with `part`; waits for the device."""
        ranks.add_up(list(self._outputs.values()))
        panel, rows, moments = self.loader.panel, self.loader.rows, self.loader.moments
        found: EpochRow = {}
        for spec in self.specs:
            raw = self._outputs[spec.name]
            target = panel.labels(spec.name, rows).to(raw.device)
            mask = panel.mask[spec.name].index_select(0, rows).to(raw.device)
            when = None if moments is None else moments.to(raw.device)
            said = whole_metrics(spec, raw, target, mask, when) | own_metrics(self.own, spec, raw, target, mask)
            found |= {f"{part}/{spec.name}/{name}": value for name, value in said.items()}
        return found
