"""How far each way to a model goes
================================

How far each way to a model goes: seconds, memory and error against the number of points.

Drawn is what `python3 run.py benchmarks` measured last (`benchmarks/results/scaling.json`, or `--results FILE`): from
points of 20 features to predictions at 1,000 others, on two threads. kdtheory's three spectra give a whole path, 20
ridges × 10 steps of self-distillation with the best label weights for each; conjugate gradients and the other packages
fit its smallest ridge, 1e-4·n, once. The error is the distance of the predictions at this ridge from the exact ones,
relative to their size. Printed are the exponents p of seconds ∝ nᵖ between the two largest numbers of points.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.figures import STYLE, Reproduction, Script, figure_parser

ROOT = Path(inspect.stack()[0].filename).resolve().parents[1]  # as __file__, which the gallery does not set
QUANTITIES = {"seconds": "seconds", "mebibytes": "memory, MiB", "error": "relative error"}
LEAST_ERROR = 1e-10
"""Smaller errors are drawn here: the exact predictions are known no better."""


def main(results: Path = ROOT / "benchmarks" / "results" / "scaling.json") -> Reproduction:
    """Print exponents of the cost, and return the figure."""
    curves = read(results)
    print_table(curves)
    with plt.style.context(STYLE):
        return Reproduction({"scaling": draw(curves)})


def read(results: Path) -> dict[str, dict[str, np.ndarray]]:
    """Numbers of points, seconds, memory and errors of every method."""
    runs = sorted(json.loads(results.read_text())["benchmarks"], key=lambda run: int(run["n_points"]))
    names = list(dict.fromkeys(name for run in runs for name in run["methods"]))
    return {name: _curve([run for run in runs if name in run["methods"]], name) for name in names}


def _curve(runs: list[dict[str, Any]], name: str) -> dict[str, np.ndarray]:
    columns = {quantity: np.array([run["methods"][name][quantity] for run in runs]) for quantity in QUANTITIES}
    return {"points": np.array([run["n_points"] for run in runs]), **columns}


def print_table(curves: dict[str, dict[str, np.ndarray]]) -> None:
    """Print what the largest number of points took, and the exponent before it."""
    print(f"{'method':<36} {'points':>8} {'seconds':>9} {'MiB':>8} {'error':>9} {'exponent':>9}")
    for name, curve in curves.items():
        points, seconds = np.log(curve["points"][-2:]), np.log(curve["seconds"][-2:])
        exponent = f"{(seconds[1] - seconds[0]) / (points[1] - points[0]):9.2f}" if len(points) > 1 else ""
        last = (curve[quantity][-1] for quantity in ("points", "seconds", "mebibytes", "error"))
        print("{:<36} {:8,d} {:9.2f} {:8.0f} {:9.1e}".format(name, *last), exponent)


def draw(curves: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Draw seconds, memory and errors against the number of points, all on logarithmic axes."""
    figure, panels = plt.subplots(1, 3, figsize=(5.5, 3.0))
    colors = mpl.colormaps["tab10"](np.arange(10))
    for (name, curve), color, marker in zip(curves.items(), colors, "osDv^<>Xph", strict=False):
        ours = name[0].isupper() or name == "exact" or name.startswith("preconditioned")
        for axes, quantity in zip(panels, QUANTITIES, strict=True):
            values = np.maximum(curve[quantity], LEAST_ERROR) if quantity == "error" else curve[quantity]
            style = {"color": color, "marker": marker, "markersize": 3, "linestyle": "-" if ours else ":"}
            axes.loglog(curve["points"], values, label=name, **style)
    for letter, axes, label in zip("abc", panels, QUANTITIES.values(), strict=True):
        axes.set(title=f"({letter})", xlabel="points $n$", ylabel=label)
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    return figure


PARSER = figure_parser(__doc__, ROOT / "figures")
PARSER.add_argument("--results", type=Path, metavar="FILE", default=ROOT / "benchmarks" / "results" / "scaling.json")
SCRIPT = Script(main, PARSER)

if __name__ == "__main__":
    SCRIPT.run()
