"""Can distillation help, and how much?
====================================

Can distillation help, and how much at most: risk against the ridge, and two problems where nothing else comes near.

Risk figure, with the label weights of least risk for each ridge: (a) a signal whose energy is proportional to the
eigenvalues, where ridge regression is the best filter and no chain of students improves on it; (b) a smooth signal,
which the largest eigenvalues hold, where two fits do; (c) a signal with noise on larger eigenvalues, where three fits
gain what two do not. Separation figure: (a) N directions of noise above one of signal: every ridge and every single
round of distillation have a risk of N + 1, two rounds have 1; (b) N directions of noise far below a strong signal: the
risk of every ridge grows like 1 + 2√N, one round has 1.
"""

from __future__ import annotations

import warnings

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory import (
    LabelWeightWarning,
    Spectrum,
    distillation_outlook,
    in_sample_risk,
    oracle_label_weights,
    selfdistill_closed_form,
)
from kdtheory.figures import STYLE, Reproduction, Script, draw_risk, draw_separation, figure_parser

NOISE_VARIANCE = 0.25
SIZES = np.array([1, 3, 10, 30, 100, 300, 1000])


def main() -> Reproduction:
    """Print the outlooks and the separations, and return the two figures."""
    with plt.style.context(STYLE):
        return Reproduction({"risk": draw_risks(), "separations": draw_separations()})


def draw_risks() -> Figure:
    """Draw the risk of ridge regression and of its students against the ridge, for three signals."""
    x = np.linspace(0.0, 1.0, 100)
    spectrum = Spectrum.from_gram(np.exp(-60.0 * np.subtract.outer(x, x) ** 2))
    problems = {
        "(a) energy like eigenvalues": spectrum.eigenvectors @ np.sqrt(spectrum.eigenvalues),
        "(b) smooth signal": np.sin(2.0 * np.pi * x),
        "(c) noise above the signal": np.sin(9.0 * np.pi * x),
    }
    ridges = np.geomspace(1e-4, 1e4, 81)
    figure, panels = plt.subplots(1, 3, figsize=(5.5, 2.5), sharey=True)
    for axes, (title, signal) in zip(panels, problems.items(), strict=True):
        names = {"ridge": 1, "2 fits": 2, "3 fits": 3, "4 fits": 4}
        risks = {
            label: np.array([least_risk(spectrum, signal, ridge, count, NOISE_VARIANCE) for ridge in ridges])
            for label, count in names.items()
        }
        outlook = distillation_outlook(spectrum, signal, ridge=0.1, noise_variance=NOISE_VARIANCE)
        unit = outlook.best_ridge_risk
        draw_risk(axes, ridges, {label: values / unit for label, values in risks.items()}, outlook.floor / unit)
        axes.set(title=title, ylim=(0.0, 2.2), ylabel="risk / best ridge" if axes is panels[0] else "")
        print(f"risk, {title}", outlook, sep="\n")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


def least_risk(spectrum: Spectrum, signal: np.ndarray, ridge: float, n_steps: int, noise_variance: float) -> float:
    """Risk of the last of some fits with the best label weights."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)  # where they only approach the best, their risk is drawn
        weights = oracle_label_weights(spectrum, signal, ridge=ridge, n_steps=n_steps, noise_variance=noise_variance)
    path = selfdistill_closed_form(spectrum, signal, ridge=ridge, n_steps=n_steps, label_weight=weights)
    return float(in_sample_risk(spectrum, signal, path, noise_variance=noise_variance).total[-1])


def draw_separations() -> Figure:
    """Draw the least risks over all ridges for growing numbers of noise directions."""
    figure, panels = plt.subplots(1, 2, figsize=(5.5, 2.5))
    below = [separate(np.append(np.full(n, 2.0), 1.0), np.append(np.zeros(n), 1e4)) for n in SIZES]
    above = [separate(np.append(1.0, np.full(n, 1e-4)), np.append(1e4, np.zeros(n))) for n in SIZES]
    for axes, results, title, guide, law in (
        (panels[0], below, "(a) signal below the noise", SIZES + 1.0, "$N + 1$"),
        (
            panels[1],
            above,
            "(b) signal far above the noise",
            ridge_law(SIZES),
            r"$\min_x\, 1 + x^2 + N/(1+x)^2$",
        ),
    ):
        draw_separation(axes, SIZES, {label: np.array([one[label] for one in results]) for label in results[0]})
        axes.plot(SIZES, guide, color="0.6", linewidth=3.0, alpha=0.5, zorder=0, label=law)
        axes.set(title=title, ylim=(0.7, 6.0 * guide[-1]))
        axes.legend(loc="upper left")
        print(f"separations, {title}: total risk over the noise variance")
        for n, result in zip(SIZES, results, strict=True):
            print(f"{n:6d} noise directions: " + ", ".join(f"{label} {risk:.4f}" for label, risk in result.items()))
    return figure


def ridge_law(sizes: np.ndarray) -> np.ndarray:
    """Return the least risk of a ridge x/κ for a signal κ and noise at 1/κ, with κ large: bias x² and two variances."""
    x = np.geomspace(1e-3, 1e3, 20_001)[:, None]
    return np.min(1.0 + x**2 + sizes / (1.0 + x) ** 2, axis=0)


def separate(eigenvalues: np.ndarray, signal: np.ndarray) -> dict[str, float]:
    """Least total risks over all ridges, for noise of variance 1: best ridge, best two fits, best three fits."""
    spectrum = Spectrum(eigenvalues, np.eye(len(eigenvalues)))
    ridges, total = np.geomspace(1e-8, 1e8, 129), float(len(signal))
    outlook = distillation_outlook(spectrum, signal, ridge=1.0, noise_variance=1.0)
    return {
        "best ridge": total * outlook.best_ridge_risk,
        "best two fits": total * min(least_risk(spectrum, signal, ridge, 2, 1.0) for ridge in ridges),
        "three fits": total * least_risk(spectrum, signal, 1.0, 3, 1.0),
    }


SCRIPT = Script(main, figure_parser(__doc__))

if __name__ == "__main__":
    SCRIPT.run()
