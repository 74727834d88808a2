"""Plug-ins for hybrid_trainer: importing the package enters all of them."""

from trend_plugins import callback, features, loss, metric, model, schedule, source, target  # noqa: F401
