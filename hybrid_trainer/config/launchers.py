"""How the jobs of a sweep are run: the options of hydra/launcher=local, and ready ones for clusters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid_trainer.config.keys import check_choice, check_range, key
from hybrid_trainer.config.spans import parse_span
from hybrid_trainer.errors import ConfigError

LOCAL = "hydra_plugins.hybrid_trainer.LocalLauncher"
"""What Hydra knows our launcher by: it takes plugins from this package's names alone; `sweeps/plugins.py` enters it."""


@dataclass(kw_only=True)
class LocalLauncherConfig:
    """One process for each job, on this machine; nothing that a job does to itself takes another one along."""

    _target_: str = LOCAL
    n_jobs: int | None = key(None, "jobs at a time; null: as many as the cores have room for with training.threads")
    gpus_per_job: float | None = key(
        None, "GPUs of each job, 0.5: two jobs share one; 0: jobs choose for themselves; null: 1 where there are GPUs"
    )
    time_limit: str | None = key(None, "how long a job may take: 90s, 30min, 2h; null: as long as it takes")
    memory_limit_mib: int | None = key(
        None, "MiB of memory (RSS) that a job and its children may take; null: as much as there is"
    )
    retries: int = key(0, "how often a job that fails is tried again; it goes on from its last checkpoint")
    on_failure: str = key(
        "continue", "when a job has failed for good: continue with the others, or stop: begin no more"
    )
    duplicates: str = key("skip", "a job with the config of one that is complete: skip takes its result, run runs it")

    def __post_init__(self) -> None:
        check_range("hydra.launcher.n_jobs", self.n_jobs, low=1)
        check_range("hydra.launcher.gpus_per_job", self.gpus_per_job, low=0)
        if (share := self.gpus_per_job or 0) > 1 and share != int(share):
            raise ConfigError(f"hydra.launcher.gpus_per_job: {share:g} must be a whole number or a part of one, as 0.5")
        check_range("hydra.launcher.memory_limit_mib", self.memory_limit_mib, low=1)
        check_range("hydra.launcher.retries", self.retries, low=0)
        check_choice("hydra.launcher.on_failure", self.on_failure, ["continue", "stop"])
        check_choice("hydra.launcher.duplicates", self.duplicates, ["skip", "run"])
        self.seconds  # noqa: B018  # reads time_limit

    @property
    def seconds(self) -> float | None:
        """The time limit.

        Raises:
            ConfigError: it is not a duration.
        """
        if self.time_limit is None:
            return None
        try:
            span = parse_span("hydra.launcher.time_limit", self.time_limit)
        except ConfigError as error:  # which speaks of bars, and there are none here
            raise ConfigError(
                f"hydra.launcher.time_limit: '{self.time_limit}' is no duration; write 90s, 30min, 2h or 1d"
            ) from error
        seconds = float(span.amount) if span.in_bars else span.amount / 1e9  # a plain number: seconds
        check_range("hydra.launcher.time_limit", seconds, above=0)
        return seconds


_SUBMITIT: dict[str, Any] = {
    "submitit_folder": "${hydra.sweep.dir}/logs/submitit/%j",
    "name": "hybrid_trainer",
    "timeout_min": 240,  # a job that takes longer is killed; `sweep retry` goes on from its last checkpoint
    "cpus_per_task": "${training.threads}",
    "gpus_per_node": None,
    "mem_gb": None,
    "nodes": 1,
    "tasks_per_node": 1,
    "stderr_to_stdout": True,
}
_SLURM: dict[str, Any] = {
    "mem_gb": 8,
    "array_parallelism": 256,  # jobs at a time
    "partition": None,
    "account": None,
    "qos": None,
    "constraint": None,
    "comment": None,
    "exclude": None,
    "gres": None,
    "setup": None,  # commands that come first: ['source /opt/env/bin/activate']
    "additional_parameters": {},
    "signal_delay_s": 120,
    "max_num_timeout": 0,
}

# Option of hydra/launcher -> its keys, in the place of what the launcher's own package says.
ON_CLUSTERS: dict[str, dict[str, Any]] = {
    "submitit_slurm": {
        "_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.SlurmLauncher",
        **_SUBMITIT,
        **_SLURM,
    },
    "submitit_local": {
        "_target_": "hydra_plugins.hydra_submitit_launcher.submitit_launcher.LocalLauncher",
        **_SUBMITIT,
    },
    "ray": {
        "_target_": "hydra_plugins.hydra_ray_launcher.ray_launcher.RayLauncher",
        "ray": {
            # address null: a Ray of its own on this machine; auto: the cluster that runs here
            "init": {"address": None, "num_cpus": None, "include_dashboard": False},
            "remote": {"num_cpus": "${training.threads}", "num_gpus": 0},
        },
    },
}
