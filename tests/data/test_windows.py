"""Batches gathered by index: the same as slices, each row once per epoch, in an order of (seed, epoch) alone."""

from __future__ import annotations

import gc
import random
import threading
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data.panel import build_panel
from hybrid_trainer.data.windows import PanelTensors, WindowLoader, pooled
from tests.data.tables import FEW_EXAMPLES, SOME_EXAMPLES, closes_table

N, F, C, D = 40, 3, 2, 2


@pytest.fixture(scope="module")
def panel() -> PanelTensors:
    return make_panel()


def make_panel(context: bool = True) -> PanelTensors:
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator)

    return PanelTensors(
        features=normal(N, F),
        context=normal(N, C) if context else None,
        ids=torch.arange(N)[:, None] % 4,
        targets={"a": torch.arange(N) % 3, "b": normal(N, D)},
        mask={"a": (torch.arange(N) % 2).float(), "b": torch.ones(N)},
    )


def rows_of(loader: WindowLoader) -> list[int]:
    return [row for batch in loader for row in batch.row.tolist()]


@SOME_EXAMPLES
@given(
    time_window=st.integers(1, 8),
    batch_size=st.integers(1, 50),
    chosen=st.sets(st.integers(7, N - 1), min_size=1),
    seed=st.none() | st.integers(0, 2**32 - 1),
)
def test_a_batch_holds_what_slices_of_the_panel_hold(
    time_window: int, batch_size: int, chosen: set[int], seed: int | None
) -> None:
    panel = make_panel()
    rows = torch.tensor(sorted(chosen))
    loader = WindowLoader(panel, rows, time_window=time_window, batch_size=batch_size, shuffle_seed=seed)
    seen = []
    for batch in loader:
        assert panel.context is not None
        assert batch.context is not None
        assert batch.x.shape == (len(batch.row), time_window, F)
        for index, row in enumerate(batch.row.tolist()):
            assert batch.x[index].equal(panel.features[row - time_window + 1 : row + 1])
            assert batch.context[index].equal(panel.context[row])
            assert batch.ids[index].equal(panel.ids[row])
            for task in ("a", "b"):
                assert batch.targets[task][index].equal(panel.targets[task][row])
                assert batch.mask[task][index].equal(panel.mask[task][row])
            seen.append(row)
    assert sorted(seen) == sorted(chosen)
    assert len(loader) == len(list(loader))


@pytest.mark.parametrize(
    ("count", "batch_size", "sizes"),
    [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 4, [3]), (1, 1, [1])],
)
def test_only_the_last_batch_is_smaller(panel: PanelTensors, count: int, batch_size: int, sizes: list[int]) -> None:
    loader = WindowLoader(panel, torch.arange(10, 10 + count), time_window=2, batch_size=batch_size, shuffle_seed=1)
    assert [len(batch.row) for batch in loader] == sizes
    assert len(loader) == len(sizes)


def test_without_a_seed_the_rows_keep_their_order_in_every_epoch(panel: PanelTensors) -> None:
    loader = WindowLoader(panel, torch.tensor([9, 30, 12]), time_window=3, batch_size=2)
    assert rows_of(loader) == [9, 30, 12]
    loader.epoch = 5
    assert rows_of(loader) == [9, 30, 12]


def order(panel: PanelTensors, seed: int, epoch: int) -> list[int]:
    loader = WindowLoader(panel, torch.arange(5, N), time_window=5, batch_size=4, shuffle_seed=seed)
    loader.epoch = epoch
    return rows_of(loader)


def test_the_order_is_a_function_of_seed_and_epoch(panel: PanelTensors) -> None:
    expected = order(panel, seed=3, epoch=2)
    torch.manual_seed(99)
    loader = WindowLoader(panel, torch.arange(5, N), time_window=5, batch_size=4, shuffle_seed=3)
    for loader.epoch in range(3):
        last = rows_of(loader)
    assert last == expected
    assert rows_of(loader) == expected  # iterating again is the same epoch again


def test_every_seed_and_every_epoch_has_an_order_of_its_own(panel: PanelTensors) -> None:
    orders = {tuple(order(panel, seed, epoch)) for seed in (0, 1, 2, 2**32 - 1) for epoch in range(6)}
    assert len(orders) == 24
    assert tuple(range(5, N)) not in orders


def test_no_global_random_state_is_consumed_or_set(panel: PanelTensors) -> None:
    before = (torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate())  # type: ignore[index]
    order(panel, seed=3, epoch=1)
    assert torch.get_rng_state().equal(before[0])
    assert np.random.get_state()[1].tolist() == before[1]  # type: ignore[index]
    assert random.getstate() == before[2]


def test_the_batch_size_does_not_change_the_order(panel: PanelTensors) -> None:
    def with_size(batch_size: int) -> list[int]:
        return rows_of(WindowLoader(panel, torch.arange(5, N), time_window=5, batch_size=batch_size, shuffle_seed=1))

    assert with_size(3) == with_size(16) == with_size(100)


def test_without_context_columns_a_batch_has_no_context() -> None:
    loader = WindowLoader(make_panel(context=False), torch.tensor([5]), time_window=5, batch_size=4)
    assert next(iter(loader)).context is None


def test_a_batch_does_not_share_memory_with_the_panel(panel: PanelTensors) -> None:
    copy = panel.features.clone()
    batch = next(iter(WindowLoader(panel, torch.arange(5, 9), time_window=5, batch_size=4)))
    batch.x.zero_()
    assert panel.features.equal(copy)


def test_the_panel_on_another_device_is_the_same(panel: PanelTensors) -> None:
    moved = panel.to(torch.device("cpu"))
    assert moved.features.equal(panel.features)
    assert moved.targets.keys() == moved.mask.keys() == {"a", "b"}
    assert make_panel(context=False).to(torch.device("cpu")).context is None


def test_the_windows_of_the_decidable_rows_never_cross_an_instrument() -> None:
    generator = np.random.default_rng(1)
    numbers = {"x": generator.normal(size=30)}
    numbers["x"][[4, 20]] = np.nan
    table = closes_table([1.0] * 12, [1.0] * 3, [1.0] * 15, numbers=numbers)
    built = build_panel(table, feature_set="none", features=["x"], context={})
    which = torch.from_numpy(np.column_stack([built.features[:, 0], built.instrument]).astype(np.float32))
    tensors = PanelTensors(features=which, context=None, ids=torch.zeros(30, 1), targets={}, mask={})
    rows = torch.from_numpy(built.decidable_rows(4))
    (batch,) = WindowLoader(tensors, rows, time_window=4, batch_size=100)
    assert batch.row.tolist() == [3, 8, 9, 10, 11, 18, 19, *range(24, 30)]
    assert torch.isfinite(batch.x).all()
    assert (batch.x[:, :, 1] == batch.x[:, -1:, 1]).all()


def test_a_forecasts_labels_are_gathered_from_the_rows_behind_the_decision_row() -> None:
    columns = torch.arange(N * D, dtype=torch.float32).view(N, D)
    panel = replace(make_panel(), targets={"f": columns}, mask={"f": torch.ones(N)}, steps={"f": 3}).to(
        torch.device("cpu")
    )
    rows = torch.tensor([9, 4, N - 2])
    batch = WindowLoader(panel, rows, time_window=2, batch_size=8).gather(rows)
    assert batch.targets["f"].shape == (3, 3 * D)
    assert batch.targets["f"][0].tolist() == columns[10:13].flatten().tolist()
    assert batch.targets["f"][1].tolist() == columns[5:8].flatten().tolist()
    assert batch.targets["f"][2].isfinite().all()  # it reaches behind the end: what stands there is masked


def test_only_tasks_with_weights_have_them_in_a_batch() -> None:
    assert WindowLoader(make_panel(), torch.arange(9), time_window=1, batch_size=9).gather(torch.arange(9)).weight == {}
    weight = torch.rand(N, generator=torch.Generator().manual_seed(0))
    panel = replace(make_panel(), weight={"a": weight}).to(torch.device("cpu"))
    rows = torch.tensor([3, 30])
    batch = WindowLoader(panel, rows, time_window=1, batch_size=2).gather(rows)
    assert list(batch.weight) == ["a"]
    assert torch.equal(batch.weight["a"], weight[rows])


# Panels on disk.


@FEW_EXAMPLES
@given(count=st.integers(1, 200), batch_size=st.integers(1, 17), run=st.integers(1, 20), runs=st.integers(1, 8))
def test_a_pooled_order_has_every_row_once_in_full_batches(count: int, batch_size: int, run: int, runs: int) -> None:
    rows = torch.arange(100, 100 + count)
    batches = list(pooled(rows, batch_size, torch.Generator().manual_seed(1), run=run, runs=runs))
    assert sorted(torch.cat(batches).tolist()) == rows.tolist()
    sizes = [len(batch) for batch in batches]
    assert all(size == batch_size for size in sizes[:-1]) and 0 < sizes[-1] <= batch_size


def test_a_pooled_order_mixes_many_places_and_every_epoch_has_its_own() -> None:
    rows = torch.arange(40_000)
    first, second = (list(pooled(rows, 256, torch.Generator().manual_seed(seed), run=100, runs=100)) for seed in (0, 1))
    for batch in first[:-1]:
        places = len(set((batch // 100).tolist()))
        assert places > 80  # 256 draws from 100 runs hit 92 of them on average
        assert abs(batch.float().mean().item() - 20_000) < 5 * 40_000 / 12**0.5 / 100**0.5
    assert not torch.equal(torch.cat(first), torch.cat(second))
    # within a pool every order is as likely: neighbours of the table are no nearer than others
    flat = torch.cat(first)
    near = ((flat[1:] - flat[:-1]).abs() == 1).float().mean().item()
    assert near < 3 * 2 / 10_000 + 1e-3


@pytest.mark.parametrize("workers", [1, 3])
def test_batches_gathered_ahead_are_the_same_in_the_same_order(panel: PanelTensors, workers: int) -> None:
    def loader(workers: int) -> WindowLoader:
        return WindowLoader(
            replace(panel, mapped=True),
            torch.arange(5, N),
            time_window=5,
            batch_size=4,
            shuffle_seed=3,
            workers=workers,
        )

    for ours, theirs in zip(loader(workers), loader(0), strict=True):
        assert ours.row.equal(theirs.row) and ours.x.equal(theirs.x) and ours.targets["a"].equal(theirs.targets["a"])


def test_an_error_in_a_thread_reaches_who_asks_and_stopping_early_ends_the_threads(panel: PanelTensors) -> None:
    before = threading.active_count()
    loader = WindowLoader(panel, torch.tensor([5, 6, N + 3]), time_window=2, batch_size=1, workers=2)
    with pytest.raises((IndexError, RuntimeError)):
        list(loader)
    for _ in WindowLoader(panel, torch.arange(5, N), time_window=2, batch_size=1, workers=2):
        break
    gc.collect()
    assert threading.active_count() == before


@pytest.mark.parametrize("workers", [0, 2])
def test_shares_of_a_batch_are_the_batch_and_an_empty_one_counts_for_nothing(workers: int) -> None:
    panel = make_panel()
    rows = torch.arange(10, 23)  # batches of 4, 4, 4 and 1

    def loader(share: tuple[int, int]) -> WindowLoader:
        return WindowLoader(panel, rows, time_window=8, batch_size=4, shuffle_seed=3, workers=workers, share=share)

    whole, shares = list(loader((0, 1))), [list(loader((number, 3))) for number in range(3)]
    for index, batch in enumerate(whole):
        parts = [share[index] for share in shares]
        counted = torch.cat([part.row[part.mask["b"] > 0] for part in parts])
        assert sorted(counted.tolist()) == sorted(batch.row.tolist())
        assert [len(part.row) for part in parts] == ([2, 1, 1] if len(batch.row) == 4 else [1, 1, 1])
    assert [int(share[-1].mask["b"].sum()) for share in shares] == [1, 0, 0]


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 8)), max_size=4), st.integers(1, 7), st.booleans())
@SOME_EXAMPLES
def test_each_window_comes_once_however_often_an_epoch_is_shared_out_anew(
    turns: list[tuple[int, int]], batch_size: int, mapped: bool
) -> None:
    """Each turn: how many processes take how many batches of what is left of the epoch."""
    panel, rows = replace(make_panel(), mapped=mapped), torch.arange(7, 36)
    first, seen = 0, []
    for size, batches in [*turns, (2, len(rows))]:
        for number in range(size):
            share = WindowLoader(
                panel, rows, time_window=8, batch_size=batch_size, shuffle_seed=3, share=(number, size)
            )
            taken = list(share.batches(first))[:batches]
            seen += [row for batch in taken for row in batch.row[batch.mask["b"] > 0].tolist()]
        first += batches
    assert sorted(seen) == rows.tolist()
