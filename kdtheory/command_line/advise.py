"""The command `kdtheory advise`: a table in, a verdict, a model and a picture out."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from kdtheory.command_line._errors import named_as_given, one_line_errors


def advise(
    data: Annotated[
        Path, typer.Argument(metavar="DATA", help="A .csv file with a header, compressed if it ends in .gz.")
    ],
    target: Annotated[str, typer.Option(metavar="COLUMN", help="The column to predict: numbers.")],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where to write model.skops, advice.json and advice.png.")
    ] = Path("advice"),
    drop: Annotated[
        list[str] | None, typer.Option(metavar="COLUMN", help="A column to leave out; may be given several times.")
    ] = None,
    rows: Annotated[int, typer.Option(metavar="N", help="Most rows to use; of longer files a sample is drawn.")] = 2000,
    steps: Annotated[int, typer.Option(metavar="N", help="Largest number of fits to try.")] = 10,
    outer_folds: Annotated[
        int, typer.Option(metavar="K", help="Judge all of it, choices included, in K folds; takes K times as long.")
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="N", help="Of samples and folds.")] = 0,
) -> None:
    """Say whether self-distillation helps on a table, and fit the best kernel ridge regression to it.

    For example: kdtheory advise houses.csv --target price --drop id --out houses
    """
    with one_line_errors():  # the imports take seconds, which other commands need not
        from kdtheory.advice import advise as advised
        from kdtheory.advice import make_table, read_rows
        from kdtheory.advice.output import staging, write_advice

        options = {name: f"--{name}" for name in ("target", "drop", "seed")}
        options |= {"most_rows": "--rows", "n_steps": "--steps", "n_outer_folds": "--outer-folds"}
        with staging(out) as place, named_as_given(options):
            read = read_rows(data, most_rows=rows, seed=seed)
            table = make_table(read, target, drop=drop or [])
            advice = advised(table, n_steps=steps, n_outer_folds=outer_folds, seed=seed, verbose=sys.stderr.isatty())
            names = [file.name for file in write_advice(advice, place)]
    how = "".join(f", {name}={value!r}" for name, value in read.options.items())
    lines = [
        *advice.summary,
        "",
        *(str(out / name) for name in names),
        "",
        "In Python:",
        "    import pandas",
        "    from kdtheory.estimators import load",
        f"    load({str(out / 'model.skops')!r}).predict(pandas.read_csv({str(data)!r}{how}))",
    ]
    typer.echo("\n".join(lines))
