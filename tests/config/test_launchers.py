"""The options of hydra/launcher=local."""

from __future__ import annotations

import pytest

from hybrid_trainer.config.compose import compose_config
from hybrid_trainer.config.launchers import ON_CLUSTERS, LocalLauncherConfig
from hybrid_trainer.errors import ConfigError


@pytest.mark.parametrize(("given", "seconds"), [(None, None), ("90", 90), ("90s", 90), ("1.5min", 90), ("2h", 7200)])
def test_a_time_limit_is_seconds_or_a_duration(given: str | None, seconds: float | None) -> None:
    assert LocalLauncherConfig(time_limit=given).seconds == seconds


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"n_jobs": 0}, "hydra.launcher.n_jobs: 0 is out of range; it must be at least 1"),
        ({"gpus_per_job": 1.5}, "hydra.launcher.gpus_per_job: 1.5 must be a whole number or a part of one"),
        ({"gpus_per_job": -1.0}, "hydra.launcher.gpus_per_job: -1.0 is out of range"),
        ({"time_limit": "soon"}, "hydra.launcher.time_limit: 'soon' is no duration; write 90s, 30min, 2h or 1d"),
        ({"time_limit": "0"}, "hydra.launcher.time_limit: 0.0 is out of range; it must be above 0"),
        ({"memory_limit_mib": 0}, "hydra.launcher.memory_limit_mib: 0 is out of range"),
        ({"retries": -1}, "hydra.launcher.retries: -1 is out of range"),
        ({"on_failure": "halt"}, "hydra.launcher.on_failure: 'halt' is not one of continue, stop"),
        ({"duplicates": "no"}, "hydra.launcher.duplicates: 'no' is not one of skip, run"),
    ],
)
def test_an_option_out_of_range_is_told(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LocalLauncherConfig(**options)  # type: ignore[arg-type]
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize("name", ON_CLUSTERS)
def test_the_launchers_of_clusters_take_what_a_job_needs_and_no_other_key(name: str) -> None:
    tree = compose_config([f"hydra/launcher={name}", "training.threads=3"])
    launcher = tree.hydra.launcher
    assert (launcher.ray.remote.num_cpus if name == "ray" else launcher.cpus_per_task) == 3
    with pytest.raises(ConfigError, match=r"hydra\.launcher\.partiton: no such key"):
        compose_config([f"hydra/launcher={name}", "hydra.launcher.partiton=gpu"])
