"""Plot of `results/scaling.json`, as `examples/fig_scaling.py` draws it, for the documentation."""

import runpy
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt

from kdtheory.figures import STYLE

ROOT = Path(__file__).resolve().parents[1]


def main():
    """Write it beside the results."""
    example = runpy.run_path(str(ROOT / "examples" / "fig_scaling.py"))
    with plt.style.context(STYLE):
        example["main"]()["scaling"].savefig(ROOT / "benchmarks" / "results" / "scaling.png")


if __name__ == "__main__":
    mpl.use("Agg")
    main()
