"""The Tab key, in a real bash: groups, options, keys, commands and flags."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hybrid_trainer import completion
from hybrid_trainer.config.schema import OPTIONS

PRESS_TAB = """
eval "$(hybrid-trainer --shell-completion install=bash)" || exit 3
COMP_LINE={line!r}; COMP_POINT=${{#COMP_LINE}}; COMP_WORDS=($COMP_LINE); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
hydra_bash_completion
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def tab(line: str, folder: Path) -> set[str]:
    """What bash offers for a line with the cursor at its end."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", PRESS_TAB.format(line=line)],
        cwd=folder,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hybrid-trainer model=", {f"model={name}" for name in OPTIONS["model"]}),
        ("hybrid-trainer seed=1 training.ep", {"training.epochs="}),
        ("hybrid-trainer com", {"compare"}),
        ("hybrid-trainer check training.ep", {"training.epochs="}),
        ("hybrid-trainer lr-find training.ep", {"training.epochs="}),
        ("hybrid-trainer tune", {"tune-engine"}),
        ("hybrid-trainer --dr", {"--dry-run"}),
    ],
)
def test_the_tab_key_completes(line: str, offered: set[str], tmp_path: Path) -> None:
    assert tab(line, tmp_path) == offered


def test_what_a_plug_in_brings_is_offered_where_it_is_named(tmp_path: Path) -> None:
    (tmp_path / "my_look.py").write_text(
        "from dataclasses import dataclass\nfrom hybrid_trainer.extend import DataConfig, key, source\n\n"
        "@dataclass(kw_only=True)\nclass Mine(DataConfig):\n    houses: int = key(1, 'how many')\n\n"
        "source('my_houses', Mine)(print)\n"
    )
    assert tab("hybrid-trainer plugins=[my_look] data=my", tmp_path) == {"data=my_houses"}
    assert tab("hybrid-trainer plugins=[my_look] data=my_houses data.hou", tmp_path) == {"data.houses="}
    assert tab("hybrid-trainer data=my", tmp_path) == set()


def test_an_option_of_ones_own_is_offered_too(tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "mine.yaml").write_text("# @package _global_\nseed: 1\n")
    assert tab("hybrid-trainer experiment=mi", tmp_path) == {"experiment=mine"}


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("hybrid-trainer ", None),
        ("hybrid-trainer p", ["predict"]),
        ("hybrid-trainer tr", None),
        ("hybrid-trainer seed=1 p", None),
        ("hybrid-trainer compare out", []),
        ("hybrid-trainer compare ", []),
        ("hybrid-trainer check model.", None),
        ("hybrid-trainer --", list(completion.FLAGS)),
    ],
)
def test_only_what_no_config_key_could_be_is_answered_here(
    line: str, offered: list[str] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMP_LINE", line + " training.epochs=3")
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    assert completion.offers(["check", "compare", "predict"]) == offered
