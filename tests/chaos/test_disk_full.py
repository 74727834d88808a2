"""A disk that fills up at twenty sizes: one line says so, the older checkpoint loads, and with more room it goes on."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.chaos.runs import Ended, Server, Straight, assert_same, begun, files, first, go_on, record

SIZES = 20
PER_KILLS = 10
"""Of the twenty sizes, one per so many kills that are asked for."""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """The sizes, spread evenly."""
    number = min(SIZES, max(2, metafunc.config.getoption("kills") // PER_KILLS))
    metafunc.parametrize("share", [round((n + 0.5) / number, 3) for n in range(number)])


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[int], Path]]:
    """Makes a folder on a disk of so many bytes, and gives it more when it is asked again."""
    folder = tmp_path / "disk"
    folder.mkdir()

    def make(size: int) -> Path:
        again = "remount," if os.path.ismount(folder) else ""
        command = ["mount", "-t", "tmpfs", "-o", f"{again}size={size}", "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("this user may not mount a small disk here")
        return folder

    yield make
    if os.path.ismount(folder):
        subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_ends_a_run_that_goes_on_with_more_room(
    share: float,
    server: Server,
    undisturbed: Callable[[str], Straight],
    tmp_path: Path,
    small_disk: Callable[[int], Path],
) -> None:
    whole = undisturbed("fp16")
    used = sum(-(-path.stat().st_size // 4096) * 4096 for path in whole.run.rglob("*"))
    run = small_disk(int(used * share)) / "run"
    ended = server.run(tmp_path, first(whole.config, run))
    assert_one_line(ended, run, r"No space left on device")
    small_disk(10 * used)
    assert_goes_on(server, run, whole)


def test_a_limit_of_the_file_size_ends_a_run_that_goes_on_without_it(
    share: float, server: Server, undisturbed: Callable[[str], Straight], tmp_path: Path
) -> None:
    """As a full disk does, file by file: each file that is larger than the limit fails in the middle."""
    whole, run = undisturbed("fp16"), tmp_path / "run"
    largest = max(path.stat().st_size for path in whole.run.rglob("last-*.pt"))
    ended = server.run(tmp_path, first(whole.config, run), file_size=int(largest * share))
    assert_one_line(ended, run, r"File too large")
    assert_goes_on(server, run, whole)


def assert_one_line(ended: Ended, run: Path, reason: str) -> None:
    """The last line names a file of the run and the reason; there is no trace of python's, and no leftover."""
    assert "Traceback" not in ended.said and "Logging error" not in ended.said, ended.said
    (line,) = [line for line in ended.said.splitlines() if line.startswith("error: ")]
    assert re.match(rf"error: {run}/?\S*: {reason}", line)
    if "/checkpoints/" in line:
        assert re.search(r"needs [\d,]+ bytes, [\d,]+ are free", line)
    assert ended.status == 1
    assert not [name for name in files(run) if name.rpartition("/")[2].startswith(".")]


def assert_goes_on(server: Server, run: Path, whole: Straight) -> None:
    if not begun(run):
        return
    assert record(run)["status"] in ("failed", "running")  # where there was no room for the record either
    ended = go_on(server, run)
    assert ended.status == 0, ended.said
    assert_same(run, whole)
