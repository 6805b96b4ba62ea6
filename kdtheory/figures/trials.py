"""Trials of an experiment: run in parallel, with one seed each, as asked for on the command line.

Needs scikit-learn and tqdm besides matplotlib: `pip install "kdtheory[examples]"`.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, SupportsIndex

import numpy as np
from sklearn.utils.parallel import Parallel, delayed
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from kdtheory._validation import require_positive_integer
from kdtheory.figures.command_line import figure_parser, integer_of_at_least, processes


def run_trials(
    trial: Callable[[int], Mapping[str, Any]], n_trials: SupportsIndex, *, jobs: int | None = None, title: str = ""
) -> dict[str, np.ndarray]:
    """Run a trial with the seeds 0, 1, … and stack what it returns, with a progress bar on terminals.

    Parameters
    ----------
    trial : callable
        Takes a seed, and returns arrays or numbers by name.
    n_trials : int
        At least 2, for standard errors.
    jobs : int, optional
        Processes, -1 for one on every core. By default one, or what `joblib.parallel_config` says, which can also hand
        the trials to a Dask or Ray cluster.
    title : str, default ""
        Written before the progress bar.

    Returns
    -------
    dict of str to array of shape (n_trials, ...)
        The same for every number of jobs.

    Raises
    ------
    ValueError, TypeError
        For fewer than 2 trials.

    Notes
    -----
    BLAS has one thread in this process meanwhile: in small trials several cost more than they gain.

    Examples
    --------
    >>> run_trials(lambda seed: {"double": 2 * seed}, 3)
    {'double': array([0, 2, 4])}
    """
    count = require_positive_integer("n_trials", n_trials)
    if count < 2:
        raise ValueError(f"n_trials must be >= 2, for standard errors, got {n_trials!r}")
    with threadpool_limits(limits=1):
        results = Parallel(n_jobs=jobs, return_as="generator")(delayed(trial)(seed) for seed in range(count))
        done = list(tqdm(results, desc=title, total=count, unit="trial", disable=None))
    return {name: np.stack([one[name] for one in done]) for name in done[0]}


def trial_parser(description: str, output: Path = Path("figures"), *, full_jobs: int = -1) -> ArgumentParser:
    """Command line of an experiment: its size, its number of trials and processes, and where the figures go.

    Parameters
    ----------
    description : str
    output : Path, default figures
        Folder for figures when none is given.
    full_jobs : {-1, 1}, default -1
        Processes of the full size that the help promises: one for what runs on all cores, or on a GPU, by itself.

    Returns
    -------
    argparse.ArgumentParser
        Of `full`, `trials`, `jobs` and `output`, a folder that parsing makes.

    Examples
    --------
    >>> arguments = trial_parser("An experiment.").parse_args(["--full", "--trials", "10"])
    >>> arguments.full, arguments.trials, arguments.jobs
    (True, 10, None)
    """
    parser = figure_parser(description, output)
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--full", action="store_true", help="as many trials and points as the paper")
    size.add_argument("--quick", dest="full", action="store_false", help="few trials and points, as by default")
    add_trials(parser, full_jobs=full_jobs)
    return parser


def use_all_cores(_: ArgumentParser, given: Namespace) -> None:
    """Let the full size of a script of `trial_parser` run on all cores, unless the processes are given."""
    given.jobs = given.jobs or (-1 if given.full else 1)


def add_trials(parser: ArgumentParser, *, full_jobs: int = 1) -> None:
    """Let a command line take a number of trials and of processes.

    Parameters
    ----------
    parser : argparse.ArgumentParser
        Gets `trials` and `jobs`.
    full_jobs : {-1, 1}, default 1
        As for `trial_parser`.
    """
    parser.add_argument(
        "--trials",
        type=integer_of_at_least(2, "for standard errors"),
        metavar="N",
        help="number of trials, at least 2, whatever the size",
    )
    more = "" if full_jobs == 1 else f", or {full_jobs} (all cores) if full"
    parser.add_argument("--jobs", type=processes, metavar="N", help=f"processes; default: 1{more}")
