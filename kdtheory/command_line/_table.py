"""Published numbers beside those found here: a table for a terminal, and files."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from kdtheory.command_line._drawing import Outcome
from kdtheory.command_line._targets import Target
from kdtheory.reproduced import CONTRADICTED, MET, NOT_MET, OPEN, REPRODUCED, Reproduced

Numbers = Mapping[str, Sequence[Reproduced]]
"""By target."""

_STYLES = {MET: "green", REPRODUCED: "green", NOT_MET: "bold red", CONTRADICTED: "red", OPEN: "dim"}


def summary(numbers: Numbers) -> Group:
    """Put published numbers beside those found here, in a part for each target that has any.

    Parameters
    ----------
    numbers : mapping of str to sequence of Reproduced

    Returns
    -------
    rich.console.Group
        To be printed, from a width of about 70 characters on.
    """
    heads = _table()
    heads.add_row(*(Text(head, style="bold") for head in ("quantity", "published", "here", "verdict")))
    parts: list[RenderableType] = [heads, Rule(characters="─", style="dim")]
    for target, rows in numbers.items():
        if rows:
            parts.append(Text(target, style="bold"))
        for source, some in groupby(rows, key=lambda row: row.source):
            table = _table()
            for row in some:
                quantity = Padding(Text(row.quantity), (0, 0, 0, 2))
                verdict = Text(row.verdict, style=_STYLES.get(row.verdict, "yellow"))
                table.add_row(quantity, Text(row.published), Text(written(row)), verdict)
            parts += [Padding(Text(source, style="italic dim"), (0, 0, 0, 1)), table]
        if rows:
            parts.append(Text())
    return Group(*parts)


def _table() -> Table:
    """Give an empty table with the columns that all of them share."""
    table = Table.grid(padding=(0, 1), expand=True)
    table.add_column(ratio=1)
    for width in (11, 16, 14):
        table.add_column(width=width)
    return table


def written(row: Reproduced) -> str:
    """Write what was found, with as many digits as are published, and its standard error.

    Examples
    --------
    >>> written(Reproduced("a loss", 0.164771, "0.16477", "Someone (2021)"))
    '0.16477'
    >>> written(Reproduced("a gain", 0.02, "> 0", "Someone (2021)", error=0.0035))
    '0.0200 ± 0.0035'
    """
    decimals = len(row.published.partition(".")[2]) if row.difference is not None else 4
    small = decimals == 0 or 0.0 < abs(row.here) < 0.5 * 10.0**-decimals
    return " ± ".join(f"{x:.3g}" if small else f"{x:.{decimals}f}" for x in (row.here, row.error) if x is not None)


def counted(numbers: Numbers) -> str:
    """Count the verdicts, in words."""
    verdicts = Counter(row.verdict or "without a verdict" for rows in numbers.values() for row in rows)
    total = sum(verdicts.values())
    return f"{total} numbers: " + ", ".join(f"{count} {verdict}" for verdict, count in verdicts.most_common())


def as_csv(numbers: Numbers) -> str:
    """Write one line for each number, with its target."""
    records = [{"target": target, **row.as_record()} for target, rows in numbers.items() for row in rows]
    fields = ["target", "quantity", "here", "published", "source", "error", "tolerance", "difference", "verdict"]
    text = io.StringIO()
    table = csv.DictWriter(text, fields, lineterminator="\n")
    table.writeheader()
    table.writerows(records)
    return text.getvalue()


def as_json(target: Target, size: str, figures: Sequence[str], outcome: Outcome) -> str:
    """Write a target with its figures and numbers, and how long it took."""
    record = {
        "target": target.name,
        "script": target.path.name,
        "title": target.title,
        "size": size,
        "seconds": round(outcome.seconds, 1),
        "figures": list(figures),
        "numbers": [row.as_record() for row in outcome.numbers],
    }
    return json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
