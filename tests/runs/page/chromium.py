"""A headless Chromium, spoken to through two pipes in its DevTools protocol: messages of JSON, each ended by a NUL.

https://chromedevtools.github.io/devtools-protocol; with pipes there is no port and nothing to install.
"""

from __future__ import annotations

import fcntl
import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
_FLAGS = (
    "--headless",
    "--no-sandbox",
    "--no-first-run",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1400,1000",
    "--remote-debugging-pipe",
)
_PATIENCE = 60.0


class Tab:
    """One page in the browser.

    Attributes:
        requested: the address of everything that was asked for. errors: what scripts have thrown or the policy refused.
    """

    def __init__(self, commands: int, answers: int) -> None:
        self.requested: list[str] = []
        self.errors: list[str] = []
        self._commands, self._answers = commands, answers
        self._rest = b""
        self._number = 0
        self._session: dict[str, str] = {}
        self._loaded = False
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._session = {"sessionId": self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]}
        for domain in ("Page", "Runtime", "Network", "Log"):
            self._call(f"{domain}.enable")
        self._call("Performance.enable", timeDomain="threadTicks")

    def open(self, file: Path) -> None:
        """Open a file and wait until it has been loaded; what the one before asked for and threw is forgotten."""
        self._loaded = False
        self.requested.clear()
        self.errors.clear()
        self._call("Page.navigate", url=file.resolve().as_uri())
        while not self._loaded:
            self._take()

    def ask(self, script: str) -> Any:
        """What an expression of JavaScript gives, once its promise is kept."""
        answer = self._call("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait_for(self, condition: str) -> None:
        """Wait until an expression is true."""
        self.ask(
            "new Promise((kept, broken) => { const look = () => { "
            f"if ({condition}) kept(true); "
            f"else if (performance.now() > {1000 * _PATIENCE * 0.9}) broken(new Error('never')); "
            "else setTimeout(look, 5) }; look() })"
        )

    def seconds(self) -> float:
        """Processor time that the page has taken since it was opened: parsing, scripts, layout, drawing.

        Where nothing else is at work that is the time a user waits; and where much is, it is still the page's own.
        """
        found = {entry["name"]: entry["value"] for entry in self._call("Performance.getMetrics")["metrics"]}
        return float(found["TaskDuration"])

    def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters} | self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._take()
            if answer.get("id") == self._number:
                assert "error" not in answer, answer["error"]
                result: dict[str, Any] = answer["result"]
                return result

    def _take(self) -> dict[str, Any]:
        """The next message; events are noted on the way."""
        end = time.monotonic() + _PATIENCE
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._answers], [], [], max(end - time.monotonic(), 0))
            assert ready, "the browser says nothing any more"
            piece = os.read(self._answers, 1 << 16)
            assert piece, "the browser has ended"
            self._rest += piece
        text, _, self._rest = self._rest.partition(b"\0")
        message: dict[str, Any] = json.loads(text)
        match message.get("method"):
            case "Page.loadEventFired":
                self._loaded = True
            case "Network.requestWillBeSent":
                self.requested.append(message["params"]["request"]["url"])
            case "Runtime.exceptionThrown":
                details = message["params"]["exceptionDetails"]
                self.errors.append(details.get("exception", {}).get("description", details["text"]))
            case "Log.entryAdded" if message["params"]["entry"]["level"] == "error":
                self.errors.append(message["params"]["entry"]["text"])
        return message


@contextmanager
def browsing(profile: Path) -> Iterator[Tab]:
    """A browser with one page; it is ended whatever happens.

    Args:
        profile: an empty folder for what a browser keeps.
    """
    assert CHROMIUM is not None
    command_end, commands = _pipe()
    answers, answer_end = _pipe()
    line = f'exec "$0" "$@" 3<&{command_end} 4>&{answer_end}'  # Chromium wants these two numbers
    process = subprocess.Popen(
        ["bash", "-c", line, CHROMIUM, *_FLAGS, f"--user-data-dir={profile}"],
        pass_fds=(command_end, answer_end),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(command_end)
    os.close(answer_end)
    try:
        yield Tab(commands, answers)
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        os.close(commands)
        os.close(answers)


def _pipe() -> tuple[int, int]:
    """A pipe's two ends under numbers above 9: 3 and 4 are taken in the browser, and bash keeps 10 for itself."""
    ends = os.pipe()
    high = tuple(fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, 20) for end in ends)
    for end in ends:
        os.close(end)
    return high[0], high[1]
