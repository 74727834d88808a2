"""Context columns: dense vectors at the decision row, in named blocks; a block may be missing in a row.

Shape legend: N rows, C context columns of all blocks together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.config.data import context_key
from hybrid_trainer.data.room import IN_MEMORY, PIECE, Room
from hybrid_trainer.data.scaling import Scaler, fit_scaler
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import TableError

Blocks = Mapping[str, tuple[str, ...]]


def context_matrix(table: Table, blocks: Blocks, room: Room = IN_MEMORY) -> NDArray[np.float32] | None:
    """The columns of all blocks as (N, C) float32, contiguous, or None where there is no block.

    A block with a missing value in one of its columns is missing in that row: all its columns are NaN there.

    Raises:
        TableError: a value is too large for float32.
    """
    if not blocks:
        return None
    matrix = room.empty((len(table), sum(map(len, blocks.values()))), np.float32)
    for names, block in zip(blocks.values(), parts(matrix, blocks), strict=True):
        for start in range(0, len(table), PIECE):
            piece = block[start : start + PIECE]
            for column, name in enumerate(names):
                piece[:, column] = _float32(name, table, start)
            piece[np.isnan(piece).any(axis=1)] = np.nan
    return matrix


def parts(matrix: NDArray[np.float32], blocks: Blocks) -> Iterator[NDArray[np.float32]]:
    """Each block's columns of an (N, C) matrix, as a view."""
    start = 0
    for names in blocks.values():
        yield matrix[:, start : start + len(names)]
        start += len(names)


def shares(matrix: NDArray[np.float32], blocks: Blocks, rows: NDArray[np.int64]) -> dict[str, float]:
    """For each block the share of `rows` that have it."""
    return {
        name: 1 - float(np.isnan(block[rows, 0]).mean())
        for name, block in zip(blocks, parts(matrix, blocks), strict=True)
    }


def fit_context_scaler(
    matrix: NDArray[np.float32], blocks: Blocks, rows: NDArray[np.int64], clip: float | None, file: str
) -> Scaler:
    """Mean 0 and standard deviation 1 per column, over the training decision rows that have the block.

    Raises:
        TableError: no row has a block.
    """
    for name, share in shares(matrix, blocks, rows).items():
        if not share:
            raise TableError(
                f"{file}: {context_key(name)}: no training row has a value in every column of the block "
                f"({', '.join(blocks[name])}); there is nothing to learn from it: fill its columns or remove it"
            )
    return fit_scaler("standard", clip, matrix, rows)  # leaves NaN out, and keeps it


def _float32(name: str, table: Table, start: int) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        values = table.numbers[name][start : start + PIECE].astype(np.float32)
    for row in np.flatnonzero(np.isinf(values))[:1] + start:
        raise TableError(
            f"{table.file}:{table.line[row]}: column '{name}': {table.numbers[name][row]:g} is too large for a "
            "context column (float32 ends at 3.4e38); scale the column"
        )
    return values
