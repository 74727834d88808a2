"""Names of jobs' folders, which TensorBoard and compare show: the number, then what this job has and others haven't."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection

_LONGEST = 80
_LONG_NUMBER = re.compile(r"-?\d*\.\d{5,}(e-?\d+)?", re.ASCII)
_UNSAFE = re.compile(r"[^\w.=+-]+", re.ASCII)


def key_of(override: str) -> str:
    """The key of an override: `++data.targets.a.horizon=3` -> `data.targets.a.horizon`."""
    return override.partition("=")[0].lstrip("+~").partition("@")[0]


def folder_name(number: int, overrides: list[str], fixed: Collection[str]) -> str:
    """A folder's name: `3-lstm_units=64_seed=1`, at most 80 letters, digits and `. _ = + -`.

    Args:
        fixed: the keys that all jobs have alike.
    """
    own = [override for override in overrides if key_of(override) not in fixed]
    count = Counter(_last(key_of(override)) for override in own)
    parts = []
    for override in own:
        key, value = key_of(override), override.partition("=")[2]
        short = _last(key) if count[_last(key)] == 1 else key
        text = value.strip("'\"[]{}()").rpartition("/")[2] if "/" in value else value
        if _LONG_NUMBER.fullmatch(text):  # a search's: the ledger and the run's config have all its digits
            text = f"{float(text):.4g}"
        parts.append(f"{_safe(short)}={_safe(text)}")
    return "-".join([str(number), *(["_".join(parts)] if parts else [])])[:_LONGEST].rstrip("._-=")


def _last(key: str) -> str:
    return re.split(r"[./]", key)[-1]


def _safe(text: str) -> str:
    return _UNSAFE.sub("-", text).strip("-")
