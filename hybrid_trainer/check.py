"""`check [OVERRIDES]`: does anything leak? The checks, run on the user's own data; nothing is left behind."""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from rich.console import Console
from rich.table import Table as RichTable
from rich.text import Text

from hybrid_trainer.arguments import Parser
from hybrid_trainer.config import user_files
from hybrid_trainer.config.compose import compose_config, to_config
from hybrid_trainer.config.overrides import prepare
from hybrid_trainer.config.schema import Config
from hybrid_trainer.data.sources import check_columns
from hybrid_trainer.errors import ConfigError, LeakError
from hybrid_trainer.runs.logs import quiet
from hybrid_trainer.seeding import seed_everything
from hybrid_trainer.train import load

if TYPE_CHECKING:
    from hybrid_trainer.leaks.finding import Finding, Subject

_MOST_ROWS = 1 << 20
_READY = "the data can be made ready"
_COLOURS = {"pass": "green", "warning": "yellow", "FAIL": "red"}

Checks = dict[str, "Callable[[Subject], Finding]"]


def main(arguments: list[str]) -> int:
    """Look for leaks in the data that the same overrides would train on; status 1 where something leaks."""
    parser = Parser("check", main.__doc__)
    parser.add_argument("overrides", nargs="*", metavar="KEY=VALUE", help="as for a run: data=csv data.path=prices.csv")
    parser.add_argument("--samples", type=int, default=16, metavar="N", help="times t and labels that are tried")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="which ones, and which other rows")
    parser.add_argument("--skip-training", action="store_true", help="leave out the training on shuffled labels")
    parser.add_argument("--config", metavar="FILE", help="your own YAML of keys, as for a run")
    options = parser.parse_intermixed_args(user_files.take_config_option(arguments))
    config = _config(options)
    findings = check(config, samples=options.samples, seed=options.seed, skip_training=options.skip_training)
    _show(findings)
    return int(any(finding.verdict == "FAIL" for finding in findings.values()))


def _config(options: Namespace) -> Config:
    if options.samples < 1:
        raise ConfigError(f"--samples: {options.samples} must be at least 1")
    if not 0 <= options.seed < 2**32:
        raise ConfigError(f"--seed: {options.seed} must be at least 0, and below 2 ** 32")
    config = to_config(compose_config(prepare(user_files.overrides() + options.overrides)))
    check_columns(config.data, config.active_targets)
    return config


def check(config: Config, *, samples: int = 16, seed: int = 0, skip_training: bool = False) -> dict[str, Finding]:
    """Run every check; returns {what must hold: what was found}.

    Raises:
        UserError: the data cannot be trained on at all, for another reason than a leak.
    """
    whole = load(config)  # torch isn't imported yet: a bad table is told at once
    seed_everything(seed, deterministic=True, threads=config.training.threads)
    import torch

    from hybrid_trainer import prepare
    from hybrid_trainer.leaks.changes import part_of
    from hybrid_trainer.leaks.finding import Finding, Subject

    table = part_of(whole, _MOST_ROWS, np.random.default_rng(seed))
    looked_at = f"{len(table):,} of {len(whole):,} rows" + (", drawn by instrument" if len(table) < len(whole) else "")
    with quiet():
        try:
            data = prepare.dataset(config, table, torch.device("cpu"))
        except LeakError as error:
            failures = [f"a run refuses it: {error}", "the other checks need the data; they were not run"]
            return {_READY: Finding(looked_at=looked_at, failures=failures)}
        subject = Subject(config=config, data=data, samples=samples, seed=seed)
        findings = {_READY: Finding(looked_at=looked_at, measured=list(whole.notes))}
        return findings | {name: run(subject) for name, run in _checks(skip_training).items()}


def _checks(skip_training: bool) -> Checks:
    """What must hold, in the order in which it is shown."""
    from hybrid_trainer.leaks import borders, fitting, inputs, labels, probe, shuffled

    checks: Checks = {
        "inputs at t need no later row": inputs.cut_off,
        "inputs at t know no later row": inputs.changed,
        "labels are about (t, t + horizon]": labels.about_the_future,
        "no label is an input": labels.not_an_input,
        "no label is read off its row": probe.not_read_off,
        "no label reaches into another part": borders.no_label_crosses,
        "what is fitted knows training rows alone": fitting.fitted_on_training,
        "shuffled labels train to chance": shuffled.trains_to_chance,
    }
    if skip_training:
        del checks["shuffled labels train to chance"]
    return checks


def _show(findings: dict[str, Finding]) -> None:
    console = Console(width=120 if not sys.stdout.isatty() else None)
    table = RichTable(title="Does anything leak?", title_justify="left", show_lines=True)
    for column in ("what must hold", "", "looked at", "found"):
        table.add_column(column, overflow="fold")
    for name, finding in findings.items():
        colour = _COLOURS[finding.verdict]
        found = Text("\n".join(finding.said))  # as it is: brackets are no markup
        table.add_row(Text(name), Text(finding.verdict, style=colour), Text(finding.looked_at), found)
    console.print(table)
    verdicts = [finding.verdict for finding in findings.values()]
    counts = ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in _COLOURS if verdict in verdicts)
    console.print(f"{counts}; nothing was written", markup=False)
