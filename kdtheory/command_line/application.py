"""Commands of the command line: thin, each reads files, makes one call and writes files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer

import kdtheory
from kdtheory.command_line._errors import named_as_given, one_line_errors
from kdtheory.command_line.advise import advise
from kdtheory.command_line.reproduce import reproduce

app: typer.Typer = typer.Typer(
    help="Closed forms for knowledge distillation, the papers' figures, and how students compare with teachers.",
    add_completion=True,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

app.command()(reproduce)
app.command()(advise)

_FILE = "a .npy file, a .npz file (or FILE:NAME for one of its arrays) or a .csv file"


@app.command()
def version() -> None:
    """Print the version."""
    typer.echo(kdtheory.__version__)


@app.command()
def report(
    teacher: Annotated[str, typer.Argument(metavar="TEACHER", help=f"Logits of the teacher: {_FILE}.")],
    student: Annotated[str, typer.Argument(metavar="STUDENT", help="Logits of the student, for the same points.")],
    labels: Annotated[str, typer.Argument(metavar="LABELS", help="One class for each point, counted from 0.")],
    control: Annotated[
        list[str] | None,
        typer.Option(metavar="FILE", help="Logits of a student of another teacher; may be given several times."),
    ] = None,
    output: Annotated[
        str, typer.Option(metavar="FILE", help="Page to write; its numbers go beside it, with the ending .json.")
    ] = "report.html",
    temperature: Annotated[float, typer.Option(metavar="T", help="Divides all logits.")] = 1.0,
    quantile: Annotated[
        float,
        typer.Option(metavar="SHARE", help="Share of the points at either end, up to 0.5, that slopes are fitted to."),
    ] = 0.25,
    bins: Annotated[int, typer.Option(metavar="N", help="Bins of the reliability diagrams.")] = 15,
    seed: Annotated[int, typer.Option(metavar="N", help="Of the resamples behind intervals.")] = 0,
    title: Annotated[str | None, typer.Option(metavar="TEXT", help="Heading of the page; default: the files.")] = None,
) -> None:
    """Write a page that compares a student with its teacher, from their logits."""
    with one_line_errors():
        from kdtheory.report import read_labels, read_logits  # drawing takes seconds to load: others need not
        from kdtheory.report import report as compare
        from kdtheory.report.output import require_page_path, require_writable

        page = require_page_path(output)
        require_writable(page)
        teacher_logits, student_logits, classes = read_logits(teacher), read_logits(student), read_labels(labels)
        control_logits = _stacked([read_logits(each) for each in control or []], control or [])
        given = {name: f"--{name}" for name in ("temperature", "quantile", "seed", "title")} | {"n_bins": "--bins"}
        files = {"teacher_logits": teacher, "student_logits": student, "labels": labels}
        with named_as_given({**given, **files, "control_logits": ", ".join(control or [])}):
            result = compare(
                teacher_logits,
                student_logits,
                classes,
                control_logits=control_logits,
                temperature=temperature,
                quantile=quantile,
                n_bins=bins,
                seed=seed,
                title=f"{_name(student)} and its teacher {_name(teacher)}" if title is None else title,
            )
        result.save(page)
    typer.echo("\n".join([*result.summary, f"{page}", f"{page.with_suffix('.json')}"]))


def _stacked(arrays: list[np.ndarray], sources: list[str]) -> np.ndarray | None:
    """All controls in one array, from files of one or of several each."""
    if not arrays:
        return None
    stacks = [array[None] if array.ndim == 2 else array for array in arrays]
    for stack, source in zip(stacks, sources, strict=True):
        if stack.ndim != 3 or stack.shape[1:] != stacks[0].shape[1:]:
            raise ValueError(
                f"{source} must hold logits of the points and classes of the other controls, of shape"
                f" {stacks[0].shape[1:]}, got shape {stack.shape[1:] if len(stack.shape) == 3 else stack.shape}"
            )
    return np.concatenate(stacks)


def _name(source: str) -> str:
    """Name of a file in a heading."""
    return "".join(letter for letter in Path(source).name if letter.isprintable())[:80]
