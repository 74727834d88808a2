"""Every command in README and docs/ is run as it stands, in a folder like the one the page speaks of."""

from __future__ import annotations

import gzip
import re
import shlex
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from tests.conftest import price_frame
from tests.end_to_end import stand_ins
from tests.warm import completed

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").glob("*.md"))]
SHORT = ["training.epochs=1", "model.time_window=8"]  # the last one of a key wins; what the page shows is still parsed
SET_UP = re.compile(r"python3\.11 -m venv .venv && .venv/bin/pip install .*? && ")  # .ci/run and people run these


def blocks(page: str, language: str) -> list[str]:
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"```{language}\n(.*?)```", text, flags=re.S)


def commands(page: str) -> list[str]:
    lines = [line for block in blocks(page, "bash") for line in block.splitlines() if line.strip()]
    return [SET_UP.sub("", line.partition("  #")[0].strip()) for line in lines]


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """The files that the pages name: tables, my_setup.yaml, and the YAML and Python blocks' own files."""
    prices = price_frame(rows=300).rename({"timestamp": "date", "instrument": "ticker"})
    prices.write_csv(tmp_path / "prices.csv")
    generator = np.random.default_rng(0)
    sensors = {name: generator.normal(size=300) for name in ("a", "b", "c")}
    event = np.where(np.arange(300) % 3 == 0, "yes", "no")
    dense = {f"text_{column}": np.where(np.arange(300) % 5 == 0, np.nan, sensors["a"]) for column in range(2)}
    table = pl.DataFrame(
        {"time": np.arange(300), **sensors, **dense, "site": ["hall", "roof", ""] * 100, "event": event}
    )
    table.with_columns(pl.selectors.float().fill_nan(None)).write_csv(tmp_path / "sensors.csv")
    embedded = Path(str(files("hybrid_trainer.data") / "us_stocks.csv.gz"))
    lines = gzip.decompress(embedded.read_bytes()).decode().splitlines(keepends=True)
    (tmp_path / "fresh.csv").write_text("".join(lines[:400]), encoding="utf-8")
    stand_ins.acl18(tmp_path)
    (tmp_path / "my_setup.yaml").write_text("model: {lstm_units: 8, cnn_filters: [8]}\n", encoding="utf-8")
    for page in PAGES:
        for block in [*blocks(page, "yaml"), *blocks(page, "python")]:
            name = re.match(r"# (\S+\.(?:yaml|py))\n", block)
            if name:
                path = tmp_path / name[1]
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(block, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_page_ends_well(page: str, workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(workspace / "config"))  # tune-engine writes a machine profile there
    for command in commands(page):
        if command.startswith("eval "):
            in_place = command.replace(".venv/bin/", f"{Path(sys.executable).parent}/")
            subprocess.run(["bash", "-euc", in_place], cwd=workspace, check=True)
            continue
        words = shlex.split(command)
        words[0] = words[0].removeprefix(".venv/bin/")
        if words[0] != "python":
            assert words[0] in ("tensorboard", "nox", "hybrid-trainer", "torchrun"), f"{page}: who tests {command!r}?"
            continue
        if words[1:3] == ["-m", "pytest"]:
            continue  # this is it
        assert words[1:3] == ["-m", "hybrid_trainer"], command
        run_dirs = sorted(path.parent for path in workspace.glob("outputs/*/*/run.json"))
        words = [word.replace("outputs/DATE/TIME-XXXXXX", str(run_dirs[0] if run_dirs else "")) for word in words]
        trains = len(words) == 3 or "=" in words[3] or words[3] in ("--multirun", "--config")
        trains = trains or words[3] == "--dry-run"
        short = SHORT if trains and "--cfg" not in words else []
        if (page, command) == ("README.md", commands(page)[0]):  # as a new user's first: nothing is imported yet
            line = [sys.executable, *words[1:], *short]
            done = subprocess.run(line, cwd=workspace, capture_output=True, text=True, check=False)
        else:
            done = completed(workspace, *words[3:], *short)
        assert done.returncode == 0, f"{page}: {command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def test_the_map_in_the_readme_names_every_file() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    map_ = readme.split("## Map")[1]
    for path in sorted((ROOT / "hybrid_trainer").rglob("*.py")):
        if path.name != "__init__.py":
            assert re.search(rf"^\s*{re.escape(path.name)}\s", map_, flags=re.M), f"{path} is not in the README's map"
