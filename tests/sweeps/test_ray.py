"""The same sweep by a Ray of its own on this machine: `nox -s ray`, whose environment has Ray in it."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.sweeps.helpers import QUIET, TROUBLE, prepare, reasons, statuses
from tests.test_command_line import cli


@pytest.mark.skipif(find_spec("ray") is None, reason="needs Ray: nox -s ray")
def test_a_local_ray_gives_the_same_results(tmp_path: Path) -> None:
    here = prepare(tmp_path)
    words = ["--multirun", *QUIET, *TROUBLE, "++callbacks.extra.trouble.kind=none,raise", "seeds=2"]
    for launcher in ("local", "ray"):
        done = cli(here, *words, f"hydra/launcher={launcher}", f"hydra.sweep.dir=multirun/a/{launcher}")
        assert done.returncode == 1, done.stderr
        sweep = here / "multirun/a" / launcher
        assert statuses(sweep) == {0: "complete", 1: "complete", 2: "failed", 3: "failed"}
        assert reasons(sweep)[2] == "RuntimeError: this job raises"
    for job in ("0-kind=none_seed=0", "1-kind=none_seed=1"):
        weights = [
            (here / "multirun/a" / launcher / job / "model/weights.safetensors").read_bytes()
            for launcher in ("local", "ray")
        ]
        assert weights[0] == weights[1]


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed here")
def test_without_it_the_extra_is_named(tmp_path: Path) -> None:
    done = cli(tmp_path, "--multirun", "seed=0,1", "hydra/launcher=ray")
    assert (done.returncode, done.stderr) == (
        2,
        "error: hydra/launcher: hydra_plugins.hydra_ray_launcher is not installed: pip install 'hybrid-trainer[ray]'\n",
    )
    assert not list(tmp_path.iterdir())
