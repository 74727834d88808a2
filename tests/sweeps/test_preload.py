"""What the fork server imports: a process that is forked behind it must be able to use polars and a GPU."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = r"""
import re
import sys
from pathlib import Path
import torch

def asked(*arguments):
    raise SystemExit("CUDA was asked")

torch.cuda.is_available = torch.cuda.device_count = torch.cuda.init = asked
if hasattr(torch._C, "_cuda_getDeviceCount"):  # not in a build for CPUs
    torch._C._cuda_getDeviceCount = torch._C._cuda_init = asked
import hybrid_trainer.sweeps.preload

names = [task.joinpath("comm").read_text().strip() for task in Path("/proc/self/task").iterdir()]
assert not torch.cuda.is_initialized()
assert not [name for name in names if re.fullmatch(r"(polars|rayon)-\d+", name)], names
missing = {"hybrid_trainer.train", "hybrid_trainer.sweeps.worker", "torch._dynamo", "polars", "sklearn", "skops.io",
           "torch.utils.tensorboard", "hybrid_trainer.evaluation.report"} - set(sys.modules)
assert not missing, missing
"""


def test_it_has_what_a_run_needs_and_has_begun_neither_polars_threads_nor_cuda() -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
