"""A warm server and undisturbed runs, one of each per test process; the number of kills at the end of the report."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

pytest.register_assert_rewrite("tests.chaos.runs")

from tests.chaos.runs import Server, Straight, straight  # noqa: E402


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture(scope="session")
def undisturbed(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Straight]:
    """The undisturbed run of a config, made when it is first asked for."""
    done: dict[str, Straight] = {}

    def get(config: str) -> Straight:
        if config not in done:
            done[config] = straight(server, config, tmp_path_factory.mktemp(config))
        return done[config]

    return get


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say how much was done: kills, kills inside a write, signals."""
    counted: Counter[str] = Counter()
    for report in [*terminalreporter.getreports("passed"), *terminalreporter.getreports("failed")]:
        counted.update({name: number for name, number in report.user_properties if name.startswith("chaos: ")})
    for name, number in sorted(counted.items()):
        terminalreporter.write_line(f"{name}: {number}")
