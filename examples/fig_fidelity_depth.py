"""Draft."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from kdtheory.experiments import call_experiment, experiment_parser, run_and_draw
from kdtheory.experiments.depth import DEPTH

OUTPUT = Path(__file__).resolve().parents[1] / "figures"


def main(**how: Any) -> dict[str, Figure]:
    """Print what the trials say of every claim, and return figures by file name."""
    return run_and_draw(DEPTH, **how)


if __name__ == "__main__":
    call_experiment(main, experiment_parser(__doc__, OUTPUT), DEPTH)
