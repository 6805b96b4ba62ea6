"""Writing figures to files."""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from kdtheory.figures.style import STYLE


def save_figures(figures: dict[str, Figure], folder: Path) -> None:
    """Write every figure as PNG and PDF into a folder, the same bytes each time, and print what was written.

    Parameters
    ----------
    figures : dict of str to Figure
        Figures by file name, without an ending.
    folder : Path
        Made with its parents when it does not exist.

    Raises
    ------
    OSError
        When the folder cannot be written to.

    Examples
    --------
    >>> save_figures({"empty": Figure()}, Path("drawings"))
    drawings/empty.png
    drawings/empty.pdf
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        for ending, metadata in (("png", None), ("pdf", {"CreationDate": None})):
            file = folder / f"{name}.{ending}"
            with plt.style.context(STYLE):
                figure.savefig(file, metadata=metadata)
            print(file)
