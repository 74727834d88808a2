"""Where the panel lives that batches are gathered from: in the device's memory or in the host's."""

from __future__ import annotations

import logging

import torch

from hybrid_trainer.data.windows import PanelTensors
from hybrid_trainer.errors import ConfigError

log = logging.getLogger(__name__)

_MIB = 2**20


def place(tensors: PanelTensors, device: torch.device, where: str) -> PanelTensors:
    """Put the panel where batches are to be gathered; on a CPU, all places are the same memory.

    What stays on the host is gathered by threads, ahead, into pinned memory, from where a GPU fetches it by itself.

    Args:
        device: where batches go.
        where: device; host; auto: on the device if it takes less than half of what is free there. Maps of files stay
            where they are.

    Raises:
        ConfigError: it is to go to the device and does not fit.
    """
    if device.type != "cuda":
        return tensors.to(device)
    needed, free = tensors.bytes(), torch.cuda.mem_get_info(device)[0]
    if where == "device":
        _refuse_no_room(tensors, needed, free)
        return tensors.to(device)
    if tensors.mapped or where == "host":
        return tensors
    if 2 * needed < free:
        return tensors.to(device)
    log.info(
        "the panel takes %d MiB, more than half of the %d MiB free on the GPU: batches are gathered on the host",
        needed // _MIB,
        free // _MIB,
    )
    return tensors


def _refuse_no_room(tensors: PanelTensors, needed: int, free: int) -> None:
    if tensors.mapped:
        raise ConfigError(
            f"training.data_device: the panel ({needed // _MIB} MiB) is kept in files; raise data.in_memory_mib to "
            "hold it in memory, or set training.data_device=auto"
        )
    if needed > free:
        raise ConfigError(
            f"training.data_device: the panel takes {needed // _MIB} MiB, but only {free // _MIB} MiB are free on the "
            "GPU; set training.data_device=auto or host"
        )
