"""Memory: what is said when it is used up, and how much of it there is."""

from __future__ import annotations

import errno
import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from hybrid_trainer import __main__, memory
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.errors import TrainingError
from hybrid_trainer.train import train
from tests.conftest import make_config
from tests.engine.helpers import TINY_RUN

HUGE = 1 << 58
BATCH = "lower training.batch_size and raise training.accumulate by as much"


def allocate_with_torch() -> None:
    torch.empty(HUGE, dtype=torch.uint8)


def allocate_with_numpy() -> None:
    np.empty(HUGE, dtype=np.uint8)


def gpu_is_full() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79 GiB")


def cublas_is_full() -> None:
    raise RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`")


def system_is_full() -> None:
    raise OSError(errno.ENOMEM, "Cannot allocate memory")


@pytest.mark.parametrize(
    ("full", "said"),
    [
        (allocate_with_torch, f"out of memory (268435456.00 GiB more were asked for): {BATCH}"),
        (allocate_with_numpy, "out of memory (256. PiB more were asked for): data.cache=always"),
        (gpu_is_full, f"out of memory on the GPU (2.00 GiB more were asked for): {BATCH}"),
        (cublas_is_full, f"out of memory on the GPU: {BATCH}"),
        (system_is_full, "out of memory: data.cache=always"),
    ],
)
def test_what_to_lower_is_told_in_one_line(full: Any, said: str) -> None:
    with pytest.raises(TrainingError) as raised, memory.told():
        full()
    text = str(raised.value)
    assert text.startswith(said)
    assert "\n" not in text and raised.value.exit_status == 1
    for key in ("training.batch_size", "training.accumulate", "model.time_window"):
        assert key in text


@pytest.mark.parametrize("error", [RuntimeError("mat1 and mat2 shapes"), OSError(errno.ENOSPC, "full"), KeyError("a")])
def test_other_errors_go_through_as_they_are(error: Exception) -> None:
    with pytest.raises(type(error)) as raised, memory.told():
        raise error
    assert raised.value is error


def test_what_the_failed_frames_held_is_let_go() -> None:
    class Held:
        pass

    kept: list[weakref.ref[Held]] = []

    def work() -> None:
        held = Held()
        kept.append(weakref.ref(held))
        raise MemoryError

    with pytest.raises(TrainingError), memory.told():
        work()
    gc.collect()
    assert kept[0]() is None


def test_a_run_that_is_out_of_memory_ends_as_failed(
    prices_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Stepper, "train", lambda self, batches, look: allocate_with_torch())
    given = [*TINY_RUN, f"data.path={prices_csv}", f"paths.root={tmp_path}"]
    with pytest.raises(TrainingError, match=r"out of memory .*training\.batch_size"):
        train(make_config(*given), tmp_path / "run", given)
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert record["status"] == "failed"
    assert record["stop_reason"].startswith("TrainingError: out of memory (268435456.00 GiB more were asked for)")


def test_a_command_that_is_out_of_memory_says_it_and_another_error_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(arguments: list[str]) -> int:
        raise {"numpy": MemoryError("a"), "system": OSError(errno.ENOMEM, "b"), "bug": RuntimeError("c")}[arguments[0]]

    monkeypatch.setitem(__main__.COMMANDS, "check", full)
    monkeypatch.setattr(__main__.signal, "signal", lambda *given: None)
    for name in ("numpy", "system"):
        assert __main__.run(["check", name]) == 1
        assert capsys.readouterr().err.startswith("error: out of memory: data.cache=always")
    with pytest.raises(RuntimeError, match="c"):
        __main__.run(["check", "bug"])


def group(folder: Path, limit: str, used: int, droppable: int, names: tuple[str, str, str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {droppable}\nactive_file 7\n")


V2 = ("memory.max", "memory.current", "inactive_file")
V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")


def test_the_narrowest_control_group_counts(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("0::/outer/inner\n")
    groups = tmp_path / "groups"
    free = psutil.virtual_memory().available
    assert memory.available_bytes(groups, tmp_path / "none") == pytest.approx(free, rel=0.2)
    group(groups / "outer", "4000", 1000, 500, V2)
    group(groups / "outer" / "inner", "max", 900, 0, V2)
    assert memory.available_bytes(groups, own) == 3500
    group(groups / "outer" / "inner", "1000", 900, 50, V2)
    assert memory.available_bytes(groups, own) == 150
    group(groups / "outer" / "inner", "1000", 1900, 50, V2)
    assert memory.available_bytes(groups, own) == 0


def test_control_groups_of_the_first_version_count_too(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("4:memory:/box\n2:cpu,cpuacct:/elsewhere\n0::/\n")
    group(tmp_path / "memory" / "box", "2000", 500, 100, V1)
    group(tmp_path / "elsewhere", "10", 0, 0, V2)
    assert memory.available_bytes(tmp_path, own) == 1600
