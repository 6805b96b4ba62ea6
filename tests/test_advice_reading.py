"""Rows of files: separators, samples of long files, and what is no table."""

import bz2
import gzip
import lzma
import os

import numpy as np
import pandas as pd
import pytest

from kdtheory.advice import reading
from kdtheory.advice.reading import read_rows

TEXT = "a,b\n1,2.5\n-3,4\n"


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path, separator):
    file = tmp_path / "data.csv"
    file.write_text(TEXT.replace(",", separator))
    rows = read_rows(file)
    assert rows.frame.to_dict("list") == {"a": [1, -3], "b": [2.5, 4.0]}
    assert (rows.n_rows, rows.frame.index.tolist()) == (2, [1, 2])
    assert pd.read_csv(file, **rows.options).equals(rows.frame.reset_index(drop=True))


def test_a_separator_within_quotes_does_not_count(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text('"a,b,c";d\n1;2\n')
    assert read_rows(file).frame.columns.tolist() == ["a,b,c", "d"]


def test_decimal_commas_are_read_between_semicolons(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("a;b\n1;2,5\n-3;0,25\n")
    rows = read_rows(file)
    assert rows.frame["b"].tolist() == [2.5, 0.25]
    assert rows.options == {"sep": ";", "decimal": ","}


def test_spaces_behind_commas_and_a_mark_of_utf_8_do_not_matter(tmp_path):
    file = tmp_path / "data.csv"
    file.write_bytes(b"\xef\xbb\xbfa, b\n1, x\n")
    assert read_rows(file).frame.to_dict("list") == {"a": [1], "b": ["x"]}
    assert read_rows(file).options == {"skipinitialspace": True}


@pytest.mark.parametrize(("ending", "opener"), [("gz", gzip.open), ("bz2", bz2.open), ("xz", lzma.open)])
def test_compressed_files_are_read_and_damaged_ones_refused(tmp_path, ending, opener):
    file = tmp_path / f"data.csv.{ending}"
    with opener(file, "wt") as stream:
        stream.write(TEXT * 1 + "5,6\n" * 100)
    assert read_rows(file).n_rows == 102
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(ValueError, match="must be a whole compressed file, got one that is damaged"):
        read_rows(file)
    file.write_text(TEXT)
    with pytest.raises(ValueError, match="must be a whole compressed file, got one that is damaged"):
        read_rows(file)


def test_of_a_long_file_every_row_is_drawn_with_the_same_chance(tmp_path, monkeypatch):
    monkeypatch.setattr(reading, "_ROWS_AT_ONCE", 7)
    file = tmp_path / "data.csv"
    pd.DataFrame({"a": range(40), "b": 0}).to_csv(file, index=False)
    counts = np.zeros(40)
    for seed in range(150):
        rows = read_rows(file, most_rows=10, seed=seed)
        drawn = rows.frame["a"].to_numpy()
        assert (rows.n_rows, len(drawn)) == (40, 10)
        assert np.all(np.diff(drawn) > 0)
        assert np.array_equal(rows.frame.index, drawn + 1)
        counts[drawn] += 1
    assert np.abs(counts / 150 - 0.25).max() < 5 * np.sqrt(0.25 * 0.75 / 150)
    assert read_rows(file, most_rows=10, seed=3).frame.equals(read_rows(file, most_rows=10, seed=3).frame)
    assert len(read_rows(file, most_rows=40).frame) == 40


BAD = {
    "an empty file": (b"", "must have a header and rows, got an empty file"),
    "blank lines": (b"\n \n", "must have a header and rows, got an empty file"),
    "a header alone": (b"a,b\n", "must have rows below its header, got none"),
    "a binary file": (b"PK\x03\x04\0\0,", "must be a text file of columns, got a binary one"),
    "another encoding": (b"a,b\n1,\xe9\n", "must be text in UTF-8, got other bytes: save it as UTF-8"),
    "another encoding, far down": (
        b"a,b\n" + b"1,2\n" * 30_000 + b"1,\xe9\n",
        "must be text in UTF-8, got other bytes: save it as UTF-8",
    ),
    "one column": (b"words of a text\nand more\n", "must have two columns or more, with comma, semicolon, tab, bar"),
    "no header": (b"1,2\n3,4\n", "must have names of columns in its first line, got numbers: '1' first"),
    "a name twice": (b"a,b,a\n1,2,3\n", "must name every column once, got 'a' 2 times"),
    "a longer row": (b"a,b\n1,2\n1,2,3\n", "must have as many fields in each row as in its header"),
    "longer rows": (b"a,b\n1,2,3\n1,2,3\n", "must have as many fields in each row as in its header"),
    "one endless line": (b"a," * 40_000, "got one line of more than 65536 bytes"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_table_is_refused_by_its_name(tmp_path, kind):
    content, message = BAD[kind]
    file = tmp_path / "data.csv"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        read_rows(file)
    assert str(file) in str(caught.value)


def test_what_is_no_file_is_refused_by_its_name(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_rows(tmp_path / "missing.csv")
    with pytest.raises(IsADirectoryError, match="Is a directory"):
        read_rows(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="Invalid argument"):
        read_rows(tmp_path / "pipe")


@pytest.mark.parametrize(
    ("options", "message"), [({"most_rows": 0}, "most_rows must be >= 1"), ({"seed": -1}, "seed must")]
)
def test_numbers_out_of_range_are_refused(tmp_path, options, message):
    (tmp_path / "data.csv").write_text(TEXT)
    with pytest.raises(ValueError, match=message):
        read_rows(tmp_path / "data.csv", **options)


def test_points_between_thousands_are_read_where_commas_are_decimal(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("x;z;n\n5.768;-0,586;1\n464;0,5;2\n1.234.567,25;3;\n")
    rows = read_rows(file)
    assert rows.frame["x"].tolist() == [5768.0, 464.0, 1234567.25]
    assert rows.frame["z"].tolist() == [-0.586, 0.5, 3.0]
    assert rows.frame["n"].isna().tolist() == [False, False, True]
    assert rows.options == {"sep": ";", "decimal": ",", "thousands": "."}
    assert pd.read_csv(file, **rows.options)["x"].tolist() == rows.frame["x"].tolist()


def test_decimal_points_beside_decimal_commas_stay_texts(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("x;z\n0.5;-0,586\n4.64;0,5\n")
    rows = read_rows(file)
    assert rows.frame["x"].tolist() == ["0.5", "4.64"]
    assert "thousands" not in rows.options


def test_utf_16_is_named(tmp_path):
    file = tmp_path / "data.csv"
    file.write_text("x,y\n1,2\n", encoding="utf-16")
    with pytest.raises(ValueError, match=r"must be text in UTF-8, got UTF-16: save it as UTF-8$"):
        read_rows(file)
