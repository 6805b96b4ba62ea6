"""Scripts that reproduce figures and numbers of papers, called from a shell or by `kdtheory reproduce`."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
from matplotlib.figure import Figure

from kdtheory.figures.output import save_figures
from kdtheory.reproduced import Reproduced


class Reproduction(NamedTuple):
    """What a script makes.

    Attributes
    ----------
    figures : dict of str to Figure
        By file name, without an ending.
    numbers : tuple of Reproduced
        Beside those that are published; empty where none are.

    Examples
    --------
    >>> Reproduction(figures={}).numbers
    ()
    """

    figures: dict[str, Figure]
    numbers: tuple[Reproduced, ...] = ()


class Made(NamedTuple):
    """What a script has made, where it is asked to write it, and what it was asked for but does not know."""

    reproduction: Reproduction
    output: Path
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Script:
    """A script, and how it is called.

    Parameters
    ----------
    main : callable
        Takes every option of the parser by name but for `output`, and returns a `Reproduction`.
    parser : argparse.ArgumentParser
        As of `figure_parser`: has the option `--output`.
    prepare : callable, optional
        `prepare(parser, given)` sets up the process before, completes what is given, and refuses what cannot be.

    Examples
    --------
    >>> from kdtheory.figures import figure_parser
    >>> script = Script(lambda: Reproduction({}), figure_parser("A figure."))
    >>> made = script.make(["--output", "new", "--full"])
    >>> made.output.name, made.unknown
    ('new', ('--full',))
    """

    main: Callable[..., Reproduction]
    parser: ArgumentParser
    prepare: Callable[[ArgumentParser, Namespace], None] | None = None

    def run(self) -> None:
        """Do what the command line of the process says, and write the figures."""
        made = self._make(self.parser.parse_args())
        save_figures(made.reproduction.figures, made.output)

    def make(self, arguments: Sequence[str]) -> Made:
        """Make figures and numbers, and write nothing.

        Parameters
        ----------
        arguments : sequence of str
            Of a command line, options that the script does not know included.

        Returns
        -------
        Made
            Figures and numbers, the folder that is asked for, and what the script does not know.

        Raises
        ------
        SystemExit
            For wrong arguments, with a message on standard error.
        """
        given, unknown = self.parser.parse_known_args(arguments)
        return self._make(given, unknown)

    def _make(self, given: Namespace, unknown: Sequence[str] = ()) -> Made:
        mpl.use("Agg")
        if self.prepare is not None:
            self.prepare(self.parser, given)
        options = vars(given)
        output = options.pop("output")
        return Made(self.main(**options), output, tuple(unknown))
