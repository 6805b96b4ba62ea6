"""Tables of the accuracies of many models, as others publish them."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from kdtheory._validation import require_bool


@dataclass(frozen=True, eq=False)
class Testbed:
    """Accuracies of models on reference data and on shifted data; `read_testbed` makes it.

    Attributes
    ----------
    names : tuple of n str
        Of the models, in the order of the file.
    reference : array of shape (n,)
        Accuracies as shares, in [0, 1].
    shifted : dict of str to array of shape (n,)
        The same on shifted data, by column.
    dropped : tuple of str
        Models that were left out, as they have no accuracy in one of the columns.
    """

    __test__ = False  # pytest takes classes of such names for tests

    names: tuple[str, ...]
    reference: np.ndarray
    shifted: dict[str, np.ndarray]
    dropped: tuple[str, ...]


def read_testbed(
    path: str | PathLike[str],
    *,
    reference: str,
    shifted: str | Sequence[str],
    name: str = "model",
    percent: bool = False,
    drop_incomplete: bool = False,
) -> Testbed:
    """Read accuracies of many models from a CSV file with a heading and one line for each model.

    Parameters
    ----------
    path : str or path
        Of text in UTF-8, with commas between the cells.
    reference : str
        Column of the accuracies on reference data.
    shifted : str or sequence of str
        Column or columns of the accuracies on shifted data. Other columns of the file do not matter.
    name : str, default "model"
        Column of the names of the models.
    percent : bool, default False
        Whether the file has percents, from 0 to 100, in place of shares. It is never guessed.
    drop_incomplete : bool, default False
        Whether to leave out models with an empty cell in one of these columns. By default that is an error.

    Returns
    -------
    Testbed

    Raises
    ------
    OSError
        When the file cannot be opened.
    ValueError, TypeError
        For columns that are missing or there twice, lines of another length than the heading, empty cells, text in
        place of a number, numbers out of range, models without a name or with the name of another, a file without
        models, and what is no such file; with the file, the line, the column and the value.

    Notes
    -----
    Reads `robustness_top1s.csv` of the testbed of Taori et al. (2020), in percents: `val` is ImageNet and
    `imagenetv2-matched-frequency-format-val` ImageNetV2, as in figure 9 of Pham et al. (2022).

    Examples
    --------
    >>> with open("testbed.csv", "w") as file:
    ...     csv.writer(file).writerows([["model", "top-1", "shift"], ["resnet", 76.1, 63.3], ["vgg", 71.6, 58.8]])
    >>> testbed = read_testbed("testbed.csv", reference="top-1", shifted="shift", percent=True)
    >>> testbed.names, testbed.shifted["shift"]
    (('resnet', 'vgg'), array([0.633, 0.588]))
    """
    columns = [shifted] if isinstance(shifted, str) else list(shifted)
    for argument, column in [("reference", reference), ("name", name), *(("shifted", each) for each in columns)]:
        if not isinstance(column, str):
            raise TypeError(f"{argument} must be the heading of a column, got {column!r}")
    if not columns:
        raise ValueError("shifted must name one column or more, got none")
    wanted = [name, reference, *columns]
    if len(set(wanted)) < len(wanted):
        raise ValueError(f"name, reference and shifted must be different columns, got {wanted}")
    largest = 100.0 if require_bool("percent", percent) else 1.0
    require_bool("drop_incomplete", drop_incomplete)

    file = Path(path)
    lines = _lines(file)
    places = _places(file, lines, wanted)
    width = len(lines[0][1])
    rows: dict[str, list[float]] = {}
    seen: dict[str, int] = {}
    dropped = []
    for line, cells in lines[1:]:
        if len(cells) != width:
            raise ValueError(f"{file}, line {line}: must have {width} cells, as the heading has, got {len(cells)}")
        model = cells[places[name]].strip()
        if not model:
            raise ValueError(f"{file}, line {line}, column {name!r}: must have the name of a model, got an empty cell")
        if model in seen:
            raise ValueError(
                f"{file}, line {line}, column {name!r}: must differ from the other names, got {model!r}, which is on"
                f" line {seen[model]} as well"
            )
        seen[model] = line
        values = [_number(file, line, column, cells[places[column]], largest) for column in wanted[1:]]
        complete = [value for value in values if value is not None]
        if len(complete) == len(values):
            rows[model] = complete
        elif drop_incomplete:
            dropped.append(model)
        else:
            empty = wanted[1:][values.index(None)]
            raise ValueError(
                f"{file}, line {line}, column {empty!r}: must have an accuracy for {model!r}, got an empty cell;"
                " drop_incomplete=True leaves such models out"
            )
    if not rows:
        raise ValueError(f"{file} must have a model with an accuracy in each of {wanted[1:]}, got {len(seen)} models")
    table = np.array(list(rows.values())) / largest
    return Testbed(
        names=tuple(rows),
        reference=table[:, 0].copy(),
        shifted={column: table[:, number].copy() for number, column in enumerate(columns, 1)},
        dropped=tuple(dropped),
    )


def _lines(file: Path) -> list[tuple[int, list[str]]]:
    """Lines with cells, each with its number in the file."""
    with file.open(encoding="utf-8-sig", newline="") as text:
        reader = csv.reader(text, strict=True)
        try:
            lines = [(reader.line_num, cells) for cells in reader if any(cell.strip() for cell in cells)]
        except UnicodeDecodeError as error:
            raise ValueError(f"{file} must be text in UTF-8, got {error}") from error
        except csv.Error as error:
            raise ValueError(
                f"{file}, line {reader.line_num}: must be cells with commas between them, got {error}"
            ) from error
    if not lines:
        raise ValueError(f"{file} must have a heading and a line for each model, got an empty file")
    return lines


def _places(file: Path, lines: list[tuple[int, list[str]]], wanted: list[str]) -> dict[str, int]:
    line, cells = lines[0]
    heading = [cell.strip() for cell in cells]
    for column in wanted:
        if heading.count(column) != 1:
            found = "it twice" if column in heading else _shown(heading)
            raise ValueError(f"{file}, line {line}: must have one column {column!r}, got {found}")
    return {column: heading.index(column) for column in wanted}


def _shown(heading: list[str]) -> str:
    shown = ", ".join(map(repr, heading[:8]))
    return f"{shown} and {len(heading) - 8} more" if len(heading) > 8 else shown


def _number(file: Path, line: int, column: str, cell: str, largest: float) -> float | None:
    text = cell.strip()
    if not text:
        return None
    try:
        value = math.nan if "_" in text else float(text)
    except ValueError:
        value = math.nan
    if not 0.0 <= value <= largest:
        rule = "a percent from 0 to 100" if largest == 100.0 else "a share from 0 to 1"
        hint = "; percent=True reads percents" if largest == 1.0 and 1.0 < value <= 100.0 else ""
        raise ValueError(f"{file}, line {line}, column {column!r}: must be {rule}, got {text!r}{hint}")
    return value
