"""Tables that plug-ins make are checked like files, and asked for once."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from hybrid_trainer.data.own_sources import digest
from hybrid_trainer.data.sources import check_columns, load_table
from hybrid_trainer.errors import ConfigError, TableError
from tests.conftest import make_config

HEAD = "import polars as pl\nfrom hybrid_trainer.extend import DataConfig, source\n\n"


@pytest.fixture(autouse=True)
def package(plugging: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A user's folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, text: str) -> None:
    (folder / "mine.py").write_text(text, encoding="utf-8")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("1 / 0", "source 'mine': ZeroDivisionError: division by zero ("),
        ("return 3", "source 'mine': it made a int, not a polars.DataFrame"),
    ],
)
def test_a_source_that_fails_is_one_line(body: str, said: str, package: Path) -> None:
    write(package, f"{HEAD}@source('mine', DataConfig)\ndef mine(config):\n    {body}\n")
    config = make_config("plugins=[mine]", "data=mine", "model.heads=[signal]")
    with pytest.raises(ConfigError) as caught:
        load_table(config.data, config.active_targets)
    assert str(caught.value).startswith(said)
    if "1 / 0" in body:
        assert str(caught.value).endswith(f"({package / 'mine.py'}:6)")


def test_a_source_is_asked_once_for_the_columns_and_the_rows(package: Path) -> None:
    write(
        package,
        f"{HEAD}asked = []\n@source('mine', DataConfig)\ndef mine(config):\n    asked.append(1)\n"
        "    return pl.DataFrame({'timestamp': [3, 1, 2], 'a': [1.0, 2.0, None], 'b': ['x', 'y', 'x']})\n",
    )
    config = make_config(
        "plugins=[mine]", "data=mine", "data.features=[a]", "data.missing=gap", "data.targets.own.column=b",
        "data.targets.own.kind=classification", "model.heads=[own]",
    )  # fmt: skip
    check_columns(config.data, config.active_targets)
    table = load_table(config.data, config.active_targets)
    assert sys.modules["mine"].asked == [1]
    assert table.file == "data=mine" and table.timestamp.tolist() == [1, 2, 3]
    np.testing.assert_array_equal(table.numbers["a"], [2.0, np.nan, 1.0])
    again = load_table(config.data, config.active_targets)
    assert sys.modules["mine"].asked == [1, 1] and again.sha256 == table.sha256


def test_a_source_is_checked_like_a_file(package: Path) -> None:
    write(
        package,
        f"{HEAD}@source('mine', DataConfig)\ndef mine(config):\n"
        "    return pl.DataFrame({'timestamp': [1, 1], 'a': ['x', 'y'], 'b': [1.0, 2.0]})\n",
    )
    config = make_config(
        "plugins=[mine]", "data=mine", "data.features=[a]", "data.targets.own.column=b",
        "data.targets.own.kind=regression", "model.heads=[own]",
    )  # fmt: skip
    with pytest.raises(TableError, match="data=mine: column 'a' holds String, not numbers"):
        load_table(config.data, config.active_targets)


def test_the_digest_of_a_table_tells_every_difference() -> None:
    frame = pl.DataFrame({"a": [1.0, None], "b": ["xy", "z"], "c": [1, 2]})
    others = [
        frame.with_columns(a=pl.Series([1.0, 0.0])),
        frame.with_columns(b=pl.Series(["x", "yz"])),
        frame.with_columns(c=pl.col("c").cast(pl.Int32)),
        frame.rename({"c": "d"}),
        frame.reverse(),
    ]
    assert len({digest(one) for one in [frame, *others]}) == 6
    assert digest(frame.clone()) == digest(frame)
