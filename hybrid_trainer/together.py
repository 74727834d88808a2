"""A command line in each of several processes: the first one carries it out, the others do what it says."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from hybrid_trainer import attempts, meeting
from hybrid_trainer.errors import ProcessGoneError, TrainingError, UserError
from hybrid_trainer.ranks import Ranks

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

_OF_ONE_PROCESS = ("batch-size-find", "lr-find", "repro-check", "tune-engine")
_STATUS = "status"
_ANSWER_S = 5.0


def run(arguments: list[str], carry_out: Callable[[list[str]], int]) -> int:
    """Carry out a command line that torchrun has started; returns the exit status, the same in all processes.

    Whatever trains nothing is done, and told, by the first process alone.

    Raises:
        UserError: in the first one; in another one only what the first one can't know of.
    """
    with meeting.joined() as (ranks, store):
        return _lead(arguments, carry_out, ranks, store) if ranks.first else _go_along(ranks, store)


def _lead(arguments: list[str], carry_out: Callable[[list[str]], int], ranks: Ranks, store: Store) -> int:
    status = 1
    try:
        if word := attempts.last_word():
            raise word
        if not ranks.alone and arguments and arguments[0] in _OF_ONE_PROCESS:
            raise UserError(f"{arguments[0]}: looks at one process; start it without torchrun")
        status = carry_out(arguments)
    except UserError as error:
        status = error.exit_status
        attempts.leave_word(error)
        raise
    except KeyboardInterrupt as error:
        status = _of_signal(error)
        raise
    finally:
        _say_status(status, store)
    return status


def _say_status(status: int, store: Store) -> None:
    from torch import distributed

    with suppress(RuntimeError):  # where the others have gone as well
        store.set(_STATUS, str(status))
        if distributed.is_initialized():
            meeting.tell(status)


def _go_along(ranks: Ranks, store: Store) -> int:
    from hybrid_trainer.follow import follow  # while the first one is at work

    try:
        while isinstance(word := meeting.word_of_first(), meeting.Plan):
            with meeting.training() as own:
                follow(word, own)
    except ProcessGoneError as error:
        return _status_of_first(store, error)
    except TrainingError as error:
        return error.exit_status  # all of them come upon it, and the first one says it
    except UserError as error:
        raise type(error)(f"process {ranks.rank}: {error}") from error
    except KeyboardInterrupt as error:
        return _of_signal(error)
    return word


def _status_of_first(store: Store, error: ProcessGoneError) -> int:
    """With which status the first one has ended; if it has left none, something else has gone wrong."""
    try:
        store.wait([_STATUS], timedelta(seconds=_ANSWER_S))
        return int(store.get(_STATUS))
    except RuntimeError:
        raise error from None


def _of_signal(error: KeyboardInterrupt) -> int:
    return int(getattr(error, "exit_status", 130))
