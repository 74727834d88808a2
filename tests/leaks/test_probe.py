"""The probe learns from other stretches of time than it judges by."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.targets import Target
from hybrid_trainer.leaks.finding import Finding, Subject
from hybrid_trainer.leaks.probe import _stretches, not_read_off
from hybrid_trainer.types import TargetSpec
from tests.data.tables import FEW_EXAMPLES


@FEW_EXAMPLES
@given(times=st.integers(40, 300), horizon=st.integers(1, 30), seed=st.integers(0, 2**31))
def test_no_label_reaches_from_what_is_learned_into_what_is_judged_or_back(times: int, horizon: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    clock = np.sort(generator.choice(times, size=2 * times))  # two instruments, with the same time now and then
    data: Any = SimpleNamespace(panel=SimpleNamespace(timestamps=clock))
    rows = np.arange(len(clock))
    fit, judge = _stretches(data, rows, horizon)
    calendar, place = np.unique(clock, return_inverse=True)
    length = max(len(calendar) // 20, 1)
    for some, others in ((fit, judge), (judge, fit)):
        assert (len(some) > 0) == (horizon < length)
        for row in some.tolist():
            reached = np.arange(place[row], place[row] + horizon + 1)
            assert not np.isin(place[others], reached).any()


def probe(values: Any, a: Any, times: Any, *, kind: Any = "classification") -> Finding:
    """What the probe says of a label where the input is `a`; one row and one instrument per value."""
    rows = np.arange(1, len(values))
    spec = TargetSpec(name="own", kind=kind, dim=1, horizon=1, labels=("x",))
    tensors = SimpleNamespace(
        features=torch.from_numpy(a[:, None].astype(np.float32)),
        ids=torch.zeros(len(a), 1, dtype=torch.int32),
        context=None,
    )
    data: Any = SimpleNamespace(
        panel=SimpleNamespace(timestamps=times, instrument=np.arange(len(values))),
        split=SimpleNamespace(rows={"train": rows}),
        targets=[Target(spec=spec, values=values)],
        tensors=tensors,
    )
    unused: Any = None
    return not_read_off(Subject(config=unused, data=data, samples=1, seed=0))


A = np.random.default_rng(0).normal(size=800)


def test_where_all_labels_have_one_time_some_instruments_are_judged_by_others() -> None:
    found = probe((A > 0).astype(np.int64), A, np.zeros(800, dtype=np.int64))
    assert found.verdict == "warning" and found.looked_at.startswith("400 labels held out")


def test_too_few_labels_and_labels_that_do_not_vary_are_said() -> None:
    few = np.where(np.arange(800) < 60, A > 0, -1).astype(np.int64)
    assert probe(few, A, np.arange(800)).warnings == ["not tried for own: 59 labelled rows are too few"]
    assert probe(np.zeros(800, dtype=np.int64), A, np.arange(800)).measured == ["own: the labels do not vary"]
    constant = probe(np.ones((800, 1)), A, np.arange(800), kind="regression")
    assert constant.measured == ["own: the labels do not vary"]


def test_one_of_many_classes_is_read_off_as_well() -> None:
    classes = np.random.default_rng(1).integers(0, 40, 800)
    found = probe(classes, -classes.astype(float), np.arange(800))
    assert found.verdict == "warning" and found.warnings[0].startswith("own: accuracy 1.000 from the inputs")
