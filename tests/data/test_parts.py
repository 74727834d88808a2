"""The files of a table."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import polars as pl
import pytest

from hybrid_trainer.data.parts import columns_of, content_digest, find_parts, stamp
from hybrid_trainer.errors import TableError


def parquet(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pl.DataFrame({"x": [1]}).write_parquet(path)
    return path


def test_a_folder_is_its_parquet_files_in_alphabetical_order_with_what_the_folders_say(tmp_path: Path) -> None:
    second = parquet(tmp_path / "id=b%2Fc/day=007/part-0.parquet")
    first = parquet(tmp_path / "id=__HIVE_DEFAULT_PARTITION__/day=1/part-0.pq")
    for ignored in ("_temporary/id=x/p.parquet", ".hidden/p.parquet", "id=b%2Fc/day=007/.part-1.parquet"):
        parquet(tmp_path / ignored)
    (tmp_path / "_SUCCESS").touch()
    (tmp_path / "notes.txt").touch()
    parts = find_parts(tmp_path)
    assert [(part.path, part.constants) for part in parts] == [
        (first, {"id": None, "day": "1"}),
        (second, {"id": "b/c", "day": "007"}),
    ]
    assert columns_of(parts) == (["x", "id", "day"], [])


def test_a_folder_that_is_no_table_is_told(tmp_path: Path) -> None:
    with pytest.raises(TableError, match=r": a folder without any \.parquet file$"):
        find_parts(tmp_path)
    parquet(tmp_path / "id=a/p.parquet")
    parquet(tmp_path / "p.parquet")
    with pytest.raises(TableError, match=r"p\.parquet: its folders name the columns none, those of .* name \['id'\]"):
        find_parts(tmp_path)


def test_a_files_digest_is_that_of_its_bytes_and_a_folders_knows_names_and_contents(tmp_path: Path) -> None:
    file = parquet(tmp_path / "a" / "p.parquet")
    assert content_digest(file, find_parts(file)) == hashlib.sha256(file.read_bytes()).hexdigest()

    def digest() -> str:
        return content_digest(tmp_path, find_parts(tmp_path))

    before = digest()
    assert digest() == before
    file.rename(tmp_path / "a" / "q.parquet")
    renamed = digest()
    assert renamed != before
    pl.DataFrame({"x": [2]}).write_parquet(tmp_path / "a" / "q.parquet")
    assert digest() not in (before, renamed)


def test_a_stamp_changes_with_size_and_time(tmp_path: Path) -> None:
    file = tmp_path / "t.csv"
    file.write_text("a\n1\n")
    os.utime(file, ns=(5, 5))
    before = stamp(find_parts(file))
    file.read_text()
    assert stamp(find_parts(file)) == before
    os.utime(file, ns=(5, 6))
    assert stamp(find_parts(file)) != before
    file.write_text("a\n22\n")
    os.utime(file, ns=(5, 5))
    assert stamp(find_parts(file)) != before


def test_a_stamp_changes_with_a_content_of_the_same_size_and_time(tmp_path: Path) -> None:
    file, other = tmp_path / "t.csv", tmp_path / "u.csv"
    for path in (file, other):
        path.write_text(f"a\n{path.stem}\n")
        os.utime(path, ns=(5, 5))
    before = stamp(find_parts(file))
    other.replace(file)
    assert stamp(find_parts(file)) != before
