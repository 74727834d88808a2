"""Metrics by kind of task: those that add up while batches pass, and those that need all rows of a part at once."""

from hybrid_trainer.metrics.streaming import Metric, Sums, metric_for
from hybrid_trainer.metrics.whole import needs_all_rows, whole_metrics

__all__ = ["Metric", "Sums", "metric_for", "needs_all_rows", "whole_metrics"]
