"""Logits and labels of reports from all kinds of files, and files that are refused."""

import re

import numpy as np
import pytest

from kdtheory.report import read_labels, read_logits
from tests.reports import logits


def test_logits_and_labels_come_from_all_kinds_of_files(tmp_path):
    teacher, _, labels, _ = logits(n=6)
    np.save(tmp_path / "a.npy", teacher)
    np.savez(tmp_path / "one.npz", teacher)
    np.savez_compressed(tmp_path / "two.npz", teacher=teacher, other=labels)
    np.savetxt(tmp_path / "plain.csv", teacher, delimiter=",", fmt="%.18e")
    np.savetxt(tmp_path / "named.csv", teacher, delimiter=",", fmt="%.18e", header="a,b,c,d,e", comments="")
    np.savetxt(tmp_path / "pandas.csv", teacher, delimiter=",", fmt="%.18e", header="0,1,2,3,4", comments="")
    (tmp_path / "excel.CSV").write_bytes(
        b"\xef\xbb\xbf" + (tmp_path / "named.csv").read_bytes().replace(b"\n", b"\r\n")
    )
    np.save(tmp_path / "with:colon.npy", teacher)
    for name in (
        "a.npy", "one.npz", "two.npz:teacher", "plain.csv", "named.csv", "pandas.csv", "excel.CSV", "with:colon.npy",
    ):  # fmt: skip
        np.testing.assert_array_equal(read_logits(f"{tmp_path}/{name}"), teacher)
    np.testing.assert_array_equal(read_logits(tmp_path / "a.npy"), teacher)
    np.savetxt(tmp_path / "labels.csv", labels, fmt="%d", header="label", comments="")
    np.savetxt(tmp_path / "floats.csv", labels, fmt="%.1f")
    np.save(tmp_path / "column.npy", labels[:, None].astype(np.uint8))
    for name in ("two.npz:other", "labels.csv", "floats.csv", "column.npy"):
        read = read_labels(f"{tmp_path}/{name}")
        assert read.dtype.kind in "iu"
        np.testing.assert_array_equal(read, labels)


def test_lines_of_whole_numbers_are_all_data(tmp_path):
    (tmp_path / "a.csv").write_text("0,1,2\n5,3,4\n")
    np.testing.assert_array_equal(read_logits(tmp_path / "a.csv"), [[0.0, 1.0, 2.0], [5.0, 3.0, 4.0]])


BAD_CSV = {
    "empty": ("", "no data"),
    "only a heading": ("a,b\n", "no data"),
    "ragged": ("1,2\n3\n", "number of columns"),
    "words": ("1,2\n3,x\n", "could not convert string 'x'"),
    "semicolons": ("1;2\n3;4\n", "could not convert string '3;4'"),
    "an index": (",0,1\n0,1.5,2\n", "to_csv(..., index=False)"),
    "a hole in the first line": ("1,,2\n1,2,3\n", "empty cell"),
    "a hole in another line": ("1,3,2\n1,,3\n", "could not convert string ''"),
    "names and numbers": ("id,1\n0,1\n", "names and numbers"),
}


@pytest.mark.parametrize("kind", BAD_CSV)
def test_a_csv_file_that_is_no_table_of_numbers_is_refused(kind, tmp_path):
    content, message = BAD_CSV[kind]
    file = tmp_path / "a.csv"
    file.write_text(content)
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        read_logits(file)
    assert str(caught.value).startswith(str(file))
    assert "\n" not in str(caught.value)


def test_files_that_are_no_arrays_are_refused(tmp_path):
    teacher, _, labels, _ = logits(n=6)
    np.save(tmp_path / "whole.npy", teacher)
    whole = (tmp_path / "whole.npy").read_bytes()
    np.savez(tmp_path / "whole.npz", teacher=teacher, labels=labels)
    archive = (tmp_path / "whole.npz").read_bytes()
    np.save(tmp_path / "objects.npy", np.array([{}, 1], dtype=object))
    np.savez(tmp_path / "objects.npz", a=np.array([{}, 1], dtype=object))
    contents = {
        "cut.npy": whole[:-9],
        "header.npy": whole[:40],
        "empty.npy": b"",
        "text.npy": b"hello",
        "pickle.npy": b"\x80\x04N.",
        "cut.npz": archive[: len(archive) // 2],
        "damaged.npz": archive[:200] + bytes(50) + archive[250:],
        "utf16.csv": "1,2".encode("utf-16"),
        "huge.npy": whole.replace(b"(6, 5), }" + b" " * 12, b"(60000000000, 50000), }"[:21]),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    for name in [*contents, "objects.npy", "objects.npz", "damaged.npz:teacher"]:
        with pytest.raises(ValueError, match=re.escape(str(tmp_path / name.partition(":")[0]))) as caught:
            read_logits(f"{tmp_path}/{name}")
        assert "\n" not in str(caught.value)
        assert "allow_pickle" not in str(caught.value)
    for name, message in (
        ("whole.npz", "must hold one array, or be followed by a colon and a name, got ['labels', 'teacher']"),
        ("whole.npz:x", "must hold an array named 'x', got ['labels', 'teacher']"),
        ("whole.npz:", "must hold an array named '', got ['labels', 'teacher']"),
        ("whole.npy:x", "holds one array without a name, got the name 'x'"),
        ("whole.txt", "must end in .npy, .npz or .csv, got '.txt'"),
    ):
        with pytest.raises(ValueError, match=re.escape(message)):
            read_logits(f"{tmp_path}/{name}")
    with pytest.raises(FileNotFoundError):
        read_logits(tmp_path / "missing.npy")


def test_labels_that_are_no_column_of_integers_are_refused(tmp_path):
    for content, message in (
        (np.array([0.0, 1.5]), "must hold integers, got 1.5 at index 1"),
        (np.array([0.0, np.nan]), "must hold integers, got nan at index 1"),
        (np.array([1e300, 0.0]), "must hold integers, got 1e+300 at index 0"),
        (np.zeros((3, 2)), "must hold one column of labels, got shape (3, 2)"),
    ):
        np.save(tmp_path / "labels.npy", content)
        with pytest.raises(ValueError, match=re.escape(message)):
            read_labels(tmp_path / "labels.npy")
