"""A run's log: the file with times, the terminal without."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from hybrid_trainer.errors import TableError
from hybrid_trainer.runs.logs import logging_to, quiet

LOG = logging.getLogger("hybrid_trainer.somewhere")
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}"


def test_lines_go_to_the_file_with_times_and_to_the_terminal_without(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(tmp_path / "train.log"):
        LOG.info("epoch %d", 1)
        LOG.debug("not for users")
    LOG.info("after the run")
    assert capsys.readouterr().out == "epoch 1\n"
    assert re.fullmatch(rf"{TIME} INFO    epoch 1\n", (tmp_path / "train.log").read_text())


def test_an_error_goes_to_the_file_with_its_trace(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="deep"), logging_to(tmp_path / "train.log"):
        raise ValueError("deep inside")
    text = (tmp_path / "train.log").read_text()
    assert re.search(rf"{TIME} ERROR   ValueError: deep inside\nTraceback", text)
    assert capsys.readouterr().out == ""


def test_an_error_of_the_users_needs_no_trace(tmp_path: Path) -> None:
    with pytest.raises(TableError), logging_to(tmp_path / "train.log"):
        raise TableError("a.csv:2: bad")
    text = (tmp_path / "train.log").read_text()
    assert text.endswith("ERROR   TableError: a.csv:2: bad\n")
    assert "Traceback" not in text


def test_two_runs_in_one_process_have_each_their_own_lines(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with logging_to(tmp_path / name):
            LOG.info("line of the %s", name)
    assert "second" not in (tmp_path / "first").read_text()
    assert (tmp_path / "second").read_text().count("line of") == 1


def test_what_is_logged_quietly_is_told_to_nobody(capsys: pytest.CaptureFixture[str]) -> None:
    package = logging.getLogger("hybrid_trainer")
    with quiet():
        logging.getLogger("hybrid_trainer.build").warning("made again")
        assert package.handlers
    assert package.handlers == []
    assert capsys.readouterr() == ("", "")


def test_a_log_that_cannot_be_written_ends_the_run_and_prints_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    full = Path("/dev/full")
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"), logging_to(full):
        LOG.info("a line")
    assert capsys.readouterr().err == ""


class _Gone:
    """A terminal or a pipe that nobody reads any more."""

    def write(self, text: str) -> int:
        raise BrokenPipeError


def test_a_terminal_that_has_gone_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with logging_to(tmp_path / "train.log"), monkeypatch.context() as patch:
        patch.setattr("sys.stdout", _Gone())
        LOG.info("one")
        LOG.info("two")
    assert capsys.readouterr().err == ""
    assert [line.split()[-1] for line in (tmp_path / "train.log").read_text().splitlines()] == ["one", "two"]


def test_where_the_log_cannot_be_written_the_first_error_is_the_one_to_see() -> None:
    with pytest.raises(TableError), logging_to(Path("/dev/full")):
        raise TableError("a.csv:2: bad")
