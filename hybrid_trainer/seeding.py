"""Seeds and determinism: the same command gives the same bits at the same number of threads."""

from __future__ import annotations

import os
import random
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import torch


def seed_everything(seed: int, *, deterministic: bool, threads: int) -> None:
    """Seed python, numpy and torch, pin torch's CPU threads, and ask for deterministic operations.

    Call it before the first CUDA operation: cuBLAS reads its workspace setting once.
    """
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    import torch  # here, so that whatever needs no torch doesn't pay for it
    import torch.utils.deterministic

    random.seed(seed)
    np.random.seed(seed)  # libraries that use numpy's global state are what this is for
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(deterministic)
    torch.backends.cudnn.benchmark = not deterministic
    # Filling fresh memory with NaN finds reads of uninitialised memory; it costs 4 to 9 % and changes no result.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def generators_state(device: torch.device) -> dict[str, Any]:
    """The state of python's, numpy's, torch's and on a GPU CUDA's global generators, as tensors and plain types."""
    import torch

    version, numbers, gauss = random.getstate()
    numpys = np.random.get_state(legacy=True)
    assert isinstance(numpys, tuple)
    _, keys, position, has_gauss, cached = numpys
    state = {
        "python": [version, list(numbers), gauss],
        "numpy": [torch.from_numpy(keys.astype(np.int64)), int(position), int(has_gauss), float(cached)],
        "torch": torch.get_rng_state(),
    }
    return state | ({"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else {})


def set_generators(state: dict[str, Any], device: torch.device) -> None:
    """Put the global generators where `generators_state` found them; on another kind of device CUDA's is left alone."""
    import torch

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    np.random.set_state(("MT19937", keys.cpu().numpy().astype(np.uint32), position, has_gauss, cached))
    torch.set_rng_state(state["torch"].cpu())
    if device.type == "cuda" and "cuda" in state:
        torch.cuda.set_rng_state(state["cuda"].cpu(), device)
