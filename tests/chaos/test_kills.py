"""Runs that are killed again and again, anywhere and inside a checkpoint write, end in an undisturbed run's bits."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.chaos.runs import CONFIGS, Server, Straight, assert_same, begun, first, go_on, tell

KILLS = 4
"""Per test, two of them inside a checkpoint write."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test per four kills; its number is the seed of all that is random in it."""
    numbers = range(-(-metafunc.config.getoption("kills") // KILLS))
    metafunc.parametrize("seed", numbers, ids=lambda seed: f"seed{seed}")


def test_a_run_that_is_killed_again_and_again_ends_in_the_same_bits(
    seed: int,
    server: Server,
    undisturbed: Callable[[str], Straight],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    whole = undisturbed(sorted(CONFIGS)[seed % len(CONFIGS)])
    kills = ["writing", "writing", "anywhere", "anywhere"]
    draw = random.Random(seed)
    draw.shuffle(kills)
    number, told = 0, []
    while kills:  # a run that completes before its kill makes room for a further one
        run = tmp_path / f"run{number}"
        while True:
            plan = _plan(kills[0], draw, whole, tmp_path) if kills else {}
            ended = go_on(server, run, **plan) if begun(run) else server.run(tmp_path, first(whole.config, run), **plan)
            told.append(f"{run.name}: {plan}: {ended.status}")
            if not ended.killed:
                break
            if kills.pop(0) == "writing":
                told.append((tmp_path / "points").read_text())
            if (run / "run.json").exists() and not begun(run):
                break
        number += 1
        assert ended.killed or ended.status == 0, f"{told}\n{ended.said}"
        if not ended.killed:
            tell(*told)
            assert_same(run, whole)
    record_property("chaos: kills", KILLS)
    record_property("chaos: kills inside a checkpoint write", KILLS // 2)


def _plan(kind: str, draw: random.Random, whole: Straight, folder: Path) -> dict[str, object]:
    """SIGKILL from outside at any time, or by the process itself at any point of its checkpoint writes."""
    if kind == "anywhere":
        return {"signals": [(draw.uniform(0, whole.seconds), 9)]}
    return {"points": str(folder / "points"), "kill_at": draw.randint(1, whole.points // 2)}
