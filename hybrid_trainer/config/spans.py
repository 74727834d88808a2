"""Lengths of time and moments as a user writes them: 5 (bars), 90min, 3d; 2012-01-31, 2012-01-31T16:00Z, 20120131."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass

from hybrid_trainer.errors import ConfigError

_UNITS = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "min": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86_400 * 10**9,
    "w": 7 * 86_400 * 10**9,
}
_LONGEST = 2**62  # ns, 146 years: a time and a duration together still fit into int64
_DURATION = re.compile(rf"(\d+(?:\.\d+)?)\s*({'|'.join(_UNITS)})")
_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_UNIX_DIGITS = {10: 10**9, 13: 10**6, 16: 10**3, 19: 1}


@dataclass(frozen=True)
class Span:
    """A number of bars, or a duration in ns."""

    amount: int
    in_bars: bool


def parse_span(key: str, text: str) -> Span:
    """Read '5' as bars and '90min' as a duration; anything else is a ConfigError."""
    if re.fullmatch(r"\d{1,9}", text):
        return Span(int(text), in_bars=True)
    found = _DURATION.fullmatch(text)
    if found is None:
        raise ConfigError(
            f"{key}: '{text}' is neither a number of bars nor a duration; write 5, 90min, 2h or 3d "
            f"(units: {', '.join(_UNITS)})"
        )
    nanoseconds = float(found[1]) * _UNITS[found[2]]
    if nanoseconds > _LONGEST:
        raise ConfigError(f"{key}: '{text}' is too long; a duration is at most {_LONGEST // _UNITS['d']}d")
    return Span(round(nanoseconds), in_bars=False)


def parse_moment(key: str, text: str, *, plain: bool = False) -> int:
    """Read a moment as tables' times are read: ns since 1970 UTC, or on a `plain` integer clock the integer itself."""
    if re.fullmatch(r"-?\d+", text):
        unit = _UNIX_DIGITS.get(len(text))
        if plain:
            return int(text)
        if unit:
            return int(text) * unit
    elif plain:
        raise ConfigError(f"{key}: '{text}' is a date, but the table's times are plain integers; write one of them")
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(
            f"{key}: '{text}' is not a time; write an ISO date or date-time (2013-03-01, 2013-03-01T16:00:00Z) "
            "or, where the table's times are integers, an integer"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return (moment - _EPOCH) // datetime.timedelta(microseconds=1) * 1000


def check_moment(key: str, text: str) -> None:
    """Raise ConfigError unless the text can be a moment; whether the table's clock is plain is not known yet."""
    if not re.fullmatch(r"-?\d{1,19}", text):
        parse_moment(key, text)
