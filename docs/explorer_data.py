"""What the interactive explorer needs from Python: its data, its files in one folder, and a page of its own.

The explorer evaluates the closed forms in the browser, from the spectrum and the data of the sine problem. Nothing is
fetched from a network: plotly.js comes out of the installed package.
"""

from __future__ import annotations

import importlib.resources
import json
from pathlib import Path
from typing import Any

import numpy as np

from kdtheory import Spectrum
from kdtheory.figures import STUDENT, TEACHER
from kdtheory.problems import sine_problem

SOURCE = Path(__file__).resolve().parent / "explorer"
STYLES = ("explorer.css", "legend.css")
SCRIPTS = ("plotly.min.js", "data.js", "closed_forms.js", "plots.js", "explorer.js")
"""In the order in which a page loads them."""


def explorer_data() -> dict[str, Any]:
    """Return the spectrum, the kernel values and the data of the sine problem, and where the controls start."""
    problem = sine_problem()
    spectrum = Spectrum.from_gram(problem.K)
    signal = np.sin(2.0 * np.pi * problem.x)
    noise = problem.y - signal
    return {
        "eigenvalues": spectrum.eigenvalues.tolist(),
        "eigenvectors": spectrum.eigenvectors.tolist(),
        "x": problem.x.tolist(),
        "signal": signal.tolist(),
        "noise": noise.tolist(),
        "noiseVariance": float(np.mean(noise**2)),
        "gridX": problem.x_val.tolist(),
        "gridTruth": problem.y_val.tolist(),
        "gridKernel": problem.K_val.tolist(),
        "published": [
            {"labelWeight": weight, "losses": list(losses.steps), "limit": losses.limit}
            for weight, losses in problem.published_losses.items()
        ],
        "start": {
            "ridge": problem.ridge,
            "weight": 0.25,
            "fits": problem.n_steps,
            "noise": 1.0,
            "time": 1.0,
            "stop": 1.5,
            "top": 2,
            "bottom": 9,
        },
        "colors": {"teacher": TEACHER, "student": STUDENT},
    }


def write_explorer(folder: Path) -> None:
    """Write the scripts and the style sheet of the explorer into a folder, plotly.js and the data among them.

    Parameters
    ----------
    folder : Path
        Made if it does not exist; pages refer to the files in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    data = json.dumps(explorer_data(), allow_nan=False)  # floats are written so that they are read back exactly
    plotly = importlib.resources.files("plotly") / "package_data" / "plotly.min.js"
    (folder / "data.js").write_text(f"window.kdtheoryExplorer = {data};\n", encoding="utf-8")
    (folder / "plotly.min.js").write_bytes(plotly.read_bytes())
    for file in (*SOURCE.glob("*.js"), *SOURCE.glob("*.css")):
        (folder / file.name).write_bytes(file.read_bytes())


def explorer_page(assets: str = ".", *, theme: str = "light") -> str:
    """Return the explorer as a complete page without anything around it.

    Parameters
    ----------
    assets : str
        Where the page finds the folder that `write_explorer` wrote.
    theme : str
        `light` or `dark`.
    """
    styles = [f'<link rel="stylesheet" href="{assets}/{name}">' for name in STYLES]
    scripts = [f'<script defer src="{assets}/{name}"></script>' for name in SCRIPTS]
    return "\n".join(
        [
            "<!DOCTYPE html>",
            f'<html lang="en" data-theme="{theme}">',
            "<head>",
            '<meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<link rel="icon" href="data:,">',
            "<title>Explorer of self-distillation</title>",
            *styles,
            *scripts,
            "</head>",
            '<body class="kd-bare">',
            "<main>",
            "<h1>Explorer</h1>",
            (SOURCE / "fragment.html").read_text(encoding="utf-8"),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )
