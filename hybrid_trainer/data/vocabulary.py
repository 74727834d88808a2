"""Categories to numbers: the categories of the training rows, and `<unk>` for every other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

UNKNOWN = "<unk>"


@dataclass(frozen=True)
class Vocabulary:
    """The known categories in alphabetical order; the first has number 1, since 0 is `<unk>`."""

    names: tuple[str, ...]

    @classmethod
    def fit(cls, codes: NDArray[np.int64], categories: tuple[str, ...]) -> Vocabulary:
        """The categories that occur among the training rows' codes."""
        return cls(tuple(sorted(categories[code] for code in np.unique(codes))))

    def __len__(self) -> int:
        return len(self.names) + 1

    def encode(self, codes: NDArray[np.int64], categories: tuple[str, ...]) -> NDArray[np.int64]:
        """(N,) codes into `categories` -> (N,) numbers of this vocabulary."""
        numbers = {name: number for number, name in enumerate(self.names, start=1)}
        table = np.array([numbers.get(name, 0) for name in categories], dtype=np.int64)
        return np.asarray(table[codes])
