"""Where a CSV file is broken, said line by line."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from hybrid_trainer.data import csv_diagnosis
from hybrid_trainer.errors import TableError


def write(folder: Path, content: str | bytes, name: str = "t.csv") -> Path:
    path = folder / name
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def faults(path: Path, numbers: list[str]) -> list[str]:
    with pytest.raises(TableError) as caught:
        csv_diagnosis.raise_faults(path, numbers, "polars says so")
    return str(caught.value).replace(f"{path}", path.name).splitlines()


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
    assert csv_diagnosis.header(write(tmp_path, text, name)) == names


def test_a_name_that_stands_in_the_header_twice_is_told(tmp_path: Path) -> None:
    said = header_fault(write(tmp_path, "a,b,a,b\n"))
    assert said == "t.csv:1: the column name 'a' stands in the header twice; names must differ"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
@pytest.mark.parametrize("text", ["", "\n", "\n\n"])
def test_an_empty_header_is_told(tmp_path: Path, text: str, name: str) -> None:
    assert header_fault(write(tmp_path, text, name)) == f"{name}:1: the header line is empty; it must name the columns"


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_the_first_line_that_is_not_utf_8_is_told_with_its_byte(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, "a,b\n1,2\n1,größe\n".encode("latin-1"), name)
    assert header_fault(path) == f"{name}:3: not UTF-8 (byte 0xf6); save the file as UTF-8"
    far = write(tmp_path, b"a,b\n" + b"1,2\n" * 50_000 + b"1,\xff\n", f"far-{name}")
    assert faults(far, ["a"]) == [f"far-{name}:50002: not UTF-8 (byte 0xff); save the file as UTF-8"]


@pytest.mark.parametrize("name", ["t.csv", "t.csv.gz"])
def test_every_ragged_row_and_every_text_in_a_number_column_is_told(tmp_path: Path, name: str) -> None:
    text = "a,b,c\n1,2,3\nx,2,3\n1,2\n1,2,3,4\n,y,z\n"
    assert faults(write(tmp_path, text, name), ["b", "a"]) == [
        f"{name}:3: column 'a': 'x' is not a number",
        f"{name}:4: 2 field(s) where the header has 3",
        f"{name}:5: 4 field(s) where the header has 3",
        f"{name}:6: column 'b': 'y' is not a number",
    ]


def test_ten_faults_are_shown_and_the_others_counted(tmp_path: Path) -> None:
    found = faults(write(tmp_path, "a\n" + "x\n" * 14), ["a"])
    assert len(found) == 11
    assert found[9:] == ["t.csv:11: column 'a': 'x' is not a number", "4 more such rows"]
    assert len(faults(write(tmp_path, "a\n" + "x\n" * 10), ["a"])) == 10


@pytest.mark.parametrize("number", ["1", "-1.5", "1e5", "+.5", "nan", "inf"])
def test_what_python_reads_as_a_number_is_none_of_the_faults(tmp_path: Path, number: str) -> None:
    assert faults(write(tmp_path, f"a\n{number}\nx\n"), ["a"]) == ["t.csv:3: column 'a': 'x' is not a number"]


def test_where_no_fault_is_found_the_readers_own_words_are_shown(tmp_path: Path) -> None:
    assert faults(write(tmp_path, "a\n1\n"), ["a"]) == ["t.csv: not a CSV file that can be read (polars says so)"]


def test_a_quoted_line_break_counts_as_a_line_of_the_file(tmp_path: Path) -> None:
    text = 'a,b\n1,"two\nlines"\nx,y\n'
    assert faults(write(tmp_path, text), ["a"]) == ["t.csv:4: column 'a': 'x' is not a number"]


def test_the_line_of_each_row_is_known_unless_a_row_is_ragged(tmp_path: Path) -> None:
    path = write(tmp_path, 'a,b\n,\nx,\n\n1,"2\n3"\n4,5\n')
    assert csv_diagnosis.row_lines(path).tolist() == [2, 3, 6, 7]  # a row is told by the last of its lines
    with pytest.raises(TableError) as caught:
        csv_diagnosis.row_lines(write(tmp_path, "a,b\n1\n1,2\n1,2,3\n"))
    assert [line.partition("t.csv:")[2] for line in str(caught.value).splitlines()] == [
        "2: 1 field(s) where the header has 2",
        "4: 3 field(s) where the header has 2",
    ]


def test_a_gz_file_that_is_none_or_is_cut_off_is_told(tmp_path: Path) -> None:
    plain = tmp_path / "plain.csv.gz"
    plain.write_text("a,b\n1,2\n")
    assert header_fault(plain).endswith("not a CSV file that can be read (Not a gzipped file (b'a,'))")
    cut = tmp_path / "cut.csv.gz"
    cut.write_bytes(gzip.compress(b"a,b\n" + b"1,2\n" * 9000)[:-20])
    (said,) = faults(cut, ["a"])
    assert "not a CSV file that can be read (Compressed file ended before" in said


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
    assert csv_diagnosis.header(path) == ["a", "b"]


def test_a_number_with_an_underscore_is_a_text(tmp_path: Path) -> None:
    assert faults(write(tmp_path, "a\n1_000\n"), ["a"]) == ["t.csv:2: column 'a': '1_000' is not a number"]
