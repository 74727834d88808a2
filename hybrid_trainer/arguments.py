"""Arguments of the commands: argparse, but a mistake is one line, like every other."""

from __future__ import annotations

import argparse
from typing import NoReturn

from hybrid_trainer.errors import UserError


class Parser(argparse.ArgumentParser):
    """An argument parser of one command, which raises UserError where argparse would print and leave."""

    def __init__(self, command: str, description: str | None) -> None:
        super().__init__(prog=f"python -m hybrid_trainer {command}", description=description)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and where help is."""
        raise UserError(f"{self.prog}: {message}; --help shows how it is used")
