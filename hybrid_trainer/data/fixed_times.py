"""Times written in 19 characters, 2020-01-01T16:00:00, many a day: each date is read once. Imports no torch."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl
from numpy.typing import NDArray

_LENGTH, _CLOCK = 19, 11  # characters, and where the time of day begins
_FORMS = ("%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f")
_ROWS_A_DAY = 4  # fewer, and there is nothing to gain
_PIECE = 1 << 14  # rows at a time: they stay in a core's cache
_SECOND = 10**9
_LARGEST = np.iinfo(np.int64).max - 2 * 86_400 * _SECOND  # ns; the day's last second is within the range as well
# Eight characters are one number, the first of them its lowest byte. Less the zeros and colons of this one, a byte is a
# digit's value, or 0. Adding 0x76 to it reaches the highest bit from 10 on, 0x7f from 1 on.
_MIDNIGHT = np.uint64(int.from_bytes(b"00:00:00", "little"))
_BEYOND = np.uint64(int.from_bytes(b"\x76\x76\x7f\x76\x76\x7f\x76\x76", "little"))
_BYTE = np.uint64(0xFF)
_HIGHEST_BITS = np.uint64(0x8080808080808080)

Times = NDArray[np.int64]


def read_fixed(texts: pl.Series, form: str, read: Callable[[pl.Series], Times | None]) -> Times | None:
    """(N,) int64 ns; None unless all texts are such times, and several of each day stand behind each other.

    Args:
        form: how the column's times are written. read: ns of a few of the texts, None where one isn't a time.
    """
    if form not in _FORMS or not len(texts):
        return None
    raw = texts.cast(pl.Binary).bin.reinterpret(dtype=pl.Array(pl.UInt8, _LENGTH))
    if raw.null_count():
        return None
    characters = raw.to_numpy()
    clock, begins = np.empty(len(texts), dtype=np.int64), np.empty(len(texts), dtype=bool)
    for start in range(0, len(texts), _PIECE):
        piece = slice(start, start + _PIECE)
        begins[piece] = _days(characters[max(start - 1, 0) : start + _PIECE])[-len(begins[piece]) :]
        if not _write_clock(_word(characters[piece], _CLOCK), clock[piece]):
            return None
    first = np.flatnonzero(begins)
    days = read(texts.gather(first)) if _ROWS_A_DAY * len(first) <= len(texts) else None
    if days is None or days.min() < -_LARGEST or days.max() > _LARGEST:
        return None
    clock += np.repeat(days - clock[first], np.diff(first, append=len(texts)))
    return clock


def _word(characters: NDArray[np.uint8], start: int) -> NDArray[np.uint64]:
    """(N,): eight characters of each text as one number."""
    return np.ndarray((len(characters),), "<u8", characters, start, (_LENGTH,)).copy()


def _days(characters: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """(N,) bool: whether a row's date, or what stands behind it, is another one than in the row before."""
    changed = np.ones(len(characters), dtype=bool)
    first, second = _word(characters, 0), _word(characters, _CLOCK - 8)
    np.not_equal(first[1:], first[:-1], out=changed[1:])
    changed[1:] |= second[1:] != second[:-1]
    return changed


def _write_clock(word: NDArray[np.uint64], out: Times) -> bool:
    """Write the ns since midnight of texts HH:MM:SS; false where one is none, or a leap second."""
    word ^= _MIDNIGHT
    if (((word + _BEYOND) | word) & _HIGHEST_BITS).any():
        return False
    tens = word * np.uint64(10)
    word >>= np.uint64(8)
    word += tens  # tens and ones together, in the bytes where the tens were
    hours, minutes, seconds = (word >> np.uint64(place) & _BYTE for place in (0, 24, 48))
    if hours.max() > 23 or minutes.max() > 59 or seconds.max() > 59:
        return False
    hours *= np.uint64(60)
    hours += minutes
    hours *= np.uint64(60)
    hours += seconds
    np.multiply(hours.view(np.int64), _SECOND, out=out)
    return True
