"""The config of the training loop."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.balancing import BalancingConfig
from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.losses import loss_schema
from hybrid_trainer.errors import ConfigError


@dataclass(kw_only=True)
class ScheduleOptions:
    """What every schedule of a plug-in says of itself; it goes without keys."""


SCHEDULES: dict[str, type[ScheduleOptions]] = {}
"""The schedules of plug-ins, by name."""


@dataclass(kw_only=True)
class ScheduleConfig:
    """How the learning rate changes."""

    kind: str = key(
        "plateau",
        "none: keep it; plateau: lower it per epoch when the monitor stalls; cosine, onecycle: move it per step; "
        "or a schedule of your plug-ins",
    )
    warmup_steps: int = key(0, "steps over which it rises at the start (onecycle rises by itself)")
    monitor: Any = key("auto", "what the plateau schedule looks at, as callbacks.checkpoint.monitor")
    factor: float = key(0.5, "by which the learning rate is multiplied")
    patience: int = key(2, "epochs without improvement before the learning rate is lowered")
    min_learning_rate: float = key(1e-5, "never below this")
    options: dict[str, Any] = key({}, "the keys of a plug-in's schedule: KEY: value")

    def __post_init__(self) -> None:
        check_choice("training.schedule.kind", self.kind, ["none", "plateau", "cosine", "onecycle", *SCHEDULES])
        if self.options and self.kind not in SCHEDULES:
            raise ConfigError(f"training.schedule.options: for a schedule of a plug-in; '{self.kind}' has none")
        check_range("training.schedule.warmup_steps", self.warmup_steps, low=0)
        if self.kind == "onecycle" and self.warmup_steps:
            raise ConfigError("training.schedule.warmup_steps: onecycle rises by itself; leave it at 0")
        check_range("training.schedule.factor", self.factor, above=0, high=0.99)
        check_range("training.schedule.patience", self.patience, low=0)
        check_range("training.schedule.min_learning_rate", self.min_learning_rate, low=0)


@dataclass(kw_only=True)
class AugmentConfig:
    """What is done to training windows, and to no others."""

    input_noise: float = key(0.0, "standard deviation of Gaussian noise on the scaled features; 0: none")
    time_mask: float = key(
        0.0,
        "largest share of a window that is hidden in one stretch, set to 0 (with data.scaler=standard the training "
        "mean); never the decision row",
    )
    feature_mask: float = key(0.0, "rate at which each feature of a window is hidden, set to 0 in all rows")
    mixup: float = key(
        0.0, "mix each window with another one of its batch, by a share from Beta(mixup, mixup); 0: not; 0.2 is usual"
    )

    def __post_init__(self) -> None:
        check_range("training.augment.input_noise", self.input_noise, low=0)
        check_range("training.augment.time_mask", self.time_mask, low=0, high=0.95)
        check_range("training.augment.feature_mask", self.feature_mask, low=0, high=0.95)
        check_range("training.augment.mixup", self.mixup, low=0, high=100)


@dataclass(kw_only=True)
class TrainingConfig:
    """How the model is trained."""

    name: str = key("default", "which training section")
    epochs: int = key(20, "passes over the training windows, at most")
    batch_size: int = key(128, "windows per batch")
    accumulate: int = key(1, "batches per update: their gradients are added up, as if they were one batch")
    learning_rate: float = key(1e-3, "step size of the optimizer, at the start")
    optimizer: str = key("adamw", "adamw | adam | sgd")
    weight_decay: float = key(
        1e-2, "decay of the weights; biases, norms, embeddings and other learned vectors are spared"
    )
    momentum: float = key(0.9, "momentum of sgd")
    clip_norm: float | None = key(1.0, "largest norm of the gradient; null: no clipping")
    loss_weights: dict[str, float] = key({}, "weight of each task in the total loss: TASK: number; 1 where not given")
    losses: dict[str, Any] = key(
        {},
        "loss of each task, by its name or with options, {name: focal, gamma: 3}: cross_entropy (default) or focal for "
        "classes; huber (default), mse, qlike or gaussian for numbers; pinball for quantiles; mse (default) or huber "
        "for forecasts",
    )
    metrics: dict[str, Any] = key(
        {},
        "metrics of your plug-ins, for every head of the kinds that they are for: NAME: {KEY: value, ...}; {} takes "
        "their defaults",
    )
    balancing: BalancingConfig = key(BalancingConfig(), "how the tasks' losses become one update")
    task_gradients_every: int | None = key(
        None,
        "look at the gradient of each task after so many steps: its norm, and the cosine between those of each two "
        "tasks; null: never",
    )
    class_weights: str = key(
        "none",
        "none | balanced: a class counts n / (classes * n_class) in the loss, counted on training rows | "
        "capped: the same, but none more than class_weight_cap times the smallest",
    )
    class_weight_cap: float = key(5.0, "class_weights=capped: the largest class weight by the smallest, at most")
    augment: AugmentConfig = key(AugmentConfig(), "what is done to training windows at random; nothing by default")
    ema_decay: float | None = key(
        None,
        "keep an average of the weights, of which a step keeps this share, and evaluate and save it; null: none",
    )
    on_nonfinite: str = key(
        "stop",
        "a loss or gradient that is not finite: stop: the run fails; skip: that step is left out; "
        "rollback: begin the epoch again with half the learning rate",
    )
    max_rollbacks: int = key(3, "on_nonfinite=rollback: how often, before the run fails")
    schedule: ScheduleConfig = key(ScheduleConfig(), "the learning-rate schedule")
    precision: str = key(
        "auto", "auto | fp32 | bf16 | fp16; auto: bf16 on a GPU that has it, fp16 on an older one, fp32 on a CPU"
    )
    device: str = key("auto", "auto | cpu | cuda; auto: a GPU where there is one")
    data_device: str = key(
        "auto",
        "auto | device | host: where a GPU finds the panel; auto: in its own memory if it takes less than half of what "
        "is free there, else batches are gathered on the host, ahead",
    )
    compile: str = key(
        "off",
        "off | graphs: a GPU replays whole steps as a CUDA graph | inductor: torch.compile of the model",
    )
    # Two threads wait for each other by spinning: alone on two cores a step took 8.5 instead of 14 ms, beside one other
    # busy process 600 ms. One is the default that never collapses.
    threads: int = key(
        1,
        "CPU threads of one operation; more are faster only while no other process needs the cores; "
        "results repeat bit for bit at the same number",
    )
    deterministic: bool = key(True, "only operations that repeat bit for bit")
    resume: str = key(
        "off",
        "off | auto: a job that is started again goes on with the run of its run.id, where there is one "
        "(or of TORCHELASTIC_RUN_ID or SLURM_JOB_ID)",
    )
    reshard: bool = key(
        False,
        "a run that is resumed may go on with another number of processes, which share its batches out anew",
    )

    def __post_init__(self) -> None:
        check_range("training.epochs", self.epochs, low=1)
        check_range("training.batch_size", self.batch_size, low=1)
        check_range("training.accumulate", self.accumulate, low=1)
        check_range("training.learning_rate", self.learning_rate, above=0)
        check_choice("training.optimizer", self.optimizer, ["adamw", "adam", "sgd"])
        check_range("training.weight_decay", self.weight_decay, low=0)
        check_range("training.momentum", self.momentum, low=0, high=0.9999)
        check_range("training.clip_norm", self.clip_norm, above=0)
        check_range("training.task_gradients_every", self.task_gradients_every, low=1)
        check_choice("training.class_weights", self.class_weights, ["none", "balanced", "capped"])
        check_range("training.class_weight_cap", self.class_weight_cap, low=1)
        check_choice("training.precision", self.precision, ["auto", "fp32", "bf16", "fp16"])
        check_choice("training.device", self.device, ["auto", "cpu", "cuda"])
        check_range("training.threads", self.threads, low=1)
        check_range("training.ema_decay", self.ema_decay, above=0, high=0.999999)
        check_choice("training.on_nonfinite", self.on_nonfinite, ["stop", "skip", "rollback"])
        check_range("training.max_rollbacks", self.max_rollbacks, low=1)
        check_choice("training.data_device", self.data_device, ["auto", "device", "host"])
        check_choice("training.compile", self.compile, ["off", "graphs", "inductor"])
        check_choice("training.resume", self.resume, ["off", "auto"])
        for task, weight in self.loss_weights.items():
            check_range(f"training.loss_weights.{task}", weight, low=0)
        self.losses = {
            task: loss_schema(loss, f"training.losses.{task}")() if isinstance(loss, str) else loss
            for task, loss in self.losses.items()
        }
