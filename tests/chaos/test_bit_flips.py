"""Flipped bits in the checkpoints of a real run: the file is named, the older state taken, and the end is the same."""

from __future__ import annotations

import logging
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from hybrid_trainer.engine.checkpoint_file import manifest_of
from hybrid_trainer.engine.checkpoint_store import CheckpointStore
from tests.chaos.runs import Server, Straight, assert_same, files, first, go_on, tell
from tests.engine.helpers import CPU

FLIPS = 200


def flip_a_bit(path: Path, draw: random.Random) -> None:
    content = bytearray(path.read_bytes())
    at, bit = draw.randrange(len(content)), draw.randrange(8)
    tell(f"{path.name}: bit {bit} of byte {at} of {len(content)}")
    content[at] ^= 1 << bit
    path.write_bytes(content)


def test_any_flipped_bit_is_named_and_the_older_state_taken(
    undisturbed: Callable[[str], Straight], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = undisturbed("fp16").run / "checkpoints"
    older, newest = sorted(whole.glob("last-*.pt"))
    draw = random.Random(0)
    for turn in range(FLIPS):
        folder = tmp_path / str(turn)
        shutil.copytree(whole, folder)
        damaged = folder / newest.name
        flip_a_bit(draw.choice([damaged, damaged, damaged, manifest_of(damaged)]), draw)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            state = CheckpointStore(folder).load_last(CPU)
        (told,) = caplog.messages
        assert told.startswith(f"{damaged}: the checkpoint is damaged") and "checkpoint before it is taken" in told
        assert state is not None
        assert older.name == f"last-{state['epoch']:04}-{state['step_in_epoch']:07}.pt"
        shutil.rmtree(folder)


def test_a_state_whose_best_epoch_is_damaged_is_not_taken_either(
    undisturbed: Callable[[str], Straight], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It would test and save a model that it cannot read."""
    folder = tmp_path / "checkpoints"
    shutil.copytree(undisturbed("fp16").run / "checkpoints", folder)
    state = CheckpointStore(folder).load_last(CPU)
    assert state is not None
    damaged = CheckpointStore(folder).best_path(state["best_epoch"])
    flip_a_bit(damaged, random.Random(1))
    with caplog.at_level(logging.WARNING):
        older = CheckpointStore(folder).load_last(CPU)
    assert caplog.messages[0].startswith(f"{damaged}: the checkpoint is damaged")
    assert older is not None and older["best_epoch"] < state["best_epoch"]


@pytest.mark.parametrize("seed", range(2))
def test_a_run_with_a_damaged_checkpoint_goes_on_from_the_older_one_to_the_same_bits(
    seed: int, server: Server, undisturbed: Callable[[str], Straight], tmp_path: Path
) -> None:
    whole, run, draw = undisturbed("onecycle"), tmp_path / "run", random.Random(seed)
    at = draw.randint(whole.points // 2, whole.points)
    assert server.run(tmp_path, first("onecycle", run), points=str(tmp_path / "points"), kill_at=at).killed
    finished = sorted(path.with_suffix("") for path in run.glob("checkpoints/last-*.pt.sha256"))
    flip_a_bit(finished[-1], draw)
    ended = go_on(server, run)
    assert ended.status == 0, ended.said
    assert f"{finished[-1]}: the checkpoint is damaged" in (run / "train.log").read_text()
    assert_same(run, whole, besides=".damaged")
    assert any(name.endswith(".damaged") for name in files(run))
