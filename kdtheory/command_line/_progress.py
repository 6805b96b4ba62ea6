"""Lines about what is being done and for how long, on terminals only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

Show = Callable[[str, bool | None], None]
"""`show(name, None)` when something begins; `show(name, True)` when it is done, or False when it is not."""


@contextmanager
def shown(total: int) -> Iterator[Show]:
    """Show a line with the time for each thing that is being done, which stays above when it ends, and the whole below.

    Parameters
    ----------
    total : int
        How many things there are to do.

    Yields
    ------
    callable
        `Show`.
    """
    console = Console(stderr=True, highlight=False)
    if not console.is_terminal:
        yield _show_nothing
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        whole = progress.add_task(f"0 of {total}", total=total)
        tasks: dict[str, TaskID] = {}

        def show(name: str, is_done: bool | None) -> None:
            if is_done is None:
                tasks[name] = progress.add_task(name, total=1)
                return
            task = progress.tasks[progress.task_ids.index(tasks.pop(name))]
            mark = "[green]✓[/]" if is_done else "[red]✗[/]"
            console.print(f"{mark} {name} [dim]{task.elapsed or 0.0:.1f} s[/]")
            progress.remove_task(task.id)
            progress.advance(whole)
            ended = int(progress.tasks[progress.task_ids.index(whole)].completed)
            progress.update(whole, description=f"{ended} of {total}")

        yield show


def _show_nothing(_: str, __: bool | None) -> None:
    pass
