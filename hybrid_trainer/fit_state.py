"""All state of a fit between two steps, out of a trainer and into another one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from hybrid_trainer.engine.optimizers import load_moments
from hybrid_trainer.seeding import generators_state, set_generators

if TYPE_CHECKING:
    from hybrid_trainer.callbacks.base import Callback
    from hybrid_trainer.trainer import Trainer

State = dict[str, Any]


def state_of(trainer: Trainer) -> State:
    """Everything that changes during a fit, as tensors (the trainer's own, not copies) and plain types."""
    stepper = trainer.stepper
    within = trainer.step_in_epoch > 0
    return {
        "model": trainer.model.state_dict(),
        "optimizer": stepper.optimizer.state_dict(),
        "scaler": stepper.scaler.state_dict(),
        "balancing": stepper.balancing.state_dict(),
        "ema": None if stepper.ema is None else stepper.ema.state_dict(),
        "schedule": trainer.schedule.state_dict(),
        "rollbacks": trainer.rollbacks,
        "callbacks": {_key(callback): callback.state_dict() for callback in trainer.callbacks},
        "epoch": trainer.epoch,
        "step_in_epoch": trainer.step_in_epoch,
        "steps_per_epoch": trainer.steps_per_epoch,
        "sums": _sums(trainer) if within else None,
        "epoch_start": trainer.epoch_start if within and trainer.max_rollbacks else None,
        "history": [dict(row) for row in trainer.history],
        "generators": trainer.ranks.gather(generators_state(trainer.device)),  # dropout draws from torch's
    }


def load_into(trainer: Trainer, state: State) -> None:
    """Take over a former state; the model and the optimizer must be of the same make.

    Rates and decays are this trainer's own, so that a resumed run may have others; a callback that is new begins anew,
    as do an average of weights and a GradScaler; `stop_reason` is for the callbacks to find again. A process that was
    not among those of the state draws its random numbers as it does already.
    """
    stepper = trainer.stepper
    trainer.model.load_state_dict(state["model"])
    load_moments(stepper.optimizer, state["optimizer"])
    if trainer.graph is not None:
        trainer.graph.forget()
    if state["scaler"]:  # empty in a state of another precision
        stepper.scaler.load_state_dict(state["scaler"])
    if stepper.ema is not None:
        stepper.ema.load_state_dict(state["ema"] or state["model"])
    stepper.balancing.load_state_dict(state["balancing"])
    trainer.schedule.load_state_dict(state["schedule"])
    if 0 < state["steps_per_epoch"] != trainer.steps_per_epoch > 0:
        trainer.schedule.rescale(trainer.steps_per_epoch / state["steps_per_epoch"])
    trainer.rollbacks = state["rollbacks"]
    for callback in trainer.callbacks:
        callback.load_state_dict(state["callbacks"].get(_key(callback), callback.state_dict()))
    trainer.epoch, trainer.step_in_epoch = state["epoch"], state["step_in_epoch"]
    trainer.epoch_start = state["epoch_start"]
    if state["sums"] is not None:
        _load_sums(trainer, state["sums"])
    trainer.history = [dict(row) for row in state["history"]]
    if trainer.ranks.rank < len(state["generators"]):
        set_generators(state["generators"][trainer.ranks.rank], trainer.device)


def _key(callback: Callback) -> str:
    return callback.key or type(callback).__name__


def misfit(trainer: Trainer, state: State) -> str | None:
    """What of a state's weights this trainer's model has not, or in another shape; None: they are of the same make."""
    ours, theirs = trainer.model.state_dict(), state["model"]
    for name in [*ours, *theirs]:
        shapes = [_shape(each.get(name)) for each in (theirs, ours)]
        if shapes[0] != shapes[1]:
            return f"{name} was {shapes[0]} and would be {shapes[1]}"
    return None


def _shape(value: torch.Tensor | None) -> str:
    return "not there" if value is None else " x ".join(map(str, value.shape)) or "one number"


def _sums(trainer: Trainer) -> State:
    tally = trainer.ranks.gather(trainer.tally.state_dict())
    probe = trainer.stepper.probe
    return {
        "tally": tally,
        "watch": trainer.stepper.watch.state_dict(),
        "probe": {} if probe is None else probe.state_dict(),
        "lr": trainer.rate_at_start,
    }


def _load_sums(trainer: Trainer, state: State) -> None:
    ranks, tallies = trainer.ranks, state["tally"]
    if len(tallies) == ranks.size:
        trainer.tally.load_state_dict(tallies[ranks.rank])
    else:  # the first one takes over what all of them had
        trainer.tally.load_sum(tallies if ranks.first else [])
    trainer.stepper.watch.load_state_dict(state["watch"])
    if trainer.stepper.probe is not None:
        trainer.stepper.probe.load_state_dict(state["probe"])  # of a run without one: it has seen nothing yet
    trainer.rate_at_start = state["lr"]
