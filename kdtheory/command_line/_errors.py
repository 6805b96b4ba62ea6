"""One line for every mistake, and the exit code 2."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line where what the user gave is wrong."""
    try:
        yield
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename is not None else str(error))
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        fail(str(error) or type(error).__name__)


def fail(message: str) -> NoReturn:
    """Print one line on standard error, and end the program with the exit code 2."""
    typer.echo(f"Error: {' '.join(message.split())}", err=True)
    raise typer.Exit(2) from None
