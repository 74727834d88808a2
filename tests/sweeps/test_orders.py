"""Orders that are known from the beginning."""

from __future__ import annotations

from hybrid_trainer.sweeps.orders import JobOrder, Listed, Outcome


def test_a_list_gives_each_order_once_and_keeps_what_became_of_it() -> None:
    orders = [JobOrder(0, ["seed=0"]), JobOrder(1, ["seed=1"])]
    source = Listed(orders)
    assert (source.total, source.exhausted) == (2, False)
    assert [source.next(), source.next()] == orders
    assert source.exhausted and source.next() is None
    source.ended(orders[1], Outcome("failed", reason="x"))
    assert source.outcomes == {1: Outcome("failed", reason="x")}
