"""Importance of keys: what a metric is made of comes out first, and where nothing can be said, that is said."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from hybrid_trainer.runs.page.importance import column, importance
from tests.runs.page.made import run


def test_the_key_that_makes_the_metric_takes_all_the_importance() -> None:
    generator = np.random.default_rng(0)
    runs = []
    for number in range(60):
        units, noise = [8, 16, 32][number % 3], int(generator.integers(5))
        name = str(generator.choice(["gru", "lstm"]))
        config = {"units": units, "noise": noise, "cell": name, "same": 1}
        runs.append(run(f"r{number}", float(units) + (100.0 if name == "gru" else 0.0), config=config))
    found = importance(runs, ["noise", "units", "cell", "same"], "valid/loss")
    assert found["keys"] == ["cell", "units", "noise"]
    # Shuffling a key that explains all of the variance doubles it: of R² = 1 two are lost on average.
    assert found["mean"][0] == pytest.approx(2.0, abs=0.25)
    assert 0.0 < found["mean"][1] < 0.1
    assert found["mean"][2] == pytest.approx(0.0, abs=0.01)
    assert found["r2"] > 0.95
    assert found["runs"] == 60
    assert found == importance(runs, ["noise", "units", "cell", "same"], "valid/loss")


def test_keys_that_explain_nothing_have_an_out_of_bag_r2_below_zero() -> None:
    generator = np.random.default_rng(1)
    runs = [run(f"r{number}", float(generator.normal()), config={"seed": number}) for number in range(40)]
    assert importance(runs, ["seed"], "valid/loss")["r2"] < 0


def test_where_nothing_can_be_said_the_reason_is() -> None:
    runs = [run(f"r{number}", 1.0, config={"seed": number, "units": 8}) for number in range(12)]
    assert importance(runs[:9], ["seed"], "valid/loss") == {
        "why": "Too few runs: 9 complete with valid/loss; it takes 10."
    }
    assert importance(runs, ["units"], "valid/loss") == {"why": "No key differs between the 12 complete runs."}
    assert importance(runs, ["seed"], "valid/loss") == {"why": "All 12 complete runs have the same valid/loss."}
    broken = [run("a", float("nan"), config={"seed": number}) for number in range(12)]
    assert "Too few runs: 0" in importance(broken, ["seed"], "valid/loss")["why"]


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([3, 1.5, True], [3, 1.5, 1]),
        ([3, None, 1], [3, 0, 1]),
        ([None, None], [-1, -1]),
        (["b", "a", None, "b"], [1, 0, -1, 1]),
        ([[1, 2], [1], [1, 2]], [0, 1, 0]),  # "[1, 2]" is before "[1]"
        ([1, "1", 1], [1, 0, 1]),
    ],
)
def test_values_become_numbers(values: list[object], numbers: list[float]) -> None:
    assert column(values).tolist() == numbers


def test_a_run_that_lacks_a_key_is_told_from_the_others() -> None:
    runs = [run(f"r{n}", float(n % 2), config={"units": 8} if n % 2 else {"other": 1}) for n in range(20)]
    found = importance(runs, ["units"], "valid/loss")
    assert found["keys"] == ["units"]
    assert found["r2"] == pytest.approx(1.0, abs=1e-6)


def test_the_module_imports_nothing_heavy_before_it_writes() -> None:
    code = "import sys, hybrid_trainer.runs.page; print({'sklearn', 'torch', 'plotly'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"
