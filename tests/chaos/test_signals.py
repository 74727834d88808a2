"""SIGTERM and SIGINT at random moments: an orderly end, no finished step lost, the same bits when the run goes on."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.chaos.runs import CONFIGS, Ended, Server, Straight, assert_same, begun, files, first, go_on, record, tell

PER_KILLS = 4
"""A signal per so many kills that are asked for, two signals at once per four times as many."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A test per signal; its number is the seed of all that is random in it."""
    per = PER_KILLS if "one" in metafunc.function.__name__ else 4 * PER_KILLS
    metafunc.parametrize("seed", range(-(-metafunc.config.getoption("kills") // per)), ids=lambda seed: f"seed{seed}")


def test_one_signal_ends_a_run_behind_the_step_and_it_goes_on_to_the_same_bits(
    seed: int,
    server: Server,
    undisturbed: Callable[[str], Straight],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    draw = random.Random(seed)
    whole, number = undisturbed(draw.choice(sorted(CONFIGS))), draw.choice([2, 15])

    def plan() -> dict[str, Any]:
        if seed % 4 == 1:
            at = draw.randint(1, whole.points)
            return {"points": str(tmp_path / "points"), "kill_at": at, "number": number}
        return {"signals": [(draw.uniform(0, whole.seconds), number)]}

    run, ended = interrupted(server, whole, tmp_path, lambda: plan() | {"steps": str(tmp_path / "steps")})
    assert ended.status == 128 + number, ended.said
    if (run / "run.json").exists() and record(run)["status"] != "complete":  # or it came behind the last word
        assert record(run)["status"] == "interrupted"
        assert not [name for name in files(run) if name.rpartition("/")[2].startswith(".")]
        assert_no_finished_step_is_lost(run, tmp_path / "steps", ended)
    assert_goes_on(server, run, whole)
    record_property("chaos: signals", 1)


def test_two_signals_lose_nothing_that_a_checkpoint_holds(
    seed: int,
    server: Server,
    undisturbed: Callable[[str], Straight],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    draw = random.Random(seed)
    whole, numbers = undisturbed(draw.choice(sorted(CONFIGS))), draw.choices([2, 15], k=2)

    def plan() -> dict[str, Any]:
        at = draw.uniform(0.2, 0.8) * whole.seconds
        return {"signals": [(at, numbers[0]), (at + draw.uniform(0, 0.02), numbers[1])]}

    run, ended = interrupted(server, whole, tmp_path, plan)
    assert ended.status in {128 + number for number in numbers}, ended.said
    assert_goes_on(server, run, whole)
    record_property("chaos: two signals", 1)


def interrupted(
    server: Server, whole: Straight, folder: Path, plan: Callable[[], dict[str, Any]]
) -> tuple[Path, Ended]:
    """A run that a signal has ended; where it came too late, another one."""
    for number in range(20):
        run, chosen = folder / f"run{number}", plan()
        tell(str(chosen))
        ended = server.run(folder, first(whole.config, run), **chosen)
        if ended.status != 0:
            return run, ended
        assert_same(run, whole)
    raise AssertionError("twenty signals came too late")


def assert_no_finished_step_is_lost(run: Path, steps: Path, ended: Ended) -> None:
    """The newest checkpoint stands behind the last step that was finished, or behind its epoch."""
    finished = steps.read_text().split()
    written = sorted(path.name for path in run.glob("checkpoints/last-*.pt.sha256"))
    if not finished:
        return
    epoch, step = int(finished[-2]), int(finished[-1])
    assert written, ended.said
    _, saved_epoch, saved_step = written[-1].removesuffix(".pt.sha256").split("-")
    assert (int(saved_epoch), int(saved_step)) in [(epoch, step), (epoch + 1, 0)]


def assert_goes_on(server: Server, run: Path, whole: Straight) -> None:
    if not begun(run):
        return  # it had not begun: there is nothing to go on with
    ended = go_on(server, run)
    assert ended.status == 0, ended.said
    assert_same(run, whole)
