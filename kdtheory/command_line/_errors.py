"""A user's mistake ends the program with one line."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import NoReturn

import typer


@contextmanager
def one_line_errors() -> Iterator[None]:
    """End the program with one line and exit code 2 where what the user gave is wrong, or a library is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}" if error.filename is not None else str(error))
    except (ValueError, TypeError, OverflowError, MemoryError) as error:
        fail(str(error) or type(error).__name__)


@contextmanager
def named_as_given(names: Mapping[str, str]) -> Iterator[None]:
    """Let errors name the files and options that a user gave, in place of the arguments that they became."""
    try:
        yield
    except (ValueError, TypeError) as error:
        message = re.sub(r"^\w+(?= must)|\b\w+_logits\b", lambda found: names.get(found[0], found[0]), str(error))
        raise ValueError(message) from error


def fail(message: str) -> NoReturn:
    """Print a message as one line on standard error, and end the program with exit code 2."""
    typer.echo(f"Error: {' '.join(message.split())}", err=True)
    raise typer.Exit(2) from None
