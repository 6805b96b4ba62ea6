"""An experiment with trained networks: what a trial measures, what that says of a paper's claims, and its figures."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal, NamedTuple

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from joblib import Memory
from matplotlib.figure import Figure

from kdtheory.datasets import load_cifar10, load_fashion_mnist, load_mnist
from kdtheory.experiments.claims import Claim
from kdtheory.figures.command_line import figure_parser, made_folder
from kdtheory.figures.images import Images, hasten_compilation, read_digits
from kdtheory.figures.script import Reproduction, Script
from kdtheory.figures.style import STYLE
from kdtheory.figures.trials import add_trials, run_trials

Size = Literal["quick", "full", "paper"]
Results = Mapping[str, np.ndarray]

LOADERS = {"mnist": load_mnist, "fashion_mnist": load_fashion_mnist, "cifar10": load_cifar10}


@dataclass(frozen=True)
class Experiment:
    """An experiment at several sizes.

    Attributes
    ----------
    name : str
        Of its files.
    sizes : mapping of size to setting
        By "quick", "full" and "paper": any frozen dataclass with the attributes `data` (a public data set, or "digits",
        which are built in) and `n_trials`.
    measure : callable
        `measure(setting, images, seed)` gives numbers and arrays by name, of one trial.
    claims : callable
        `claims(setting, results)` gives what the stacked results say of claims.
    draw : callable
        `draw(setting, results)` gives figures by file name.

    Examples
    --------
    >>> from kdtheory.experiments.depth import DEPTH
    >>> DEPTH.name, DEPTH.setting("quick").data
    ('fidelity_depth', 'digits')
    """

    name: str
    sizes: Mapping[Size, Any]
    measure: Callable[[Any, Any, int], Mapping[str, Any]]
    claims: Callable[[Any, Results], Sequence[Claim]]
    draw: Callable[[Any, Results], Mapping[str, Figure]]

    def run(
        self,
        size: Size = "quick",
        *,
        data: str | None = None,
        trials: int | None = None,
        jobs: int | None = None,
        results: Path | None = None,
    ) -> dict[str, np.ndarray]:
        """Run all trials, or those that are not in a folder yet.

        Parameters
        ----------
        size : {"quick", "full", "paper"}
        data : str, optional
            Folder of the public data set, or "openml"; the quick size needs none.
        trials : int, optional
            Their number, at least 2. Default: the setting's.
        jobs : int, optional
            Processes, as for `run_trials`.
        results : Path, optional
            Folder of finished trials, by joblib: they are not repeated while the setting, the images and the code of
            `measure` stay as they were.

        Returns
        -------
        dict of str to array of shape (n_trials, ...)

        Raises
        ------
        ValueError
            For a size that needs data and has none.
        """
        setting = self.setting(size)
        images = read_set(setting.data, data)
        measure = self.measure if results is None else Memory(results, verbose=0).cache(self.measure)
        count = setting.n_trials if trials is None else trials
        return run_trials(partial(measure, setting, images), count, jobs=jobs, title=self.name)

    def figures(self, size: Size, results: Results) -> dict[str, Figure]:
        """Draw all figures of results.

        Parameters
        ----------
        size : {"quick", "full", "paper"}
        results : mapping of str to array
            As `run` gives them.

        Returns
        -------
        dict of str to Figure
            By file name.
        """
        with plt.style.context(STYLE):
            return dict(self.draw(self.setting(size), results))

    def setting(self, size: Size) -> Any:
        """Give the setting of a size.

        Parameters
        ----------
        size : {"quick", "full", "paper"}

        Returns
        -------
        object
            That of the size; where a paper's own is as small, that of "full".
        """
        return self.sizes[size if size in self.sizes else "full"]


class ImageSet(NamedTuple):
    """Images to train on, and others to test on."""

    train: Images
    test: Images


def read_set(name: str, folder: str | None) -> ImageSet:
    """Read a set of images: the digits, with a quarter of them to test on, or a public one.

    Parameters
    ----------
    name : {"digits", "mnist", "fashion_mnist", "cifar10"}
    folder : str or None
        Where NAME.npz is, or "openml"; None for the digits.

    Returns
    -------
    ImageSet

    Raises
    ------
    ValueError, OSError
        For a public set without a folder, and a file that is not what it should be.

    Examples
    --------
    >>> [part.X.shape for part in read_set("digits", None)]
    [(1348, 8, 8), (449, 8, 8)]
    """
    if name == "digits":
        digits = read_digits()
        test = np.arange(len(digits.y)) % 4 == 3
        return ImageSet(*(Images(digits.X[each].astype(np.float32), digits.y[each]) for each in (~test, test)))
    if folder is None:
        raise ValueError(f"data must be a folder with {name}.npz, or 'openml', for this size, got None")
    found = LOADERS[name](None if folder == "openml" else folder)
    return ImageSet(Images(_scaled(found.x_train), found.y_train), Images(_scaled(found.x_test), found.y_test))


def _scaled(images: np.ndarray) -> np.ndarray:
    return np.asarray(images, dtype=np.float32) / np.float32(255.0)


def run_and_draw(experiment: Experiment, size: Size = "quick", **how: Any) -> Reproduction:
    """Run an experiment, print what it says of every claim, and draw it.

    Parameters
    ----------
    experiment : Experiment
    size : {"quick", "full", "paper"}
    **how
        As for `Experiment.run`.

    Returns
    -------
    Reproduction
        Its figures, and a number for every claim.

    Examples
    --------
    >>> from types import SimpleNamespace
    >>> done = Experiment("none", {"full": SimpleNamespace(data="digits", n_trials=2)}, *[lambda *parts: {}] * 3)
    >>> run_and_draw(done, "full", jobs=1)
    Reproduction(figures={}, numbers=())
    """
    results = experiment.run(size, **how)
    claims = experiment.claims(experiment.setting(size), results)
    for claim in claims:
        print(f"{claim.source}: {claim.statement}\n  {claim.result} on {claim.setting}: {claim.verdict()}")
    return Reproduction(experiment.figures(size, results), tuple(claim.reproduced() for claim in claims))


def experiment_parser(description: str, output: Path = Path("figures")) -> ArgumentParser:
    """Command line of experiments: their size, trials and processes, and the folders of data, of results, of figures.

    Parameters
    ----------
    description : str
    output : Path, default figures
        Folder for figures when none is given.

    Returns
    -------
    argparse.ArgumentParser
        Of `size`, `trials`, `jobs`, `data`, `results` and `output`.

    Raises
    ------
    SystemExit
        On parsing, for what the command line does not know.

    Examples
    --------
    >>> experiment_parser("An experiment.").parse_args(["--full", "--data", "openml"]).size
    'full'
    """
    parser = figure_parser(description, output)
    sizes = parser.add_mutually_exclusive_group()
    for size, meaning in (
        ("quick", "small networks on the digits of scikit-learn, the default"),
        ("full", "networks for minutes on a CPU, on public images: needs --data"),
        ("paper", "residual networks on CIFAR-10, for a GPU: needs --data"),
    ):
        sizes.add_argument(f"--{size}", dest="size", action="store_const", const=size, default="quick", help=meaning)
    parser.add_argument("--data", metavar="FOLDER", help="folder of the public sets (.npz), or `openml` to fetch them")
    add_trials(parser)
    parser.add_argument(
        "--results", type=made_folder, metavar="FOLDER", help="keep finished trials there, and do not repeat them"
    )
    return parser


def prepare(parser: ArgumentParser, experiments: Sequence[Experiment], size: Size, data: str | None) -> None:
    """Set up a process for experiments from a command line, and refuse data that some of them cannot read."""
    mpl.use("Agg")
    if size == "quick":
        hasten_compilation()
        if data is not None:
            parser.error("--data needs --full or --paper: the quick size has its own")
    for name in sorted({each.setting(size).data for each in experiments}):
        try:
            read_set(name, data)
        except (OSError, ValueError) as error:
            parser.error(f"--data: {error}")


def experiment_script(
    main: Callable[..., Reproduction], parser: ArgumentParser, experiments: Sequence[Experiment]
) -> Script:
    """Give a script of experiments, which refuses data that some of them cannot read.

    Parameters
    ----------
    main : callable
        As for `Script`.
    parser : argparse.ArgumentParser
        Of `experiment_parser`.
    experiments : sequence of Experiment
        Whose data are needed.

    Returns
    -------
    Script

    Raises
    ------
    SystemExit
        When the script runs, for a command line that it does not know, and data that are not there.

    Examples
    --------
    >>> from kdtheory.experiments.depth import DEPTH
    >>> def main(**how):
    ...     print(how["size"])
    ...     return Reproduction({})
    >>> made = experiment_script(main, experiment_parser("Depth."), [DEPTH]).make(["--output", "new"])
    quick
    """
    return Script(main, parser, lambda parser, given: prepare(parser, experiments, given.size, given.data))
