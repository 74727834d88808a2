"""What of a run must come out the same when it is run again, its digests, and where two runs part. Imports no torch.

A part is {place: numbers}: tensors by name, columns by name, the numbers of a JSON file by epoch and key.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from safetensors.numpy import load_file

Part = dict[str, NDArray[Any]]
_OF_THE_RECORD = ("data_sha256", "device", "precision", "threads")


def evidence(run: Path, final: Part) -> dict[str, Part]:
    """Everything that must be the same, in the order in which a run makes it.

    Args:
        run: a complete run's directory. final: its weights behind the last epoch, which only torch can read.
    """
    record = json.loads((run / "run.json").read_text(encoding="utf-8"))
    history = (run / "history.jsonl").read_text(encoding="utf-8").splitlines()
    return {
        "table and engine": _plain({key: record[key] for key in _OF_THE_RECORD}),
        "features (golden windows)": _windows(run / "model"),
        "history.jsonl": _history([json.loads(line) for line in history]),
        "weights, last epoch": final,
        "weights, best epoch": load_file(run / "model" / "weights.safetensors"),
        "metrics.json": _plain(json.loads((run / "report" / "metrics.json").read_text(encoding="utf-8"))),
        "predictions.parquet": _columns(pl.read_parquet(run / "report" / "predictions.parquet")),
    }


def digest(part: Part) -> str:
    """SHA-256 of a part: of names, types, shapes and every bit."""
    sha = hashlib.sha256()
    for name, values in part.items():
        sha.update(f"{name}\0{values.dtype}\0{values.shape}\0".encode())
        sha.update(_bytes(values))
    return sha.hexdigest()


def first_difference(one: Part, other: Part) -> str | None:
    """Where two parts differ first, and by what; None where every bit is the same."""
    for name in dict.fromkeys([*one, *other]):
        if name not in one or name not in other:
            return f"{name}: only in the {'first' if name in one else 'second'}"
        a, b = one[name], other[name]
        if (a.dtype, a.shape) != (b.dtype, b.shape):
            return f"{name}: {_kind(a)} and {_kind(b)}"
        unlike = _bits(a) != _bits(b)
        if not unlike.any():
            continue
        at = np.unravel_index(int(unlike.argmax()), unlike.shape)
        where = f"{name}[{', '.join(str(int(index)) for index in at)}]" if at else name
        count = f" ({int(unlike.sum()):,} of {unlike.size:,} differ)" if unlike.size > 1 else ""
        return f"{where}: {_text(a[at])} and {_text(b[at])}{count}"
    return None


def _history(rows: list[dict[str, Any]]) -> Part:
    """Rows of epochs; there is no clock in them (times are in resources.jsonl)."""
    return {f"epoch {row['epoch']}, {name}": _value(value) for row in rows for name, value in row.items()}


def _windows(bundle: Path) -> Part:
    """A few windows in units, one entry per feature, and what stands beside them."""
    golden = load_file(bundle / "golden.safetensors")
    names = json.loads((bundle / "schema.json").read_text(encoding="utf-8"))["feature_names"]
    features = {f"feature {name}": golden["x"][:, :, column] for column, name in enumerate(names)}
    return features | {name: golden[name] for name in ("context", "ids") if name in golden}


def _plain(tree: Any) -> Part:
    return {name: _value(value) for name, value in _leaves(tree, "")}


def _leaves(tree: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Yield (place, value) for every leaf; an empty mapping or list is one."""
    if isinstance(tree, dict | list) and tree:
        for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
            yield from _leaves(value, f"{place}/{key}" if place else str(key))
    else:
        yield place, tree


def _value(value: Any) -> NDArray[Any]:
    """A number as itself, anything else as its JSON text."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return np.asarray(float(value) if number else json.dumps(value))


def _columns(frame: pl.DataFrame) -> Part:
    """A table's values: beside those of a column, which of them are missing, and how long its lists are."""
    found: Part = {}
    for column in frame:
        width = 1
        if isinstance(column.dtype, pl.List):
            lengths = column.list.len().cast(pl.Int64).fill_null(-1).to_numpy()
            found[f"{column.name}: lengths"] = lengths
            width = int(lengths[0]) if len(lengths) and (lengths == lengths[0]).all() else 1
            column = column.drop_nulls().explode()
        if column.null_count():
            found[f"{column.name}: missing"] = column.is_null().to_numpy()
        filled = column.to_physical().fill_null("" if column.dtype == pl.String else 0)
        values = filled.to_numpy()
        found[column.name] = values.reshape(-1, width) if width > 1 else values
    return found


def _bytes(values: NDArray[Any]) -> bytes:
    if values.dtype.kind in "OU":
        return json.dumps(values.tolist()).encode()
    return np.ascontiguousarray(values).tobytes()


def _bits(values: NDArray[Any]) -> NDArray[Any]:
    """Numbers as integers of the same bits, so that NaN equals NaN and -0.0 isn't 0.0; text as it is."""
    return values if values.dtype.kind in "OU" else np.asarray(values, order="C").view(f"u{values.dtype.itemsize}")


def _kind(values: NDArray[Any]) -> str:
    if values.ndim == 0:
        return _text(values[()])
    return f"{values.dtype} of {' x '.join(map(str, values.shape))}"


def _text(value: Any) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
