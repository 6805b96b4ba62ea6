"""Choosing without a validation set
=================================

Choosing without a validation set: exact leave-one-out errors of every ridge and number of fits, on real data.

One row for each data set. Left: the leave-one-out error against the ridge, one curve for each number of fits with the
best label weights for it; more fits are never worse there, so the circle marks the fewest that cannot be told from the
best, and the square the best plain kernel ridge regression. Below: the gain, with its paired standard error. Right: the
label weights chosen. Printed beside it: the error on held-out quarters of the data, beside that of scikit-learn's grid
search over the same ridges with 5 folds. All errors are in units of the variance of y.

Built in: scikit-learn's diabetes data, and Friedman's first test function. With `--data FOLDER` also the concrete,
airfoil and yacht sets of the UCI repository, each as `uci_NAME.npz`.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes, make_friedman1
from sklearn.kernel_ridge import KernelRidge
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kdtheory.datasets import load_airfoil, load_concrete, load_yacht
from kdtheory.estimators import SelfDistilledKernelRidgeCV
from kdtheory.figures import STYLE, HeldOutErrorDisplay, LabelWeightsDisplay, Reproduction, Script, figure_parser

RIDGES = np.geomspace(1e-5, 1e2, 22)
UCI = {"concrete": load_concrete, "airfoil": load_airfoil, "yacht": load_yacht}


def main(data: Path | None = None, splits: int = 4) -> Reproduction:
    """Print what is chosen and gained on every data set, and return the figure."""
    sets = {"diabetes": load_diabetes(return_X_y=True), "Friedman": make_friedman1(300, noise=1.0, random_state=0)}
    if data is not None:
        loaded = {name: load(data) for name, load in UCI.items()}
        sets |= {name: (each.X, each.y) for name, each in loaded.items()}
    with plt.style.context(STYLE):
        figure, rows = plt.subplots(len(sets), 2, figsize=(5.5, 1.8 * len(sets)), width_ratios=(3, 2))
        for row, (name, (X, y)) in zip(rows, sets.items(), strict=True):
            model = search(X, y)
            HeldOutErrorDisplay.from_estimator(model, ax=row[0])
            LabelWeightsDisplay.from_estimator(model, ax=row[1])
            row[0].set(title=f"{name}: {len(y)} points", ylabel="held-out error /\nvariance of y")
            row[0].get_legend().remove()
            ours, grid = held_out_errors(X, y, splits)
            chosen, gain = model.best_params_, model.distillation_gain_
            print(
                f"{name}, {X.shape[0]} points of {X.shape[1]} features: {chosen['n_steps']} fit(s), ridge"
                f" {chosen['ridge']:.3g}, leave-one-out error {-model.best_score_:.4f} of the variance, lower than"
                f" plain by {gain:.4f} ± {model.distillation_gain_se_:.4f}; on held-out quarters {ours:.4f}, grid"
                f" search {grid:.4f}"
            )
        figure.legend(*rows[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return Reproduction({"model_selection": figure})


def search(X: np.ndarray, y: np.ndarray) -> SelfDistilledKernelRidgeCV:
    """Search on standardised inputs and targets."""
    return SelfDistilledKernelRidgeCV(RIDGES).fit(StandardScaler().fit_transform(X), (y - np.mean(y)) / np.std(y))


def held_out_errors(X: np.ndarray, y: np.ndarray, n_splits: int) -> tuple[float, float]:
    """Mean squared errors on held-out quarters, over the variance of y: of the search, and of a grid search."""
    y = (y - np.mean(y)) / np.std(y)
    kernel = {"kernel": "rbf", "gamma": 1.0 / X.shape[1]}
    models = (
        SelfDistilledKernelRidgeCV(RIDGES),
        GridSearchCV(KernelRidge(**kernel), {"alpha": RIDGES}, scoring="neg_mean_squared_error"),
    )
    errors = []
    for seed in range(n_splits):
        X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.25, random_state=seed)
        fitted = [make_pipeline(StandardScaler(), model).fit(X_train, y_train) for model in models]
        errors.append([np.mean((model.predict(X_test) - y_test) ** 2) for model in fitted])
    ours, grid = np.mean(errors, axis=0).tolist()
    return ours, grid


PARSER = figure_parser(__doc__)
PARSER.add_argument("--data", type=Path, metavar="FOLDER", help="folder with uci_concrete.npz, uci_airfoil.npz, ...")
PARSER.add_argument("--splits", type=int, metavar="N", default=4, help="how often a quarter is held out")
SCRIPT = Script(main, PARSER)

if __name__ == "__main__":
    SCRIPT.run()
