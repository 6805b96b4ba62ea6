"""Command lines of the scripts that draw figures: what is wrong is refused before any work."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from pathlib import Path


def figure_parser(description: str, output: Path = Path("figures")) -> ArgumentParser:
    """Command line of a script that draws figures: where they go.

    Parameters
    ----------
    description : str
    output : Path, default figures
        Folder for figures when none is given.

    Returns
    -------
    argparse.ArgumentParser
        Of `output`, a folder that parsing makes.

    Examples
    --------
    >>> arguments = figure_parser("A figure.").parse_args(["--output", "new/drawings"])
    >>> arguments.output.is_dir()
    True
    """
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument(
        "--output",
        type=made_folder,
        metavar="FOLDER",
        default=str(output),  # text, so that it is made as well
        help="where to write the figures, %(default)s",
    )
    return parser


def made_folder(text: str) -> Path:
    """Folder for figures, made with its parents; an argument error where that cannot be.

    Examples
    --------
    >>> made_folder("new/drawings").is_dir()
    True
    """
    folder = Path(text).expanduser()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArgumentTypeError(f"must be a folder that can be written to, got {text!r} ({error.strerror})") from error
    return folder


def integer_of_at_least(least: int, why: str = "") -> Callable[[str], int]:
    """Type of a command-line argument: an integer that is not smaller, and why it must not be.

    Examples
    --------
    >>> integer_of_at_least(2)("3")
    3
    >>> integer_of_at_least(2, "for standard errors")("1")
    Traceback (most recent call last):
    ...
    argparse.ArgumentTypeError: must be an integer >= 2, for standard errors, got '1'
    """

    def integer(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise ArgumentTypeError(f"must be an integer >= {least}{why and ', ' + why}, got {text!r}")
        return number

    return integer


def processes(text: str) -> int:
    """Type of a command-line argument: a number of processes, or -1 for one on every core.

    Examples
    --------
    >>> processes("-1")
    -1
    """
    number = integer_of_at_least(-1)(text)
    if number == 0:
        raise ArgumentTypeError("must be an integer > 0, or -1 for all cores, got '0'")
    return number
