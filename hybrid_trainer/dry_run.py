"""`--dry-run`: one batch through everything, and what a run would cost; nothing is left behind."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table as RichTable

from hybrid_trainer.config.schema import Config
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.train import load

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from hybrid_trainer.data.dataset import Dataset
    from hybrid_trainer.trainer import Trainer
    from hybrid_trainer.types import Batch

_MIB = 2**20
_TIMED_S, _TIMED_STEPS = 2.0, 20


def dry_run(config: Config, notes: Sequence[str] = ()) -> None:
    """Load the table, train one step, validate and predict one batch, and say what was seen.

    Raises:
        UserError: what a run would raise before its first epoch ends.
    """
    table = load(config)  # torch isn't imported yet: a bad table is told at once
    seed_everything(config.seed, deterministic=config.training.deterministic, threads=config.training.threads)
    from hybrid_trainer import build, prepare

    console = Console(width=100 if not sys.stdout.isatty() else None)
    for note in [*notes, *table.notes]:
        console.print(note, markup=False, soft_wrap=True)
    on = build.machine(config)
    data = prepare.dataset(config, table, on.device)
    spec = build.model_spec(config, data)
    trainer = build.trainer(config, spec, data, on, [], origin=build.origin_of(config))
    batch_size = config.training.batch_size
    groups = trainer.groups(data.loader("train", batch_size, shuffle_seed=config.seed))
    first = next(groups)
    with _shapes(trainer.model) as shapes:
        trainer.stepper.train(first)
    trainer.schedule.step()
    valid = next(iter(data.loader("valid", batch_size)))
    console.print(f"engine  {on.device}, {on.precision.name}, {config.training.threads} thread(s)", highlight=False)
    console.print(_data_table(data))
    console.print(_shape_table(trainer.model, first[0], shapes))
    for line in [*_memory(trainer, data, first[0]), *_cost(trainer, data, first, valid, config)]:
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    # What a finished run would save: the whole way from features in units to predictions in units.
    origin: dict[str, Any] = {"hybrid_trainer": "", "python": "", "packages": {}}
    golden = build.golden_windows(data, count=1)
    build.predictor(config, spec, data, trainer, origin).predict_windows(
        golden["x"], golden.get("context"), golden["ids"]
    )
    console.print("dry run: one batch went through everything; nothing was written", markup=False)


@contextmanager
def _shapes(model: nn.Module) -> Iterator[dict[str, str]]:
    """Collect the shape that each part of the model puts out while the block runs."""
    found: dict[str, str] = {}

    def hook(name: str) -> Any:
        return lambda module, given, out: found.__setitem__(name, _shape(out))

    handles = [child.register_forward_hook(hook(name)) for name, child in model.named_children()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()


def _shape(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shape(part)}" for name, part in value.items())
    return str(tuple(value.shape))


def _data_table(data: Dataset) -> RichTable:
    table = RichTable(title="Windows", title_justify="left")
    for name in ("part", "rows", "purged", "first", "last"):
        table.add_column(name, justify="right" if name in ("rows", "purged") else "left")
    for part, said in data.split_report["parts"].items():
        table.add_row(part, f"{said['rows']:,}", f"{said['purged']:,}", str(said["first"]), str(said["last"]))
    return table


def _shape_table(model: nn.Module, batch: Batch, shapes: dict[str, str]) -> RichTable:
    """Inputs, parts of the model and labels, in the order in which a batch passes them."""
    table = RichTable(title=f"One batch through {type(model).__name__}", title_justify="left")
    table.add_column("what")
    table.add_column("shape", overflow="fold")
    table.add_column("parameters", justify="right")
    inputs: dict[str, Tensor | None] = {"x": batch.x, "context": batch.context, "ids": batch.ids}
    for name, value in inputs.items():
        if value is not None:
            table.add_row(f"input {name}", _shape(value), "")
    table.add_section()
    for name, child in model.named_children():
        if name in shapes:
            table.add_row(name, shapes[name], f"{sum(p.numel() for p in child.parameters()):,}")
    table.add_section()
    for task, label in batch.targets.items():
        table.add_row(f"label {task}", f"{_shape(label)}, {int(batch.mask[task].sum())} of {len(label)} rows", "")
    table.add_section()
    table.add_row("all", "", f"{sum(p.numel() for p in model.parameters()):,}")
    return table


def _memory(trainer: Trainer, data: Dataset, batch: Batch) -> list[str]:
    import psutil
    import torch

    state = trainer.stepper.optimizer.state.values()
    moments = [value for entry in state for value in entry.values() if isinstance(value, torch.Tensor)]
    sizes = {
        "weights": _bytes(trainer.model.parameters()),
        "gradients": _bytes(trainer.model.parameters()),
        "optimizer": _bytes(moments),
        "panel": data.tensors.bytes(),
        "one batch": _bytes([batch.x]),
    }
    lines = ["memory  " + ", ".join(f"{name} {size / _MIB:.1f} MiB" for name, size in sizes.items())]
    lines.append(f"process {psutil.Process().memory_info().rss / _MIB:.0f} MiB resident")
    if trainer.device.type == "cuda":
        lines.append(f"GPU     {torch.cuda.max_memory_allocated(trainer.device) / _MIB:.0f} MiB at most so far")
    return lines


def _bytes(tensors: Any) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def _cost(trainer: Trainer, data: Dataset, group: list[Batch], valid: Batch, config: Config) -> list[str]:
    """Time a few more steps and guess an epoch from them."""
    import torch

    step = _seconds(lambda: trainer.stepper.train(group), trainer.device)
    trainer.model.eval()
    with torch.inference_mode():
        look = _seconds(lambda: trainer.stepper.forward(valid), trainer.device)
    batch_size = config.training.batch_size
    steps = -(-len(data.loader("train", batch_size)) // config.training.accumulate)
    looks = len(data.loader("valid", batch_size))
    epoch = steps * step + looks * look
    return [
        f"time    about {epoch:.1f} s per epoch: {steps} steps of {1e3 * step:.1f} ms, "
        f"{looks} validation batches of {1e3 * look:.1f} ms; at most {config.training.epochs} epochs"
    ]


def _seconds(work: Any, device: torch.device) -> float:
    """The mean time of a few calls, for as long as two seconds."""
    import torch

    done, seconds, began = 0, 0.0, time.perf_counter()
    while done < _TIMED_STEPS and seconds < _TIMED_S:
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        done, seconds = done + 1, time.perf_counter() - began
    return seconds / done
