"""Tables on disk: made once, the same as in memory, shared by processes, and never half there."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hybrid_trainer.config.schema import Config
from hybrid_trainer.data import sources, store
from hybrid_trainer.data.sources import load_table
from hybrid_trainer.data.store import Store, cache_folder
from hybrid_trainer.data.table import Table
from hybrid_trainer.errors import ConfigError, TableError
from tests.conftest import make_config, price_frame
from tests.warm import CONTEXT, begin

Load = Callable[..., Table]


def write(path: Path, seed: int = 0) -> None:
    frame = price_frame(60, seed=seed)
    frame.sample(fraction=1.0, shuffle=True, seed=seed).write_csv(path)
    os.utime(path, ns=(10**18, 10**18 + seed))  # long ago


def config_of(path: Path, cache: str, *overrides: str) -> Config:
    return make_config("data=csv", f"data.path={path}", "data.instrument=instrument", f"data.cache={cache}", *overrides)


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """Load t.csv by way of tmp_path/cache."""
    write(tmp_path / "t.csv")

    def loader(cache: str = "always", *overrides: str, path: Path = tmp_path / "t.csv", **options: Any) -> Table:
        config = config_of(path, cache, *overrides)
        return load_table(config.data, config.active_targets, cache_dir=str(tmp_path / "cache"), **options)

    return loader


def content(table: Table) -> dict[str, Any]:
    arrays = {"timestamp": table.timestamp, "instrument": table.instrument, "line": table.line}
    arrays |= table.prices | table.numbers
    return {name: (values.dtype.str, values.tolist()) for name, values in arrays.items()} | {
        "rest": (table.file, table.sha256, table.layout, table.instruments, table.notes, table.parts, table.report)
    }


def tables(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "cache" / "tables").glob("*"))


def no_reading(*given: Any, **options: Any) -> Any:
    raise AssertionError("the file was read")


def test_a_table_from_disk_is_the_one_from_memory(load: Load) -> None:
    memory, made, found = load("never"), load(), load()
    assert content(memory) == content(made) == content(found)
    assert type(memory.timestamp) is np.ndarray
    for table in (made, found):
        arrays = [table.timestamp, table.instrument, table.line, *table.prices.values()]
        assert all(isinstance(values, np.memmap) and not values.flags.writeable for values in arrays)


def test_a_second_run_reads_nothing(load: Load, monkeypatch: pytest.MonkeyPatch) -> None:
    load()
    monkeypatch.setattr(sources, "chunks_of", no_reading)
    monkeypatch.setattr(sources, "content_digest", no_reading)
    assert len(load()) == 120


def test_what_may_be_there_is_hashed_first_and_all_else_while_it_is_read(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashed, chunks_of = sources.content_digest, sources.chunks_of
    told = threading.Event()

    def digest_behind(*given: Any) -> str:
        assert told.wait(60), "nothing was read before the file was hashed"
        return hashed(*given)

    def telling(*given: Any, **options: Any) -> Any:
        told.set()
        return chunks_of(*given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(sources, "content_digest", digest_behind)
        patch.setattr(sources, "chunks_of", telling)
        first = load()
    (tmp_path / "u.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    monkeypatch.setattr(sources, "chunks_of", no_reading)
    assert load(path=tmp_path / "u.csv").sha256 == first.sha256


def test_a_small_table_leaves_nothing_behind(load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert type(load("auto").timestamp) is np.ndarray
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(sources, "CACHED_FROM", 100)
    assert isinstance(load("auto").timestamp, np.memmap)
    assert len(tables(tmp_path)) == 1


def test_each_content_and_each_way_of_reading_has_a_table_of_its_own(load: Load, tmp_path: Path) -> None:
    first = load()
    load("always", "data.missing=gap")
    load("always", "data.on_error=drop")
    load("always", "data.feature_set=none", "data.features=[close]")
    assert len(tables(tmp_path)) == 4
    write(tmp_path / "t.csv", seed=1)
    changed = load()
    assert len(tables(tmp_path)) == 5
    assert changed.sha256 != first.sha256
    assert content(changed) == content(load("never"))
    load("always", "model.time_window=7")
    assert len(tables(tmp_path)) == 5


def test_the_same_content_elsewhere_is_found_and_named_by_its_own_place(load: Load, tmp_path: Path) -> None:
    first = load()
    (tmp_path / "u.csv").write_bytes((tmp_path / "t.csv").read_bytes())
    second = load(path=tmp_path / "u.csv")
    assert len(tables(tmp_path)) == 1
    assert second.file == second.report["file"] == str(tmp_path / "u.csv")
    assert first.notes[0].startswith(f"{tmp_path}/t.csv: the rows were not in the order of time")
    assert second.notes[0].startswith(f"{tmp_path}/u.csv: the rows were not in the order of time")
    assert second.place(0) == first.place(0).replace("t.csv", "u.csv")


def test_a_bad_table_leaves_no_table(load: Load, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(path.read_text() + "2020-09-01,A,1,2,3,-4,5\n")
    with pytest.raises(TableError, match=r"t\.csv:122: column 'close': -4 is not positive"):
        load()
    assert tables(tmp_path) == []
    dropped = load("always", "data.on_error=drop")
    assert content(dropped) == content(load("always", "data.on_error=drop"))
    assert dropped.report["dropped"][0]["rows"] == 1


def test_a_stored_table_is_too_short_for_a_larger_window(load: Load) -> None:
    assert len(load(rows_needed=60)) == 120
    with pytest.raises(TableError, match=r"the longest instrument has 60 row\(s\), too few: 61 are needed for a test"):
        load(rows_needed=61, why="for a test")


@pytest.mark.parametrize("damage", ["shorter", "gone", "manifest"])
def test_a_damaged_table_is_made_anew(load: Load, tmp_path: Path, damage: str) -> None:
    sound = content(load())
    (name,) = tables(tmp_path)
    folder = tmp_path / "cache" / "tables" / name
    if damage == "shorter":
        os.truncate(folder / "3.bin", 100)
    elif damage == "gone":
        (folder / "0.bin").unlink()
    else:
        (folder / "manifest.json").write_text("{")
    assert content(load()) == sound
    assert tables(tmp_path) == [name]


def test_a_file_that_changes_while_it_is_read_is_told_and_not_stored(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = sources.chunks_of

    def writing(*given: Any, **options: Any) -> Any:
        yield from read(*given, **options)
        write(tmp_path / "t.csv", seed=1)

    monkeypatch.setattr(sources, "chunks_of", writing)
    with pytest.raises(TableError, match=r"t\.csv: the file changed while it was read"):
        load()
    assert tables(tmp_path) == []


def test_a_file_that_was_written_a_moment_ago_is_looked_at_again(load: Load, tmp_path: Path) -> None:
    os.utime(tmp_path / "t.csv")
    load()
    assert not (tmp_path / "cache" / "digests").exists()
    assert len(tables(tmp_path)) == 1


def test_what_a_process_that_died_has_left_is_removed_after_a_day(load: Load, tmp_path: Path) -> None:
    left, young = tmp_path / "cache/tables/.new-left", tmp_path / "cache/tables/.new-young"
    for folder in (left, young):
        folder.mkdir(parents=True)
        (folder / "0.bin").touch()
    os.utime(left, (time.time() - 90_000,) * 2)
    load()
    assert not left.exists()
    assert young.exists()


def test_a_folder_that_cannot_be_written_to_is_told_with_its_key(load: Load, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(ConfigError, match=r"^paths\.cache_dir: .*cache cannot be written to .*data\.cache=never"):
        load()


def test_where_another_process_was_faster_its_table_stays(
    load: Load, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish = Store.publish

    def late(self: Store, key: str, columns: Any, manifest: dict[str, Any]) -> None:
        monkeypatch.setattr(Store, "publish", publish)
        load()  # the other one
        (tmp_path / "cache" / "tables" / key / "theirs").touch()
        publish(self, key, columns, manifest)

    monkeypatch.setattr(Store, "publish", late)
    assert len(load()) == 120
    (name,) = tables(tmp_path)
    assert (tmp_path / "cache" / "tables" / name / "theirs").exists()


def _load_in_a_process(path: str, cache: str, barrier: Any, results: Any) -> None:
    config = config_of(Path(path), "always")
    barrier.wait()
    table = load_table(config.data, config.active_targets, cache_dir=cache)
    results.put((len(table), float(table.prices["close"].sum())))


def test_processes_that_make_the_same_table_at_once_all_get_it(load: Load, tmp_path: Path) -> None:
    barrier, results = CONTEXT.Barrier(2), CONTEXT.Queue()
    arguments = (str(tmp_path / "t.csv"), str(tmp_path / "cache"), barrier, results)
    processes = [CONTEXT.Process(target=_load_in_a_process, args=arguments) for _ in range(2)]
    for process in processes:
        begin(process)
    found = [results.get(timeout=120) for _ in processes]
    for process in processes:
        process.join()
    table = load("never")
    assert found == [(120, float(table.prices["close"].sum()))] * 2
    assert len(tables(tmp_path)) == 1


def test_the_cache_lies_where_it_is_configured_or_where_caches_lie(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder("x") == Path("x")
    assert cache_folder(None) == Path("/home/me/.cache/hybrid_trainer")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder(None) == Path("/caches/hybrid_trainer")


def test_a_manifest_says_which_version_wrote_it(load: Load, tmp_path: Path) -> None:
    load()
    (name,) = tables(tmp_path)
    assert json.loads((tmp_path / "cache" / "tables" / name / "manifest.json").read_text())["version"] == store.VERSION
