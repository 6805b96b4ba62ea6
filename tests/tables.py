"""Tables that the tests of the advice share."""

import numpy as np
import pandas as pd

from kdtheory.advice import make_table
from kdtheory.advice.reading import Rows


def frame(n=60, noise=0.3, seed=0):
    """Two features, the second of categories, and a target."""
    rng = np.random.default_rng(seed)
    x, kind = rng.uniform(-3.0, 3.0, n), rng.choice(["low", "high"], n)
    y = np.sin(2.0 * x) + (kind == "high") + noise * rng.standard_normal(n)
    return pd.DataFrame({"x": x, "kind": kind, "y": y})


def table(data=None, target="y", **options):
    data = frame() if data is None else data
    return make_table(Rows(data.set_axis(np.arange(1, len(data) + 1)), len(data), {}), target, **options)
