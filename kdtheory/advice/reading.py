"""Rows of a text file of columns: its separator found, and a sample of bounded size where it is long."""

from __future__ import annotations

import bz2
import csv
import errno
import gzip
import io
import lzma
import os
import re
import warnings
import zlib
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any, BinaryIO, SupportsIndex

import numpy as np
import pandas as pd

from kdtheory._validation import require_generator, require_positive_integer

_SEPARATORS = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}
_OPENERS = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_HEAD = 2**16
_ROWS_AT_ONCE = 50_000
_COMMA_NUMBER = r"\s*[-+]?(?:\d{1,3}(?:\.\d{3})+|\d+)(?:,\d*)?(?:[eE][-+]?\d+)?\s*"
"""With a decimal comma, and points between thousands alone; any other point would be read as such in silence."""

_DECIMAL_COMMA = re.compile(r"(?:^|;)\s*[-+]?\d+,\d+\s*(?:;|$)")


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of a file, in their order; made by `read_rows`.

    Attributes
    ----------
    frame : pandas.DataFrame
        The index is the number of each row in the file, counted from 1 without the header.
    n_rows : int
        How many rows the file has.
    options : dict of str
        What `pandas.read_csv` must be told to read the file.
    """

    frame: Any
    n_rows: int
    options: dict[str, Any]


def read_rows(path: str | PathLike[str], *, most_rows: SupportsIndex = 2000, seed: Any = 0) -> Rows:
    r"""Read a file of columns with a header, separated by commas, semicolons, tabs or bars.

    Parameters
    ----------
    path : str or path
        Text in UTF-8; with the ending .gz, .bz2 or .xz compressed. Numbers may have decimal commas between semicolons,
        and points between thousands then.
    most_rows : int, default 2000
        Of a longer file so many rows are drawn, all with the same chance; memory does not grow with the file.
    seed : int or numpy.random.Generator, default 0
        Of that draw.

    Returns
    -------
    Rows

    Raises
    ------
    OSError
        When the file cannot be opened or read.
    ValueError
        When it holds anything else than that, or a column has no name of its own.

    See Also
    --------
    pandas.read_csv : reads every row.

    Examples
    --------
    >>> from pathlib import Path
    >>> _ = Path("data.csv").write_text("x;y\n1,5;2\n2,5;3\n")
    >>> read_rows("data.csv").frame["x"].tolist()
    [1.5, 2.5]
    """
    file, count, generator = (
        Path(path),
        require_positive_integer("most_rows", most_rows),
        require_generator("seed", seed),
    )
    if file.exists() and not file.is_file():
        reason = errno.EISDIR if file.is_dir() else errno.EINVAL
        raise OSError(reason, os.strerror(reason), str(file))
    opener: Any = _OPENERS.get(file.suffix.lower(), open)
    try:
        with opener(file, "rb") as stream:
            options = _options(stream.read(_HEAD), file)
        with opener(file, "rb") as stream:
            frame, total = _sample(stream, options, count, generator)
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} must be text in UTF-8, got other bytes: save it as UTF-8") from error
    except pd.errors.ParserError as error:
        raise ValueError(f"{file} must have as many fields in each row as in its header: {error}") from error
    except pd.errors.ParserWarning as error:
        raise ValueError(f"{file} must have as many fields in each row as in its header, got more") from error
    except (EOFError, OSError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of the system, not of a decompressor
            raise
        raise ValueError(f"{file} must be a whole compressed file, got one that is damaged: {error}") from error
    if total == 0:
        raise ValueError(f"{file} must have rows below its header, got none")
    if "decimal" in options:
        frame = _with_commas(frame.copy(), options)
    return Rows(frame, total, options)


def _options(head: bytes, file: Path) -> dict[str, Any]:
    """Separator and decimal sign where they are not the usual ones, from the first lines."""
    if not head.strip():
        raise ValueError(f"{file} must have a header and rows, got an empty file")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise ValueError(f"{file} must be text in UTF-8, got UTF-16: save it as UTF-8")
    if b"\0" in head:
        raise ValueError(f"{file} must be a text file of columns, got a binary one")
    whole_lines = head[: head.rfind(b"\n") + 1] if len(head) == _HEAD else head
    lines = [line for line in whole_lines.decode("utf-8-sig").splitlines() if line.strip()]
    if not lines:
        raise ValueError(f"{file} must have a header and rows, got one line of more than {_HEAD} bytes")
    plain = re.sub(r'"[^"]*"', "", lines[0])
    separator = max(_SEPARATORS, key=plain.count)
    if plain.count(separator) == 0:
        raise ValueError(
            f"{file} must have two columns or more, with {', '.join(_SEPARATORS.values())} between them, got the header"
            f" {lines[0][:60]!r}"
        )
    _require_names(next(csv.reader(io.StringIO(lines[0]), delimiter=separator, skipinitialspace=True)), file)
    options: dict[str, Any] = {} if separator == "," else {"sep": separator}
    if separator == ";" and any(_DECIMAL_COMMA.search(line) for line in lines[1:]):
        options["decimal"] = ","
    return options | ({"skipinitialspace": True} if f"{separator} " in plain else {})


def _require_names(names: list[str], file: Path) -> None:
    if all(_is_number(name) for name in names):
        raise ValueError(f"{file} must have names of columns in its first line, got numbers: {names[0]!r} first")
    named = [name for name in names if name.strip()]
    for name in named:
        if named.count(name) > 1:
            raise ValueError(f"{file} must name every column once, got {name!r} {named.count(name)} times")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _sample(stream: BinaryIO, options: dict[str, Any], count: int, generator: np.random.Generator) -> tuple[Any, int]:
    """At most so many rows, those with the smallest of random keys, and how many there are in all."""
    kept, keys, total = pd.DataFrame(), np.zeros(0), 0
    how = {name: value for name, value in options.items() if name != "decimal"}
    if "decimal" in options:
        how["dtype"] = str  # for points may be those of thousands, or of other decimals
    strict = {"index_col": False, "low_memory": False, "encoding": "utf-8-sig", "chunksize": _ROWS_AT_ONCE}
    with warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)
        with pd.read_csv(stream, **strict, **how) as chunks:
            for chunk in chunks:
                chunk.index = np.arange(total + 1, total + len(chunk) + 1)
                total += len(chunk)
                keys = np.concatenate([keys, generator.random(len(chunk))])
                kept = pd.concat([kept, chunk]) if len(kept) else chunk
                if len(kept) > count:
                    smallest = np.sort(np.argpartition(keys, count)[:count])
                    kept, keys = kept.iloc[smallest], keys[smallest]
    return kept, total


def _with_commas(frame: Any, options: dict[str, Any]) -> Any:
    """Turn columns of texts into numbers where all of them are such with decimal commas."""
    for name in frame.columns:
        texts = frame[name].dropna()
        if texts.str.fullmatch(_COMMA_NUMBER).all():
            if texts.str.contains(".", regex=False).any():
                options["thousands"] = "."
            plain = frame[name].str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
            frame[name] = plain.astype(float)
    return frame
