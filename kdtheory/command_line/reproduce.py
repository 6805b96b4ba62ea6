"""The command `kdtheory reproduce`: figures and numbers of the papers, beside what is published."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from kdtheory.command_line._errors import fail, one_line_errors
from kdtheory.command_line._progress import shown
from kdtheory.command_line._targets import ALL, Target, choose, find_targets

if TYPE_CHECKING:
    from kdtheory.command_line._drawing import Outcome

INTERRUPTED = 130


def complete_target(incomplete: str) -> list[tuple[str, str]]:
    """Give names of targets with their titles to a shell."""
    named = [(ALL, "every script"), *((target.name, target.title) for target in find_targets())]
    return [(name, title) for name, title in named if name.startswith(incomplete)]


def reproduce(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET",
            help="What to reproduce, or `all`; nothing lists what there is.",
            autocompletion=complete_target,
            show_default=False,
        ),
    ] = None,
    full: Annotated[
        bool, typer.Option("--full/--quick", help="As large as on a CPU is sensible, not small: may need --data.")
    ] = False,
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="Folder for figures and numbers; made if there is none.")
    ] = Path("reproduced"),
    data: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder of the public data sets (.npz), or `openml` to fetch them."),
    ] = None,
    jobs: Annotated[int, typer.Option(metavar="N", help="Processes; -1: as many as there are cores.")] = -1,
) -> None:
    """Draw figures of the papers, and put the numbers that they print beside those found here.

    Ends with 0 when everything is drawn and every number with a tolerance is met, with 1 when one is not, and with 2
    for a mistake in what was asked for.
    """
    with one_line_errors():
        known = find_targets()
        if not targets:
            _list(known)
            return
        chosen = choose(targets, known)
        _check(full, data, jobs)
        out.mkdir(parents=True, exist_ok=True)
        with _own_folder(out) as staging, _terminable():
            raise typer.Exit(_reproduce(chosen, full, data, _n_cores() if jobs == -1 else jobs, out, staging))


def _list(targets: Sequence[Target]) -> None:
    table = Table.grid(padding=(0, 2))
    for target in targets:
        table.add_row(target.name, target.title)
    table.add_row(ALL, "All of these but the last ones, which are all experiments of one paper.")
    Console(highlight=False).print(table)


def _check(full: bool, data: str | None, jobs: int) -> None:
    if data is not None and not full:
        fail("--data needs --full: the quick size has its own data")
    if data not in (None, "openml") and not Path(str(data)).is_dir():
        fail(f"--data must be a folder that there is, or openml, got {data!r}")
    if jobs < 1 and jobs != -1:
        fail(f"--jobs must be >= 1, or -1 for all cores, got {jobs}")


def _reproduce(
    chosen: Sequence[Target], full: bool, data: str | None, n_processes: int, out: Path, staging: Path
) -> int:
    """Draw targets, write what is complete into the folder at once, and give the exit code."""
    from kdtheory.command_line import _table  # what is below takes long to load, which a mistake need not
    from kdtheory.command_line._drawing import Job, run_all
    from kdtheory.reproduced import CLAIM, OPEN

    size = "full" if full else "quick"
    at_once = min(n_processes, len(chosen))
    options = [f"--{size}", "--jobs", str(n_processes // at_once), *(["--data", data] if data else [])]
    if full:
        options += ["--results", str(out / "trials")]  # so that experiments that are stopped go on where they were
    folders = [staging / target.name for target in chosen]
    jobs = [
        Job(target.path, (*options, "--output", str(folder)), full)
        for target, folder in zip(chosen, folders, strict=True)
    ]
    outcomes: dict[str, Outcome] = {}
    with shown(len(chosen)) as show:
        for number, outcome in run_all(jobs, at_once):
            target = chosen[number]
            if outcome is None:
                show(target.name, None)
                continue
            if outcome.is_done:
                figures = sorted(file.name for file in folders[number].iterdir())
                numbers = _table.as_json(target.name, target.title, size, figures, outcome.numbers)
                _write(folders[number] / f"{target.name}.json", numbers)
                _write(folders[number] / f"{target.name}.txt", outcome.printed)
                _move(folders[number], out)
            elif outcome.failure:
                folders[number].mkdir(exist_ok=True)
                _write(folders[number] / f"{target.name}.traceback.txt", outcome.failure)
                (folders[number] / f"{target.name}.traceback.txt").replace(out / f"{target.name}.traceback.txt")
            outcomes[target.name] = outcome
            show(target.name, outcome.is_done)
    numbers_of = {target.name: outcomes[target.name].numbers for target in chosen if outcomes[target.name].is_done}
    _write(staging / "summary.csv", _table.as_csv(numbers_of))
    (staging / "summary.csv").replace(out / "summary.csv")
    console = Console(highlight=False)
    if any(numbers_of.values()):
        console.print(_table.summary(numbers_of))
        console.print(_table.counted(numbers_of))
        found = [row for rows in numbers_of.values() for row in rows]
        if any(row.published == CLAIM for row in found):
            console.print(f"{CLAIM} is a claim in words: the number is positive where it holds.")
        if not full and any(row.verdict == OPEN for row in found):
            console.print("Quick sizes have few trials: most claims about networks need --full to be decided.")
    without = [name for name, rows in numbers_of.items() if not rows]
    if without:
        console.print(f"Nothing published to compare with: {', '.join(without)}")
    if numbers_of:
        console.print(f"Figures, numbers and summary.csv are in {out}", soft_wrap=True)
    return _exit_code(chosen, outcomes, out)


def _exit_code(chosen: Sequence[Target], outcomes: Mapping[str, Outcome], out: Path) -> int:
    """Say in one line each what was not drawn, and why."""
    code = 0
    for target in chosen:
        outcome = outcomes[target.name]
        if outcome.missing:
            code = 2
            _say(f'{target.name} needs {outcome.missing}: pip install "kdtheory[{target.extra}]"')
        elif outcome.mistake:
            code = 2
            _say(f"{target.name}: {outcome.mistake}")
        elif outcome.failure:
            code = code or 1
            last = outcome.failure.strip().splitlines()[-1]
            _say(f"{target.name} failed: {last}; see {out / f'{target.name}.traceback.txt'}")
        elif not all(row.is_met for row in outcome.numbers):
            code = code or 1
            met = [row.quantity for row in outcome.numbers if not row.is_met]
            _say(f"{target.name}: not met: {'; '.join(met)}")
    if any("--data" in outcome.unknown for outcome in outcomes.values()):
        without = [name for name, outcome in outcomes.items() if "--data" in outcome.unknown]
        typer.echo(f"Note: {', '.join(without)} took no --data", err=True)
    return code


def _say(message: str) -> None:
    typer.echo(f"Error: {' '.join(message.split())}", err=True)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", newline="\n")


def _move(folder: Path, out: Path) -> None:
    """Move complete files to where they belong, in the place of those that are there."""
    for file in sorted(folder.iterdir()):
        file.replace(out / file.name)


def _n_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def _own_folder(out: Path) -> Iterator[Path]:
    """Make a hidden folder in another for what is not complete, which goes whatever happens."""
    folder = Path(tempfile.mkdtemp(prefix=".incomplete-", dir=out))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _terminable() -> Iterator[None]:
    """Clean up and end with one line where the program is interrupted, or asked to end."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("Stopped: what was complete is kept, and nothing else was written", err=True)
        raise typer.Exit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)
