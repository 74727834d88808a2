"""Metrics by kind of task: those that add up while batches pass, and those that need all rows of a part at once."""

from hybrid_trainer.metrics.own import OwnMetric, make_own_metrics, own_metrics, try_own_metrics
from hybrid_trainer.metrics.streaming import Metric, Sums, metric_for
from hybrid_trainer.metrics.whole import needs_all_rows, whole_metrics

__all__ = [
    "Metric",
    "OwnMetric",
    "Sums",
    "make_own_metrics",
    "metric_for",
    "needs_all_rows",
    "own_metrics",
    "try_own_metrics",
    "whole_metrics",
]
