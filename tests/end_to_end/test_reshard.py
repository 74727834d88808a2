"""A run goes on with another number of processes, in the middle of an epoch: the rows that are left come once."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.conftest import price_frame
from tests.end_to_end.processes import RUN, about, alone, history, start, together

MIDDLE = [*RUN, "training.epochs=2", "callbacks.checkpoint.every_steps=4", "run.id=a"]


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """By how many processes began: the folder of a run that is done, its last checkpoint the second epoch's step 4."""
    found = {}
    for size in (1, 2):
        folder = found[size] = tmp_path_factory.mktemp(f"by_{size}")
        price_frame(rows=230).write_csv(folder / "prices.csv")
        alone(folder, *MIDDLE) if size == 1 else together(folder, *MIDDLE)
        shutil.copytree(folder / "outputs/a", folder / "done")
        assert [path.name for path in sorted(folder.glob("outputs/a/checkpoints/last-*.pt"))] == [
            "last-0001-0000004.pt",
            "last-0002-0000000.pt",
        ]
        for path in folder.glob("outputs/a/checkpoints/last-0002-*"):
            path.unlink()
    return found


@pytest.mark.slow
@pytest.mark.parametrize(("before", "now"), [(2, 1), (1, 2), (2, 4)])
def test_a_run_goes_on_with_another_number_of_processes_where_told(
    begun: dict[int, Path], tmp_path: Path, before: int, now: int
) -> None:
    here = tmp_path / "here"
    shutil.copytree(begun[before], here)
    given = ["resume", "outputs/a", "training.reshard=true"]
    alone(here, *given) if now == 1 else together(here, *given, size=now)
    ours, theirs = here / "outputs/a", here / "done"
    said = (ours / "train.log").read_text()
    assert f"since the checkpoint: processes: {before} -> {now}; they share the batches out anew" in said
    assert "goes on after 1 epoch(s) and 4 step(s) of the next" in said
    assert [row["epoch"] for row in history(ours)] == [1, 2]
    for mine, whole in zip(history(ours), history(theirs), strict=True):
        assert mine == about(whole, 2e-4, 2e-5)  # whose epoch is that of all rows
    weights = load_file(ours / "model/weights.safetensors")
    for name, value in load_file(theirs / "model/weights.safetensors").items():
        np.testing.assert_allclose(weights[name], value, rtol=2e-3, atol=2e-4)


def test_unless_told_it_is_refused_in_one_line_and_stays_as_it_was(begun: dict[int, Path]) -> None:
    record = (begun[1] / "outputs/a/run.json").read_text()
    first, second = start(begun[1], "resume", "outputs/a", "training.epochs=3")
    said = [process.communicate(timeout=100)[0] for process in (first, second)]
    assert (first.returncode, second.returncode, said[1]) == (2, 2, ""), said
    assert said[0].splitlines()[-1] == (
        "error: the run was trained by 1 process(es) so far, and would be by 2; resume with as many, or add "
        "training.reshard=true: dropout will draw other numbers then, as with another seed"
    )
    assert json.loads((begun[1] / "outputs/a/run.json").read_text()) == json.loads(record)
