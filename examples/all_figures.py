"""Draw every figure of the scripts beside this one at its quick size: `python examples/all_figures.py --output FOLDER`.

As many scripts at once as there are cores, one after the other in each process, so that libraries are loaded once.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import runpy
import sys
from concurrent.futures import ProcessPoolExecutor
from contextlib import redirect_stdout
from functools import partial
from pathlib import Path

import matplotlib.pyplot as plt

from kdtheory.figures import figure_parser

HERE = Path(__file__).resolve().parent


def draw(output: Path, script: Path) -> str:
    """Run a script as from a shell, and return what it prints."""
    sys.argv = [str(script), "--output", str(output)]
    with redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(str(script), run_name="__main__")
    plt.close("all")
    return printed.getvalue()


def main(output: Path) -> None:
    """Draw everything, and print what scripts print in their order."""
    scripts = sorted(HERE.glob("fig_*.py"))
    with ProcessPoolExecutor(os.cpu_count(), mp_context=multiprocessing.get_context("spawn")) as pool:
        for printed in pool.map(partial(draw, output), scripts):
            print(printed, end="", flush=True)


if __name__ == "__main__":
    main(figure_parser("Draw every figure at its quick size.", HERE.parent / "figures").parse_args().output)
