"""Reading logits and labels from files; whatever a file holds, no code of it is run."""

from __future__ import annotations

import csv
import os
import warnings
from collections.abc import Iterator
from itertools import chain
from os import PathLike
from pathlib import Path
from typing import IO

import numpy as np

_BINARY = (".npy", ".npz")
_LARGEST_INTEGER = 2.0**53
"""Doubles beyond this size are not exact integers."""


def read_logits(source: str | PathLike[str]) -> np.ndarray:
    """Read an array of logits from a file.

    Parameters
    ----------
    source : str or path
        A `.npy` file; a `.npz` file of one array, or with a colon and the name of one behind it, as in
        `logits.npz:student`; or a `.csv` file with one line for each point, and perhaps a heading.

    Returns
    -------
    array
        As it is in the file; a `.csv` file gives shape (n, n_columns).

    Raises
    ------
    OSError
        When the file cannot be opened.
    ValueError
        When it is of another kind, holds Python objects (pickles), is damaged or cut short, or has no array of that
        name.

    Notes
    -----
    A first line of names is a heading, and so is 0, 1, 2, … over numbers that are not all integers, as pandas writes
    it. An index that pandas writes, a column without a name, is refused.

    Examples
    --------
    >>> np.save("logits.npy", [[0.0, 1.0], [2.0, 0.0]])
    >>> read_logits("logits.npy")
    array([[0., 1.],
           [2., 0.]])
    """
    path, name = _split(source)
    suffix = path.suffix.lower()
    if suffix not in (*_BINARY, ".csv"):
        raise ValueError(f"{path} must end in .npy, .npz or .csv, got {path.suffix!r}")
    if suffix == ".csv":
        with path.open(encoding="utf-8-sig", newline="") as text:
            return _read_csv(path, text)
    with path.open("rb") as file:
        return _read_binary(path, file, name)


def read_labels(source: str | PathLike[str]) -> np.ndarray:
    r"""Read labels, one integer for each point, from a file.

    Parameters
    ----------
    source : str or path
        As for `read_logits`; a `.csv` file has one column.

    Returns
    -------
    array of n integers

    Raises
    ------
    OSError
        When the file cannot be opened.
    ValueError
        As for `read_logits`, and for anything else than one column of integers, which may be written as 3.0.

    Examples
    --------
    >>> _ = Path("labels.csv").write_text("1\n0\n")
    >>> read_labels("labels.csv")
    array([1, 0])
    """
    labels = read_logits(source)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1:
        raise ValueError(f"{source} must hold one column of labels, got shape {labels.shape}")
    if labels.dtype.kind != "f":
        return labels
    whole = (np.abs(labels) <= _LARGEST_INTEGER) & (labels == np.rint(labels))
    if not np.all(whole):
        where = int(np.argmin(whole))
        raise ValueError(f"{source} must hold integers, got {float(labels[where])!r} at index {where}")
    return labels.astype(np.int64)


def _split(source: str | PathLike[str]) -> tuple[Path, str | None]:
    """File and name of an array in it; a colon may be part of the name of a file."""
    text = os.fspath(source)
    head, colon, name = text.rpartition(":")
    if colon and Path(head).suffix.lower() in _BINARY and not Path(text).exists():
        return Path(head), name
    return Path(text), None


def _read_binary(path: Path, file: IO[bytes], name: str | None) -> np.ndarray:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers that Python 2 wrote
            content = np.load(file, allow_pickle=False)
    except Exception as error:  # what a damaged or made-up file leads to inside numpy is of every kind
        raise _unreadable(path, error) from error
    if isinstance(content, np.ndarray):
        if name is not None:
            raise ValueError(f"{path} holds one array without a name, got the name {name!r} for it")
        return content
    names = content.files
    if name is None and len(names) != 1:
        raise ValueError(f"{path} must hold one array, or be followed by a colon and a name, got {sorted(names)}")
    if name is not None and name not in names:
        raise ValueError(f"{path} must hold an array named {name!r}, got {sorted(names)}")
    try:
        array = content[names[0] if name is None else name]
    except Exception as error:  # as above
        raise _unreadable(path, error) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{path} must hold arrays, got {type(array).__name__}")
    return array


def _unreadable(path: Path, error: Exception) -> ValueError:
    what = "Python objects" if "pickle" in str(error) else _on_one_line(error)
    return ValueError(
        f"{path} must be a file that numpy.save or numpy.savez wrote, whole and without pickles, got {what}"
    )


def _read_csv(path: Path, text: IO[str]) -> np.ndarray:
    try:
        first = next((line for line in text if line.strip()), "")
        cells = next(csv.reader([first]), [])
        heading = _is_heading(cells)
        numbered = heading is False and len(cells) > 1 and cells == [str(column) for column in range(len(cells))]
        lines: Iterator[str] = text if heading else chain([first], text)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # of files without numbers
            values = np.loadtxt(lines, delimiter=",", comments=None, quotechar='"', ndmin=2)
    except (ValueError, UserWarning, MemoryError, csv.Error) as error:
        raise ValueError(
            f"{path} must hold lines of numbers with commas between them, got {_on_one_line(error)}"
        ) from error
    if numbered and np.any(values[1:] != np.rint(values[1:])):
        return values[1:]
    return values


def _is_heading(cells: list[str]) -> bool:
    names = [not _is_number(cell) for cell in cells]
    if any(names) and any(cell.strip() == "" for cell in cells):
        raise ValueError("a first line with an empty cell; pandas writes no index with to_csv(..., index=False)")
    if any(names) and not all(names):
        raise ValueError("a first line of names and numbers")
    return any(names)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _on_one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
