"""What docs/models.md says of the families."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from hybrid_trainer.models import MODELS
from tests.engine.helpers import DIMS
from tests.models.families import count, made

PAGE = Path(__file__).parents[2] / "docs" / "models.md"


def test_the_table_of_parameters_is_right_and_has_every_family() -> None:
    dims = replace(
        DIMS,
        features=16,
        time_window=32,
        vocabularies={"instrument": 6},
        heads={"signal": 3, "volatility": 1, "regime": 3, "sl_tp": 2},
    )
    said = dict(re.findall(r"^\| `(\w+)` \| ([\d,]+) \|", PAGE.read_text(encoding="utf-8"), flags=re.M))
    assert said == {name: f"{count(made(name, dims)):,}" for name in MODELS}
