"""Files of an advice: all of them, whole, or none."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

import matplotlib.pyplot as plt

from kdtheory.advice.advising import Advice
from kdtheory.advice.drawing import draw_advice
from kdtheory.estimators import save

MODEL, NUMBERS, PICTURE = "model.skops", "advice.json", "advice.png"


@contextmanager
def staging(folder: str | PathLike[str]) -> Iterator[Path]:
    """Give an empty folder beside the one to write to; what is in it at the end is moved there, on errors nothing.

    Raises
    ------
    OSError
        At once, when the folder cannot be made or written to, or has folders by the names of the files.
    """
    target = Path(folder)
    for name in (MODEL, NUMBERS, PICTURE):
        if (target / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(target / name))
    parent = target
    while not parent.exists():
        parent = parent.parent
    try:
        place = tempfile.TemporaryDirectory(prefix=".kdtheory-", dir=parent)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, str(target)) from error
    with place as temporary:
        yield Path(temporary)
        target.mkdir(parents=True, exist_ok=True)
        for file in sorted(Path(temporary).iterdir()):
            file.replace(target / file.name)


def write_advice(advice: Advice, folder: str | PathLike[str]) -> list[Path]:
    """Write `model.skops`, `advice.json` and `advice.png` into a folder that exists.

    Parameters
    ----------
    advice : Advice
    folder : path
        A folder that exists.

    Returns
    -------
    list of Path
        The files, in this order.

    Raises
    ------
    OSError
        Where the folder cannot be written to.

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from kdtheory.advice import Rows, advise, make_table
    >>> x = np.linspace(0.0, 6.0, 40)
    >>> advice = advise(make_table(Rows(pd.DataFrame({"x": x, "y": np.sin(x)}), 40, {}), "y"), n_steps=2)
    >>> Path("here").mkdir()
    >>> [file.name for file in write_advice(advice, "here")]
    ['model.skops', 'advice.json', 'advice.png']
    """
    place = Path(folder)
    save(advice.model, place / MODEL)
    (place / NUMBERS).write_text(advice.to_json(), encoding="utf-8", newline="\n")
    figure = draw_advice(advice)
    try:
        figure.savefig(place / PICTURE, dpi=200)
    finally:
        with contextlib.suppress(ValueError):
            plt.close(figure)
    return [place / name for name in (MODEL, NUMBERS, PICTURE)]
