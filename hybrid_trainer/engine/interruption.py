"""SIGINT, SIGTERM and SIGHUP as a flag that loops look at: a step, a batch or a file is finished first."""

from __future__ import annotations

import signal
from types import FrameType, TracebackType
from typing import Self

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Inside a `with` block the first signal only sets `requested`; a second one stops at once, as if outside.

    A signal that is ignored, as SIGHUP is under nohup, stays so. Outside a block, and away from the main thread, where
    python lets nobody handle signals, nothing is changed.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._former: dict[int, object] = {}

    def __enter__(self) -> Self:
        try:
            for number in _SIGNALS:
                if signal.getsignal(number) == signal.SIG_IGN:
                    continue
                self._former[number] = signal.signal(number, self._note)
        except ValueError:  # not the main thread
            self._former = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        former, self._former = self._former, {}
        if kind is None and self.requested is not None:  # it came behind the last look
            _carry_out(former, self.requested)

    def leave(self) -> None:
        """Do what the signal would have done without this block, which raises a KeyboardInterrupt."""
        assert self.requested is not None
        _carry_out(self._former, self.requested)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            _carry_out(self._former, number)
        self.requested = number


def _carry_out(former: dict[int, object], number: int) -> None:
    handler = former.get(number)
    if callable(handler):
        handler(number, None)
    raise KeyboardInterrupt
