"""All experiments of one paper, in one command that can be stopped and goes on where it was."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from kdtheory.experiments.claims import Claim, claims_table, write_table
from kdtheory.experiments.experiment import (
    Experiment,
    experiment_parser,
    experiment_script,
    prepare,
    run_and_draw,
)
from kdtheory.figures.output import save_figures
from kdtheory.figures.script import Reproduction, Script
from kdtheory.reproduced import Reproduced


@dataclass(frozen=True)
class Programme:
    """The experiments of a paper.

    Attributes
    ----------
    name : str
        Of the files with its table.
    title : str
    experiments : tuple of Experiment

    Examples
    --------
    >>> from kdtheory.experiments.menon_2020 import PROGRAMME
    >>> [experiment.name for experiment in PROGRAMME.experiments]
    ['fidelity_depth']
    """

    name: str
    title: str
    experiments: tuple[Experiment, ...]

    def run(self, output: Path, *, size: Any = "quick", results: Path | None = None, **how: Any) -> pd.DataFrame:
        """Run every experiment, and write its figures and the table of all claims as soon as it is done.

        Parameters
        ----------
        output : Path
            Folder for figures and for the table, `NAME.csv` and `NAME.txt`.
        size : {"quick", "full", "paper"}
        results : Path, optional
            Folder of finished trials, which are not repeated. Default: `trials` in the output.
        **how
            As for `Experiment.run`.

        Returns
        -------
        DataFrame
            Of `claims_table`.
        """
        kept = output / "trials" if results is None else results
        found: list[Claim] = []
        table = claims_table(found)
        for experiment in tqdm(self.experiments, desc=self.title, unit="experiment", disable=None):
            done = experiment.run(size, results=kept, **how)
            found += experiment.claims(experiment.setting(size), done)
            save_figures(experiment.figures(size, done), output)
            plt.close("all")
            table = claims_table(found)
            table.to_csv(output / f"{self.name}.csv", index=False)
            write_table(table, self.title, output / f"{self.name}.txt")
        return table

    @property
    def script(self) -> Script:
        """All experiments as one script, which writes no table of its own."""
        parser = experiment_parser(f"Every experiment of {self.title}.")
        return experiment_script(self._reproduce, parser, self.experiments)

    def _reproduce(self, **how: Any) -> Reproduction:
        figures: dict[str, Figure] = {}
        numbers: list[Reproduced] = []
        for experiment in self.experiments:
            made = run_and_draw(experiment, **how)
            figures |= made.figures
            numbers += made.numbers
        return Reproduction(figures, tuple(numbers))

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Run as a command, and print the table.

        Parameters
        ----------
        arguments : sequence of str, optional
            Default: those of the process.
        """
        parser = experiment_parser(f"Every experiment of {self.title}, and a table of its claims.")
        known = {each.name: each for each in self.experiments}
        parser.add_argument("--only", nargs="+", choices=known, metavar="NAME", help=f"some of {', '.join(known)}")
        given = vars(parser.parse_args(arguments))
        only = given.pop("only")
        chosen = self.experiments if only is None else tuple(known[name] for name in only)
        prepare(parser, chosen, given["size"], given["data"])
        output = given.pop("output")
        name = self.name if only is None else "-".join([self.name, *only])  # whose table is not that of all
        try:
            Programme(name, self.title, chosen).run(output, **given)
        except KeyboardInterrupt:
            parser.exit(130, "stopped: finished trials are kept, and not repeated when it is called again\n")
        print((output / f"{name}.txt").read_text(), end="")
