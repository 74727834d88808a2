"""Labels that a plug-in makes: of the right shape, about the rows that its config says."""

from __future__ import annotations

from pathlib import Path

import pytest

from hybrid_trainer import prepare
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.errors import ConfigError
from tests.conftest import EXAMPLES, make_config
from tests.engine.helpers import CPU

HEAD = """
from dataclasses import dataclass
import numpy as np
from hybrid_trainer.extend import *
"""


@pytest.fixture(autouse=True)
def package(plugging: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The example package can be imported, as if it were installed; the current folder is a user's."""
    monkeypatch.syspath_prepend(str(EXAMPLES / "trend_plugins"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "mine.py").write_text(text, encoding="utf-8")


TARGET = (
    HEAD
    + """
@dataclass(kw_only=True)
class Mine(PriceTarget):
    pass

@target('mine', Mine)
def mine(name, table, config):
    spec = TargetSpec(name=name, kind='regression', dim=1, horizon=config.horizon, labels=('x',))
    {body}
"""
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return 3", "it made a int, not a Target"),
        (
            "return Target(spec=spec, values=np.zeros(len(table)))",
            "its values are 600 of float64, not 600 x 1 of float64, NaN where there is no label",
        ),
        (
            "return Target(spec=TargetSpec(name=name, kind='regression', dim=1, horizon=1, labels=('x',)), "
            "values=np.zeros((len(table), 1)))",
            "its spec says horizon 1, its config 5; they must be the same",
        ),
        ("raise KeyError('x')", "KeyError: 'x' ("),
        (  # one bar further than it says
            "look = lambda bars: future(bars.close, 6) / bars.close\n"
            "    return Target(spec=spec, values=per_row(table, look, behind=0, ahead=6)[:, None])",
            "the label of row ",
        ),
        (
            "return Target(spec=spec, values=per_row(table, lambda bars: bars.close, behind=0, ahead=5)[:, None])",
            "the label is known at its own row: no change of later rows changed it",
        ),
    ],
)
def test_a_builder_of_labels_that_is_wrong_is_refused(body: str, said: str, package: Path) -> None:
    write(package, TARGET.replace("{body}", body))
    config = make_config(
        "plugins=[mine,trend_plugins]", "data=random_walk", "data.days=200", "data.targets.own.builder=mine",
        "model.heads=[own]",
    )  # fmt: skip
    with pytest.raises(ConfigError) as caught:
        prepare.dataset(config, load_table(config.data, config.active_targets), CPU)
    assert str(caught.value).startswith(f"data.targets.own (builder 'mine'): {said}")
