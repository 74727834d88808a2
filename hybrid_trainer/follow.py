"""Training along in a process that is not the first: a share of every batch, nothing on disk, nothing said."""

from __future__ import annotations

import logging

from omegaconf import OmegaConf

from hybrid_trainer import build, prepare
from hybrid_trainer.config.compose import to_config
from hybrid_trainer.meeting import Plan
from hybrid_trainer.ranks import Ranks, own_seed
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.train import load, loaders


def follow(plan: Plan, ranks: Ranks) -> None:
    """Train along with the first process, from its config and its checkpoint.

    Raises:
        UserError: this process finds another table, or can't find what the config names.
    """
    logging.getLogger("hybrid_trainer").addHandler(logging.NullHandler())
    config = to_config(OmegaConf.create(plan.config))
    table = load(config)
    seed_everything(config.seed, deterministic=config.training.deterministic, threads=config.training.threads)
    on = build.machine(config)
    data = prepare.dataset(config, table, on.device)
    looking_on = build.callbacks(config, plan.directory, plan.directory, None, ranks)
    trainer = build.trainer(config, build.model_spec(config, data), data, on, looking_on, ranks)
    own_seed(config.seed, ranks)
    state = ranks.from_first(None)
    if isinstance(state, int):
        raise SystemExit(state)  # the first one can't go on, and says why
    if state is not None:
        trainer.load_state_dict(state)
    trainer.fit(*loaders(config, data, ranks))
