"""The training loop, by hand: epochs, batches, history, and the moments at which callbacks look on."""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import islice
from typing import Any

import torch
from torch import nn

from hybrid_trainer.callbacks.base import Callback
from hybrid_trainer.data.windows import WindowLoader
from hybrid_trainer.engine.allocator import memory_kept
from hybrid_trainer.engine.freezing import learning
from hybrid_trainer.engine.graphs import StepGraph
from hybrid_trainer.engine.interruption import Interruption
from hybrid_trainer.engine.kept import KeptOutputs
from hybrid_trainer.engine.schedules import Schedule
from hybrid_trainer.engine.step import Stepper
from hybrid_trainer.engine.tally import EpochTally
from hybrid_trainer.engine.watch import NonFiniteError, Watch
from hybrid_trainer.fit_state import load_into, state_of
from hybrid_trainer.metrics import OwnMetric
from hybrid_trainer.ranks import Agreement
from hybrid_trainer.types import Batch, EpochRow

log = logging.getLogger(__name__)


class Trainer:
    """Trains a model and keeps its history.

    Args:
        stepper: runs one batch. schedule: moves the learning rate. callbacks: look on, in this order.
        epochs: passes over the training windows, at most. device: where the batches are.
        accumulate: batches per step, which is one update of the weights.
        max_rollbacks: how often a step that is not finite takes training back to the beginning of its epoch; 0: it ends
            training.

    Attributes:
        epoch: finished epochs. step_in_epoch: finished steps of the current one. steps_per_epoch: how many it has;
            0 before that is known.
        rate_at_start: the learning rate as the epoch began. epoch_start: all state then, where a rollback may need it.
        history: a row per finished epoch. stop_reason: set by whoever wants training to end.
        pruned: set beside it by who finds that the run, one of a search, is not worth a test.
        tally: the losses and metrics of the training steps of the current epoch.
        graph: replays steps on a GPU; None: each is taken as it is.
        own_metrics: of plug-ins; computed when a part is evaluated.
        rollbacks: how often training went back.
        interruption: what a signal asks for; looked at after each step and each validation batch.
    """

    def __init__(
        self,
        stepper: Stepper,
        schedule: Schedule,
        callbacks: list[Callback],
        *,
        epochs: int,
        device: torch.device,
        accumulate: int = 1,
        max_rollbacks: int = 0,
    ) -> None:
        self.ranks = stepper.ranks
        self.stepper = stepper
        self.model = stepper.model
        self.schedule = schedule
        self.callbacks = callbacks
        self.epochs = epochs
        self.device = device
        self.accumulate = accumulate
        self.max_rollbacks = max_rollbacks
        self.rollbacks = 0
        self.graph: StepGraph | None = None
        self.own_metrics: list[OwnMetric] = []
        self.epoch = 0
        self.step_in_epoch = 0
        self.steps_per_epoch = 0
        self.history: list[EpochRow] = []
        self.stop_reason: str | None = None
        self.pruned = False
        self.tally = EpochTally(stepper.criterion, device)
        self.interruption = Interruption()
        self._agreement = Agreement(self.ranks)
        self.rate_at_start = 0.0
        self.epoch_start: dict[str, Any] | None = None

    def fit(self, train: WindowLoader, valid: WindowLoader) -> list[EpochRow]:
        """Train until `epochs` are done or a callback asks to stop; returns the history, a row per epoch.

        Raises:
            TrainingError: a loss of an epoch isn't finite; the history and the checkpoints end with the epoch before.
            KeyboardInterrupt: a signal came; the state was saved, and a trainer that loads it goes on from there.
        """
        self.steps_per_epoch = -(-len(train) // self.accumulate)
        with self.interruption, memory_kept():
            try:
                self._notify("fit_start")
                while self.epoch < self.epochs and self.stop_reason is None:
                    try:
                        row = self._train_epoch(train) | self.evaluate(valid, "valid")
                    except NonFiniteError as error:
                        self._go_back(error)
                        continue
                    self.epoch += 1
                    self.step_in_epoch = 0
                    row = {"epoch": self.epoch, **row, "lr": self.rate_at_start}
                    self.schedule.epoch(row)
                    self.stepper.balancing.advance(row)
                    self.history.append(row)
                    self._notify("epoch_end")
                    self._look()
            finally:
                self._end_fit()
        return self.history

    @property
    def learning_rate(self) -> float:
        """The optimizer's, as it stands."""
        return float(self.stepper.optimizer.param_groups[0]["lr"])

    def _train_epoch(self, loader: WindowLoader) -> EpochRow:
        """Train the epoch from its next step on; after a resume that may be none of them."""
        learning(self.model)
        loader.epoch = self.epoch
        if self.step_in_epoch == 0:
            self.rate_at_start = self.learning_rate
            self._begin_sums()
        if self.max_rollbacks and (self.step_in_epoch == 0 or self.epoch_start is None):
            self.epoch_start = copy.deepcopy(self.state_dict())
        for _ in self._steps(loader):
            if self.stepper.counts(self.schedule.moves):
                self.schedule.step()
            self.step_in_epoch += 1
            if self.ranks.alone:  # by the clock, which is not the same in all processes
                self.stepper.watch.look(self.epoch + 1, self.step_in_epoch)
            self._notify("step_end")
            self._look()
        self.stepper.watch.judge(self.epoch + 1, self.step_in_epoch)
        recoveries = self._recoveries()
        row = self.tally.added_up(self.ranks).compute("train")
        row |= self.stepper.balancing.row(row)
        if self.stepper.probe is not None:
            row |= self.stepper.probe.row()
        return row | recoveries

    def _steps(self, loader: WindowLoader) -> Iterator[None]:
        """Take the steps that are left of the epoch, each when it is asked for."""
        if self.graph is None:
            yield from map(self._learn, self.groups(loader, self.step_in_epoch))
            return
        for rows in loader.batch_rows(self.step_in_epoch):
            if self._look_due():
                self._learn([loader.gather(rows)])  # a step that is looked at is no other's like
            else:
                self.graph.take(rows, lambda some: self._learn([loader.gather(some)]))
            yield

    def _look_due(self) -> bool:
        probe = self.stepper.probe
        return probe is not None and probe.due(self.step_in_epoch)

    def _learn(self, group: list[Batch]) -> None:
        """One step, with its losses and metrics; nothing waits for the device."""
        done = self.stepper.train(group, self._look_due())
        keep = self.stepper.watch.keep
        for batch, (parts, outputs) in zip(group, done, strict=True):
            self.tally.add(batch, parts, outputs, keep)

    def _recoveries(self) -> EpochRow:
        """How many steps were left out, or how often training went back so far, where it may."""
        went_back = {"train/rollbacks": float(self.rollbacks)} if self.max_rollbacks else {}
        return went_back | self.stepper.watch.row(self.epoch + 1, self.step_in_epoch)

    def _go_back(self, error: NonFiniteError) -> None:
        """Begin the epoch again with half the learning rate, if that may be.

        Not from the last checkpoint: where that lies depends on the clock, and on where the run was interrupted.
        """
        if self.rollbacks >= self.max_rollbacks or self.epoch_start is None:
            if self.rollbacks:
                raise NonFiniteError(f"{error} (after {self.rollbacks} rollback(s))") from error
            raise error
        self.rollback(copy.deepcopy(self.epoch_start))  # an optimizer takes over the tensors themselves
        log.warning(
            "%s. Rollback %d of %d: epoch %d begins again, with half the learning rate",
            error,
            self.rollbacks,
            self.max_rollbacks,
            self.epoch + 1,
        )

    def rollback(self, state: dict[str, Any]) -> None:
        """Take over a former state and halve its learning rate; once more for each rollback that it doesn't know of."""
        done = self.rollbacks + 1
        self.load_state_dict(state)
        self.schedule.scale(0.5 ** (done - self.rollbacks))
        self.rollbacks = done

    def groups(self, loader: WindowLoader, first: int = 0) -> Iterator[list[Batch]]:
        """The batches of each step from step `first` on; the last group may be smaller."""
        batches = loader.batches(first * self.accumulate)
        while group := list(islice(batches, self.accumulate)):
            yield group

    @torch.inference_mode()
    def evaluate(self, loader: WindowLoader, part: str) -> EpochRow:
        """The losses and metrics of a part, without learning; names begin with `part`."""
        model = self.evaluated.eval()
        self.ranks.like_first(model.buffers())  # statistics of a batch norm: each process has those of its own shares
        tally = EpochTally(self.stepper.criterion, self.device)
        watch = Watch(self.stepper.criterion.tasks, self.device, gradient=False)
        kept = KeptOutputs(loader, self.stepper.criterion.specs, self.own_metrics)
        for number, batch in enumerate(loader):
            parts, outputs = self.stepper.forward(batch, None, model)
            watch.add(self.ranks.sum_of(parts.sums))
            tally.add(batch, parts, outputs)
            kept.add(number, outputs)
            self._look()
        watch.raise_if_bad(self.epoch + 1, len(loader), part)
        return tally.added_up(self.ranks).compute(part) | kept.compute(part, self.ranks)

    def _begin_sums(self) -> None:
        self.tally.reset()
        self.stepper.watch.reset()
        self.stepper.balancing.begin_epoch()
        if self.stepper.probe is not None:
            self.stepper.probe.reset()

    @property
    def evaluated(self) -> nn.Module:
        """The model that is validated and saved: the average of the weights where there is one."""
        return self.model if self.stepper.ema is None else self.stepper.ema.model

    def evaluated_weights(self) -> dict[str, Any]:
        """The weights that validation has just looked at."""
        return self.evaluated.state_dict()

    def _look(self) -> None:
        """Where a signal has come, here or in any other process, save and leave; all leave behind the same step."""
        agreed = self._agreement.look if self.step_in_epoch else self._agreement.settle
        requested = agreed(self.interruption.requested or 0)
        if requested:
            self.interruption.requested = requested
            self._notify("interrupted")
            self.interruption.leave()

    def _notify(self, moment: str) -> None:
        for callback in self.callbacks:
            getattr(callback, moment)(self)

    def _end_fit(self) -> None:
        """Tell every callback, also when one of them fails; the first error is raised when all have been told."""
        with ExitStack() as stack:
            for callback in reversed(self.callbacks):
                stack.callback(callback.fit_end, self)

    def state_dict(self) -> dict[str, Any]:
        """All mutable state of the fit between two steps, as tensors and plain types.

        Raises:
            NonFiniteError: a step of this epoch went bad: nobody is to go on from here.
        """
        if self.step_in_epoch:
            self.stepper.watch.judge(self.epoch + 1, self.step_in_epoch)
        return state_of(self)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over a former state; see `fit_state.load_into`."""
        load_into(self, state)
