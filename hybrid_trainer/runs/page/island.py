"""Data for a page: JSON inside a script element, which no text of the data can end."""

from __future__ import annotations

import json
import math
from typing import Any

from hybrid_trainer.runs.atomic import without_nan


def island(content: Any) -> str:
    """JSON in ASCII without any `<`: a run called `</script>` is a name like every other one; NaN is null."""
    text = json.dumps(without_nan(content), separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c")  # it can stand in strings alone


def rounded(value: float | None) -> float | None:
    """A number with the seven digits that float32 has; None for what is not finite."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.7g}")
