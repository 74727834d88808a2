"""From blocks of rows to checked, sorted columns: what every table goes through, of whatever size. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hybrid_trainer.data import checks
from hybrid_trainer.data.chunks import Chunk
from hybrid_trainer.data.coder import Coder
from hybrid_trainer.data.columns import Column, Columns, drop_rows, second_rows, sort_rows
from hybrid_trainer.data.layout import Layout
from hybrid_trainer.data.number_columns import Numbers
from hybrid_trainer.data.timestamps import Clock
from hybrid_trainer.data.vocabulary import category_texts

SINGLE_INSTRUMENT = "all"


@dataclass(frozen=True, kw_only=True)
class Rules:
    """What is asked of a table.

    Attributes:
        missing: 'error' refuses a missing feature value, 'gap' keeps it as NaN.
        on_error: 'raise' refuses a table with a bad row, 'drop' goes on without it.
        rows_needed: rows that at least one instrument must have; `why` says what for.
    """

    missing: str = "error"
    on_error: str = "raise"
    rows_needed: int = 1
    why: str = ""

    def length_fault(self, file: str, blocks: list[tuple[int, int]]) -> str | None:
        """What is wrong with tables whose instruments are all too short, given their [start, stop) rows."""
        longest = max((stop - start for start, stop in blocks), default=0)
        if longest >= self.rows_needed:
            return None
        whose = "the longest instrument has" if len(blocks) > 1 else "there are"
        return f"{file}: {whose} {longest} row(s), too few: {self.rows_needed} are needed {self.why}"


@dataclass
class Ingest:
    """One table on its way in: give it every block with `take`, then `finish`.

    Attributes:
        file: the table's name in messages. columns: where the rows go.
        problems: every fault found so far.
        instruments, labels, categories: names behind the codes, known when finished.
        parts: name of each file, and how many rows the files before it have.
        rows_read: rows that could be taken apart into columns.
        order_mended: whether rows of an instrument were not in the order of time.
    """

    file: str
    layout: Layout
    rules: Rules
    columns: Columns
    problems: checks.Problems = field(init=False)
    instruments: tuple[str, ...] = (SINGLE_INSTRUMENT,)
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)
    parts: list[tuple[str, int]] = field(default_factory=list)
    rows_read: int = 0
    order_mended: bool = False

    def __post_init__(self) -> None:
        self.problems = checks.Problems(self.file)
        self._clock = Clock()
        self._told: set[str] = set()
        self._coder = Coder()
        self._label_coders = {name: Coder(classes=True) for name in self.layout.labels}
        self._category_coders = {name: Coder() for name in self.layout.category_columns}
        self._numbers = Numbers(self.layout, self.rules.missing)

    def take(self, chunks: Iterable[Chunk]) -> None:
        """Check blocks of rows and keep those that can be kept."""
        last = 0
        with ThreadPoolExecutor(1) as other, ThreadPoolExecutor(1) as writer:
            written: Future[None] | None = None
            for chunk in chunks:
                if not self.parts or self.parts[-1][0] != chunk.file:
                    self.parts.append((chunk.file, self.parts[-1][1] + last if self.parts else 0))
                if len(chunk.frame):
                    last = int(chunk.line[-1])
                    self.rows_read += len(chunk.frame)
                    block = self._checked(chunk, self.parts[-1][1], other)
                    if written is not None:
                        written.result()
                    written = writer.submit(self.columns.append, block)  # while the next one is looked at
            if written is not None:
                written.result()

    def finish(self) -> None:
        """Sort the rows and look at the table as a whole; afterwards the problems are complete."""
        self._numbers.spreads.tell_empty(self.file, self.problems, but={*self.layout.optional, *self._told})
        if not self.columns.rows:
            if not self.problems.lines:
                self.problems.add(f"{self.file}: there is a header, but no row")
            elif not self.problems.whole_file:
                self.problems.add(f"{self.file}: no row is left without a fault", first=True)
            return
        self.columns.seal()
        wrong = self._clock.finish(self.columns["timestamp"])
        if wrong:
            self.problems.add(f"{self.file}: column '{self.layout.timestamp}': {wrong}")
        if self.layout.instrument:
            self.instruments = self._coder.finish(self.columns["instrument"])
        self.order_mended = sort_rows(self.columns, len(self.instruments))
        self._judge_keys()
        self.labels = self._finished("labels", self._label_coders)  # the classes of the rows that are left
        self.categories = self._finished("categories", self._category_coders)
        self._judge_length()

    def notes(self) -> list[str]:
        """What was done to the rows, and what of them a user should know."""
        said = []
        for entry in self.problems.as_report():
            column = f"column '{entry['column']}'; " if entry["column"] else ""
            said.append(f"{self.file}: {entry['rows']} row(s) dropped: {column}the first: {entry['first'][0]}")
        if self.order_mended:
            said.append(f"{self.file}: the rows were not in the order of time; they were sorted")
        return said + self._numbers.spreads.notes_on_constants(self.file, self._inputs())

    def manifest(self) -> dict[str, Any]:
        """What is known of a finished table besides its columns, as JSON holds it."""
        notes = self.notes()
        return {
            "file": self.file,
            "layout": asdict(self.layout),
            "instruments": self.instruments,
            "labels": self.labels,
            "categories": self.categories,
            "parts": self.parts,
            "notes": notes,
            "report": {
                "file": self.file,
                "rows_read": self.rows_read + self.problems.broken_rows(),
                "rows_kept": self.columns.rows,
                "dropped": self.problems.as_report(),
                "notes": notes,
            },
        }

    def _finished(self, kind: str, coders: dict[str, Coder]) -> dict[str, tuple[str, ...]]:
        return {name: coder.finish(self.columns[f"{kind}.{name}"]) for name, coder in coders.items()}

    def place(self, line: int) -> tuple[str, int]:
        """The file of a row, and its line there."""
        file, before = next((part for part in reversed(self.parts) if part[1] < line), self.parts[0])
        return file, line - before

    def _checked(self, chunk: Chunk, before: int, other: Executor) -> dict[str, Column]:
        """A block's rows that can be kept; its numbers are judged by a thread, its keys by this one."""
        frame, problems = chunk.frame, self.problems
        problems.begin_block(chunk.file)
        self._told |= chunk.told
        judged = other.submit(self._numbers.judged, chunk)
        block: dict[str, Column] = {"timestamp": self._times(chunk)}
        block["instrument"] = self._instruments(chunk)
        block["line"] = chunk.line + before if before else chunk.line
        numbers, found = judged.result()
        problems.take_over(found)
        block |= {f"prices.{name}": values for name, values in self._numbers.prices(numbers).items()}
        block |= {f"numbers.{name}": numbers[name] for name in self.layout.numbers}
        block |= {f"labels.{name}": coder.encode(frame[name]) for name, coder in self._label_coders.items()}
        for name, coder in self._category_coders.items():
            block[f"categories.{name}"] = coder.encode(category_texts(frame[name]))
        out = problems.bad_rows(len(frame)) if self.rules.on_error == "drop" else self._without_key(len(frame))
        if chunk.told & {self.layout.timestamp, self.layout.instrument}:
            out[:] = True  # rows without a key are no rows
        return {name: values[~out] for name, values in block.items()} if out.any() else block

    def _times(self, chunk: Chunk) -> NDArray[np.int64]:
        if self.layout.timestamp in chunk.told:
            return np.zeros(len(chunk.frame), dtype=np.int64)
        return self._clock.read(chunk.frame[self.layout.timestamp], chunk.line, self.problems)

    def _instruments(self, chunk: Chunk) -> NDArray[np.int64]:
        if self.layout.instrument is None or self.layout.instrument in chunk.told:
            return np.zeros(len(chunk.frame), dtype=np.int64)
        codes = self._coder.encode(chunk.frame[self.layout.instrument])
        self.problems.add_where(self.layout.instrument, codes < 0, chunk.line, "the instrument is missing")
        return codes.astype(np.int64)

    def _inputs(self) -> list[str]:
        return [name for name in self.layout.numbers if name not in self.layout.optional]

    def _without_key(self, rows: int) -> NDArray[np.bool_]:
        bad = self.problems.rows_with_a_fault_in(self.layout.timestamp, rows)
        return bad | self.problems.rows_with_a_fault_in(self.layout.instrument or self.layout.timestamp, rows)

    def _judge_keys(self) -> None:
        """One row per instrument and time: later ones are told, and dropped where that was asked for."""
        second = second_rows(self.columns)
        if not len(second):
            return
        column, text = checks.duplicate_text(self.layout.timestamp, self.layout.instrument)
        lines = self.columns["line"]
        for row in second[np.argsort(lines[second], kind="stable")[:3]].tolist():
            file, line = self.place(int(lines[row]))
            other, earlier = self.place(int(lines[row - 1]))
            name = self.instruments[int(self.columns["instrument"][row])]
            whose = f"instrument '{name}' has this time" if self.layout.instrument else "this time stands"
            where = f"row {earlier}" if file == other else f"row {earlier} of {other}"
            self.problems.file = file
            self.problems.count(column, 1, [line], text, [f"{whose} already in {where}"])
        self.problems.count(column, len(second) - min(len(second), 3), [], text, [])
        if self.rules.on_error == "drop":
            drop_rows(self.columns, second)
        elif self.layout.instrument is None:
            self.problems.add(
                f"{self.file}: several rows have one time; if the table holds several instruments, name their column: "
                "data.instrument=COLUMN",
                first=True,
            )

    def _judge_length(self) -> None:
        fault = self.rules.length_fault(self.file, list(pairwise(self._edges())))
        if fault:
            self.problems.add(fault)

    def _edges(self) -> list[int]:
        """The first row of each instrument, and the number of rows."""
        edges: list[int] = np.searchsorted(self.columns["instrument"], np.arange(len(self.instruments) + 1)).tolist()
        return edges
