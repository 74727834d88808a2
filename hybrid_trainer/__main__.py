"""The command line: a bare first word is a command, anything else composes a run. Imports nothing heavy."""

from __future__ import annotations

import errno
import importlib.util
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from importlib.resources import files
from types import FrameType

from hybrid_trainer import completion
from hybrid_trainer.errors import UserError, did_you_mean
from hybrid_trainer.ranks import launched
from hybrid_trainer.version import __version__

USAGE = """\
hybrid_trainer {version}: train, test and compare multi-task sequence models on time-ordered panels.

  python -m hybrid_trainer                                       the embedded data set, defaults
  python -m hybrid_trainer KEY=VALUE ...                         with overrides: training.epochs=30 model.lstm_units=128
  python -m hybrid_trainer --multirun KEY=A,B ...                a sweep: a run for every combination
  python -m hybrid_trainer --config FILE ...                     with your own YAML of keys on top
  python -m hybrid_trainer check KEY=VALUE ...                   does anything leak? a run's overrides, its data
  python -m hybrid_trainer compare DIR ...                       a table of runs: compare outputs multirun
  python -m hybrid_trainer describe [GROUP]                      every key: name, type, default, meaning
  python -m hybrid_trainer predict MODEL_DIR FILE [-o OUT]       predictions for the rows of a table
  python -m hybrid_trainer repro-check KEY=VALUE ...             the same bits again? a short run, twice
  python -m hybrid_trainer rerun RUN_DIR [KEY=VALUE ...]         a new run with the config of another one
  python -m hybrid_trainer resume RUN_DIR [KEY=VALUE ...]        go on with a run from its last checkpoint
  python -m hybrid_trainer sweep status|resume|retry DIR         a sweep: its jobs, going on, running the failed again
  python -m hybrid_trainer tune-engine KEY=VALUE ...             what is fastest here, written as a machine profile
  python -m hybrid_trainer lr-find KEY=VALUE ... [-o lr.png]     a learning-rate range test, with its picture
  python -m hybrid_trainer batch-size-find KEY=VALUE ...         the largest batch that fits, and how fast each is

Groups, chosen with GROUP=OPTION; files in ./conf/GROUP/ are options too:
{groups}

  --dry-run        one batch through everything: shapes, parameters, memory, time per epoch; nothing is written
  --cfg job        show the composed config and stop
  --info, --hydra-help, --shell-completion                       Hydra's own flags
"""

_HYDRA_FLAGS = ("--cfg", "-c", "--info", "-i", "--hydra-help", "--shell-completion", "-sc")


def main() -> None:
    """The console script."""
    status = run(sys.argv[1:])
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)  # all is said and written: a second signal is to print no trace
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:  # the terminal has gone: python would find out at its end, with another status
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    sys.exit(status)


def run(arguments: list[str]) -> int:
    """Carry out a command line; returns the exit status: 0, 1 (a run went wrong), 2 (wrong input), 129, 130 or 143."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup leaves it
        signal.signal(signal.SIGHUP, _hang_up)
    try:
        status = _one_or_many(arguments)
        sys.stdout.flush()  # here, where a reader that has gone is no error
        return status
    except UserError as error:
        return _say(str(error), error.exit_status)
    except (MemoryError, RuntimeError) as error:
        return _out_of_memory(error)
    except HungUp:
        return _say("the terminal has gone", HungUp.exit_status)
    except Terminated:
        return _say("terminated", Terminated.exit_status)
    except KeyboardInterrupt:
        return _say("interrupted", 130)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # python would complain once more at its end
        return 0
    except OSError as error:
        if error.errno == errno.ENOMEM:
            return _out_of_memory(error)
        where = f"{error.filename}: " if error.filename else ""
        return _say(f"{where}{error.strerror or error}", 1)


class Terminated(KeyboardInterrupt):
    """SIGTERM; like Ctrl-C, it must not be taken for an error of the run."""

    exit_status = 143


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


class HungUp(KeyboardInterrupt):
    """SIGHUP: the terminal was closed."""

    exit_status = 129


def _hang_up(number: int, frame: FrameType | None) -> None:
    raise HungUp


def _one_or_many(arguments: list[str]) -> int:
    if not launched():
        return _dispatch(arguments)
    from hybrid_trainer import together

    return together.run(arguments, _dispatch)


def _dispatch(arguments: list[str]) -> int:
    if importlib.util.find_spec("hybrid_trainer.conf") is None:
        raise UserError("this is a checkout that is not installed: run `pip install -e .` in it first")
    if not arguments or "=" in arguments[0] or arguments[0].startswith(("-", "+", "~")):
        if any(flag in arguments for flag in ("--help", "-h")):
            sys.stdout.write(USAGE.format(version=__version__, groups=_groups()))
            return 0
        if "--version" in arguments:
            sys.stdout.write(f"{__version__}\n")
            return 0
        return _compose_and_run(arguments)
    command, *rest = arguments
    if command not in COMMANDS:
        raise UserError(f"'{command}' is neither a command nor KEY=VALUE{did_you_mean(command, COMMANDS)}")
    return COMMANDS[command](rest)


def _compose_and_run(arguments: list[str]) -> int:
    if completion.is_query(arguments) and (offered := completion.offers(COMMANDS)) is not None:
        sys.stdout.write(" ".join(offered))
        return 0
    from hybrid_trainer import launch

    if any(argument.split("=")[0] in _HYDRA_FLAGS for argument in arguments):
        return launch.hand_to_hydra(arguments)
    return launch.launch(arguments)


def _check(arguments: list[str]) -> int:
    from hybrid_trainer import check

    return check.main(arguments)


def _compare(arguments: list[str]) -> int:
    from hybrid_trainer.runs import compare

    return compare.main(arguments)


def _describe(arguments: list[str]) -> int:
    from hybrid_trainer.config import describe

    return describe.main(arguments)


def _repro_check(arguments: list[str]) -> int:
    from hybrid_trainer import repro_check

    return repro_check.main(arguments)


def _rerun(arguments: list[str]) -> int:
    from hybrid_trainer import rerun

    return rerun.main(arguments)


def _resume(arguments: list[str]) -> int:
    from hybrid_trainer import resume

    return resume.main(arguments)


def _predict(arguments: list[str]) -> int:
    from hybrid_trainer.inference import command

    return command.main(arguments)


def _batch_size_find(arguments: list[str]) -> int:
    from hybrid_trainer.tune import batch_size_find

    return batch_size_find.main(arguments)


def _lr_find(arguments: list[str]) -> int:
    from hybrid_trainer.tune import lr_find

    return lr_find.main(arguments)


def _sweep(arguments: list[str]) -> int:
    from hybrid_trainer.sweeps import command

    return command.main(arguments)


def _tune_engine(arguments: list[str]) -> int:
    from hybrid_trainer.tune import engine

    return engine.main(arguments)


COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "batch-size-find": _batch_size_find,
    "check": _check,
    "compare": _compare,
    "describe": _describe,
    "lr-find": _lr_find,
    "predict": _predict,
    "repro-check": _repro_check,
    "rerun": _rerun,
    "resume": _resume,
    "sweep": _sweep,
    "tune-engine": _tune_engine,
}


def _groups() -> str:
    folder = files("hybrid_trainer.conf")
    lines = []
    for group in ("data", "model", "training", "callbacks", "experiment"):
        names = sorted(
            entry.name.removesuffix(".yaml") for entry in (folder / group).iterdir() if entry.name.endswith(".yaml")
        )
        lines.append(f"  {group:<11}{' | '.join(names)}")
    return "\n".join(lines)


def _out_of_memory(error: BaseException) -> int:
    """Say what to lower; any other error goes on as it is. A run has said it to its own record before."""
    from hybrid_trainer import memory

    said = memory.explained(error)
    if said is None:
        raise error
    return _say(str(said), said.exit_status)


def _say(text: str, status: int) -> int:
    with suppress(OSError):  # nobody is there any more
        for line in text.splitlines():
            sys.stderr.write(f"error: {line}\n")
    return status


if __name__ == "__main__":
    main()
