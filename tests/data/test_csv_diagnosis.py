"""Where a CSV file is broken, said line by line."""

from __future__ import annotations

import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hybrid_trainer.data import csv_diagnosis
from hybrid_trainer.data.checks import Problems
from hybrid_trainer.errors import TableError
from tests.data.tables import SOME_EXAMPLES


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(path: Path, columns: list[str] | None = None) -> tuple[list[tuple[str | None, ...]], list[int], list[str]]:
    """Rows, their lines, and what is wrong, in the words of the careful reader."""
    names, said = csv_diagnosis.header(path)
    problems = Problems(str(path))
    rows: list[tuple[str | None, ...]] = []
    lines: list[int] = []
    for frame, line in csv_diagnosis.careful_blocks(path, names, columns or names, problems):
        assert len(frame) == len(line)
        rows += frame.rows()
        lines += line.tolist()
    return rows, lines, [text.replace(f"{path}", path.name) for text in [*said, *problems.lines]]


def faults(path: Path) -> list[str]:
    return read(path)[2]


def header_fault(path: Path) -> str:
    with pytest.raises(TableError) as caught:
        csv_diagnosis.header(path)
    return str(caught.value).replace(f"{path}", path.name)


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a,b\n1,2\n", ["a", "b"]),
        ("a,b", ["a", "b"]),
        ("\ufeffa,b\r\n1,2\r\n", ["a", "b"]),
        ('"a, x","b ""y"""\n', ["a, x", 'b "y"']),
        ("größe,b\n", ["größe", "b"]),
    ],
)
def test_the_header_names_the_columns(tmp_path: Path, text: str, names: list[str], name: str) -> None:
    assert csv_diagnosis.header(write(tmp_path, text, name)) == (names, [])


def test_every_name_that_stands_in_the_header_twice_is_told(tmp_path: Path) -> None:
    names, said = csv_diagnosis.header(write(tmp_path, "\na,b,a,b,a\n"))
    assert names == ["a", "b", "a", "b", "a"]
    assert [text.partition("t.csv:")[2] for text in said] == [
        "2: the column name 'a' stands in the header twice; names must differ",
        "2: the column name 'b' stands in the header twice; names must differ",
    ]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("text", ["", "\n", "\n\n"])
def test_an_empty_header_is_told(tmp_path: Path, text: str, name: str) -> None:
    assert header_fault(write(tmp_path, text, name)) == f"{name}:1: the header line is empty; it must name the columns"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_bytes_that_are_not_utf_8_are_told_with_their_lines(tmp_path: Path, name: str) -> None:
    said = "not UTF-8 (byte 0x{}); save the file as UTF-8"
    path = write(tmp_path, b"a,b\n1,2\n1,gr\xf6\xdfe\n3,\xc3\xa4\n", name)
    assert read(path) == ([("1", "2"), ("3", "ä")], [2, 4], [f"{name}:3: {said.format('f6')}"])
    assert header_fault(write(tmp_path, b"a,\xf6\n1,2\n", name)) == f"{name}:1: {said.format('f6')}"
    far = write(tmp_path, b"a,b\n" + b"1,2\n" * 50_000 + b"1,\xff\n", f"far-{name}")
    assert faults(far) == [f"far-{name}:50002: {said.format('ff')}"]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_every_ragged_row_is_told_and_the_sound_ones_are_read(tmp_path: Path, name: str) -> None:
    text = "a,b,c\n1,2,3\nx,2,3\n1,2\n1,2,3,4\n,y,z\n"
    assert read(write(tmp_path, text, name), ["c", "a"]) == (
        [("3", "1"), ("3", "x"), ("z", None)],
        [2, 3, 6],
        [f"{name}:4: 2 field(s) where the header has 3", f"{name}:5: 4 field(s) where the header has 3"],
    )


def test_blank_lines_and_quoted_line_breaks_count_as_lines_of_the_file(tmp_path: Path) -> None:
    path = write(tmp_path, '\n\r\na,b\r\n,\nx,\n\n1,"2\n3"\n4,"5,""\n"')
    rows = [(None, None), ("x", None), ("1", "2\n3"), ("4", '5,"\n')]
    assert read(path) == (rows, [4, 5, 8, 10], [])  # a row is told by the last of its lines


def test_a_quotation_mark_without_its_partner_costs_its_own_line_alone(tmp_path: Path) -> None:
    said = 'a quotation mark without its partner; quote a whole cell, and write "" in it'
    assert read(write(tmp_path, 'a,b\n1,2\nx"y,3\n4,5\n6\n')) == (
        [("1", "2"), ("4", "5")],
        [2, 4],
        [f"t.csv:3: {said}", "t.csv:5: 1 field(s) where the header has 2"],
    )


CELLS = st.text(alphabet='ab,"\n ä€', max_size=5)


@SOME_EXAMPLES
@given(
    table=st.lists(st.tuples(CELLS, CELLS, CELLS), max_size=12),
    block=st.sampled_from([1, 7, 64, 1 << 20]),
)
def test_what_python_writes_is_read_back_whatever_the_size_of_a_block(
    tmp_path_factory: pytest.TempPathFactory, table: list[tuple[str, str, str]], block: int
) -> None:
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    lines = []
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        line = 1
        for row in [("a", "b", "c"), *table]:
            writer.writerow(row)
            line += 1 + sum(cell.count("\n") for cell in row)
            lines.append(line - 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_diagnosis, "_BLOCK", block)
        rows, found, said = read(path)
    assert ([tuple(cell or "" for cell in row) for row in rows], found, said) == (table, lines[1:], [])


def test_a_gz_file_that_is_none_or_is_cut_off_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv.gz"
    plain.write_text("a,b\n1,2\n")
    assert header_fault(plain).endswith("not a CSV file that can be read (Not a gzipped file (b'a,'))")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 9000)[:-20])
    with pytest.raises(TableError, match=r"not a CSV file that can be read \(Compressed file ended before"):
        read(cut)


def test_a_gz_file_whose_content_is_damaged_is_told(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.csv.gz"
    damaged.write_bytes(gzip.compress(b"")[:10] + b"\xff" * 50)
    assert "not a CSV file that can be read" in header_fault(damaged)


def test_a_gz_file_that_is_none_has_no_line_zero(tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv.gz"
    plain.write_text("a,b\n1,2\n")
    assert not header_fault(plain).startswith("plain.csv.gz:0:")


def test_the_suffix_is_read_in_any_case(tmp_path: Path) -> None:
    path = tmp_path / "T.CSV.GZ"
    path.write_bytes(gzip.compress(b"a,b\n1,2\n"))
    assert csv_diagnosis.header(path) == (["a", "b"], [])
