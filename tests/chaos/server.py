"""A warm fork server: it has imported all that a run imports, and forks a child for each command line.

Reads a JSON line per run from stdin, writes one per ended run to stdout. Started by `Server` in runs.py.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_WAIT_S = 0.0005
_HANGS_S = 300.0


def main() -> None:
    """Serve until stdin ends."""
    importlib.import_module("tests.warm_imports")
    importlib.import_module("tests.chaos.plans")
    _say({"ready": os.getpid()})
    for line in sys.stdin:
        order = json.loads(line)
        signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # until the child can handle them
        pid = os.fork()
        if pid == 0:
            _child(order)
        status, seconds = _watch(pid, order["signals"])
        _say({"status": status, "seconds": seconds})


def _child(order: dict[str, Any]) -> None:
    from hybrid_trainer import __main__ as program
    from tests.chaos.plans import follow

    dispatch = program._dispatch

    def listening(arguments: list[str]) -> int:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        return dispatch(arguments)

    program._dispatch = listening

    handle = os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    for stream in (1, 2):
        os.dup2(handle, stream)
    status = 70  # an error that is not the user's
    try:
        os.chdir(Path(order["output"]).parent)
        with follow(order["plan"]):
            status = program.run(order["arguments"])
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _watch(pid: int, signals: list[tuple[float, int]]) -> tuple[int, float]:
    """Send each (seconds, signal) and wait for the end; returns what Popen.returncode would be, and the seconds.

    Seconds are those that the child's main thread has computed: of a busy machine's clock nothing could be foretold.
    """
    waiting, seconds, began = list(signals), 0.0, time.monotonic()
    while True:
        seconds = max(seconds, _computed(pid))
        if time.monotonic() - began > _HANGS_S:
            os.kill(pid, signal.SIGKILL)
        elif waiting and seconds >= waiting[0][0]:
            os.kill(pid, waiting.pop(0)[1])
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), seconds
        time.sleep(_WAIT_S)


def _computed(pid: int) -> float:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


def _say(answer: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
