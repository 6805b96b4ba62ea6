"""The command `kdtheory reproduce`: figures and numbers of the papers, beside what is published."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kdtheory.command_line._errors import fail, one_line_errors
from kdtheory.command_line._targets import ALL, Target, choose, find_targets

if TYPE_CHECKING:
    from kdtheory.command_line._drawing import Outcome
    from kdtheory.reproduced import Reproduced

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
        bool, typer.Option("--full/--quick", help="As large as a CPU allows, or small; full may need --data.")
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
    from rich.console import Console  # which other commands need not load
    from rich.table import Table

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
    """Draw targets, move what is complete into the folder, and give the exit code."""
    from kdtheory.command_line._drawing import Job, run_all  # which take long to load, and a mistake need not
    from kdtheory.command_line._progress import shown
    from kdtheory.command_line._table import as_csv

    at_once = min(n_processes, len(chosen))
    options = [
        "--full" if full else "--quick",
        "--jobs",
        str(n_processes // at_once),
        *(["--data", data] if data else []),
    ]
    if full:
        options += ["--results", str(out / "trials")]  # so that experiments that are stopped go on where they were
    jobs = [Job(each.path, (*options, "--output", str(staging / each.name)), may_be_wrong=full) for each in chosen]
    outcomes: dict[str, Outcome] = {}
    with shown(len(chosen)) as show, closing(run_all(jobs, at_once)) as running:
        for number, outcome in running:
            target = chosen[number]
            if outcome is not None:
                outcomes[target.name] = outcome
                _keep(target, outcome, full, staging / target.name, out)
            show(target.name, None if outcome is None else outcome.is_done)
    numbers = {each.name: outcomes[each.name].numbers for each in chosen if outcomes[each.name].is_done}
    _write(staging / "summary.csv", as_csv(numbers))
    (staging / "summary.csv").replace(out / "summary.csv")
    if numbers:
        _print_summary(numbers, full, out)
    return _exit_code(chosen, outcomes, out)


def _keep(target: Target, outcome: Outcome, full: bool, folder: Path, out: Path) -> None:
    """Write numbers beside figures, or the reason why there are none, and move them to where they belong."""
    from kdtheory.command_line._table import as_json

    folder.mkdir(exist_ok=True)
    if outcome.is_done:
        figures = [file.name for file in sorted(folder.iterdir(), key=lambda file: file.stat().st_mtime_ns)]
        size = "full" if full else "quick"
        _write(folder / f"{target.name}.json", as_json(target, size, figures, outcome))
        _write(folder / f"{target.name}.txt", outcome.printed)
        moved = sorted(folder.iterdir())
    elif outcome.failure:
        moved = [folder / f"{target.name}.traceback.txt"]
        _write(moved[0], outcome.failure)
    else:
        return
    for file in moved:
        file.replace(out / file.name)


def _print_summary(numbers: Mapping[str, Sequence[Reproduced]], full: bool, out: Path) -> None:
    from rich.console import Console

    from kdtheory.command_line._table import counted, summary
    from kdtheory.reproduced import CLAIM, OPEN

    console = Console(highlight=False)
    rows = [row for each in numbers.values() for row in each]
    if rows:
        console.print(summary(numbers))
        console.print(counted(numbers))
    if any(row.published == CLAIM for row in rows):
        console.print(f"{CLAIM} is a claim in words: the number is positive where it holds.")
    if not full and any(row.verdict == OPEN for row in rows):
        console.print("Quick sizes have few trials: most claims about networks need --full to be decided.")
    without = [name for name, each in numbers.items() if not each]
    if without:
        console.print(f"Nothing published to compare with: {', '.join(without)}")
    console.print(f"Figures, numbers and summary.csv are in {out}", soft_wrap=True)


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
