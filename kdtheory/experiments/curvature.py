"""Flatness of teachers, students and sharpness-aware networks: Pham et al. (2022), section 6, figures 4-8, 10-16."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import Architecture, draw, train_on_labels, train_student
from kdtheory.fidelity import accuracy
from kdtheory.figures.flatness import draw_eigenvalue_ecdf, draw_flatness_rounds, draw_spectral_density
from kdtheory.figures.surfaces import draw_loss_contours, draw_loss_heat_map, draw_loss_surface_3d, loss_levels
from kdtheory.nets import (
    LossHessian,
    LossSurface,
    Snapshot,
    SpectralDensity,
    TrainingPlan,
    loss_surface,
    measure_flatness,
    random_plane,
    spectral_density,
    top_eigenvalues,
)


@dataclass(frozen=True)
class Setting:
    """A network, distilled into itself for several rounds, and one by sharpness-aware minimisation.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
    n_images : int
    label_weight : float
    n_rounds : int
        Students one after the other.
    plan : TrainingPlan
    sharpness_radius : float
    n_top : int
        Eigenvalues of which the distribution is drawn.
    grid : int
        Points along each side of a loss surface.
    reach : float
        How far it goes, in filter norms.
    n_points : int
        On the axis of spectral densities.
    sigma : float
        Their smoothing.
    span : (float, float)
        Range of that axis.
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    label_weight: float
    n_rounds: int
    plan: TrainingPlan
    sharpness_radius: float
    n_top: int
    grid: int
    reach: float
    n_points: int
    sigma: float
    span: tuple[float, float]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all networks."""
        return ("teacher", *(f"round {i + 1}" for i in range(self.n_rounds)), "sharpness-aware")

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_images} images, label weight {self.label_weight:g}"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train the networks of one trial, and measure how flat the mean cross-entropy of their labels is around each.

    Returns
    -------
    dict
        Of every network, in the order of the setting's names: `accuracy` on test images; `loss`, `trace`, `trace_low`,
        `trace_high`, `trace_standard_error`, `largest` and `smallest` eigenvalue; `top` (networks, n_top);
        `density` (networks, n_points); and for drawing `surface` (networks, grid, grid).
    """
    own = draw(images.train, setting.n_images, seed)
    chain: list[Snapshot] = [train_on_labels(setting.network, own, setting.plan, seed, 1)]
    for i in range(setting.n_rounds):
        taught = (setting.network, own.X, chain[-1], setting.plan, 1.0, seed, 2 + i)
        chain.append(train_student(*taught, labels=own.y, label_weight=setting.label_weight))
    aware = train_on_labels(
        setting.network, own, replace(setting.plan, sharpness_radius=setting.sharpness_radius), seed, 1
    )
    networks = dict(zip(setting.names, (*chain, aware), strict=True))
    table = measure_flatness(networks, *own, rtol=0.01, seed=seed)
    columns = ("loss", "trace", "trace_low", "trace_high", "trace_standard_error", "largest", "smallest")
    results: dict[str, Any] = {name: table[name].to_numpy(dtype=float) for name in columns}
    results["accuracy"] = [accuracy(each.logits(images.test.X), images.test.y) for each in networks.values()]
    results |= {"top": [], "density": [], "surface": []}
    across = np.linspace(-setting.reach, setting.reach, setting.grid)
    for each in networks.values():
        hessian = LossHessian(each, *own)
        results["top"].append(top_eigenvalues(hessian, setting.n_top, tol=1e-6, seed=seed).values)
        grid = np.linspace(*setting.span, setting.n_points)
        found = spectral_density(hessian, n_probes=4, n_steps=40, sigma=setting.sigma, grid=grid, seed=seed)
        results["density"].append(found.density)
        plane = random_plane(each.model, seed)
        results["surface"].append(loss_surface(plane, *own, across=across, up=across).losses)
    return results


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims."""
    fig4, fig7 = "Pham et al. (2022), Fig. 4, 5, Tables 4, 5", "Pham et al. (2022), Fig. 7, 16"
    found = []
    for name, of in (("trace", "trace"), ("largest", "largest eigenvalue")):
        logs = _logs(results[name])
        found += [
            (fig4, f"{of}: lower in round 1 than at the teacher (logarithm)", logs[:, 0] - logs[:, 1]),
            (
                fig4,
                f"{of}: lower in round 1 than with sharpness-aware minimisation (logarithm)",
                logs[:, -1] - logs[:, 1],
            ),
            (
                fig4,
                f"{of}: lower with sharpness-aware minimisation than at the teacher (logarithm)",
                logs[:, 0] - logs[:, -1],
            ),
        ]
        if setting.n_rounds > 1:
            change = logs[:, 1] - logs[:, -2]
            found.append((fig4, f"{of}: the last round is not a tenth lower than round 1 (logarithm)", 0.1 - change))
    middle = _logs(results["top"]).mean(axis=2)
    found += [
        (
            fig7,
            f"top {setting.n_top} eigenvalues: smaller in round 1 than at the teacher (mean logarithm)",
            middle[:, 0] - middle[:, 1],
        ),
        (
            "Pham et al. (2022), sec. 6",
            "a flatter student is a better one: accuracy of round 1 less the teacher's",
            results["accuracy"][:, 1] - results["accuracy"][:, 0],
        ),
    ]
    middle_loss = results["surface"][..., setting.grid // 2, setting.grid // 2]
    rise = _logs(results["surface"].mean(axis=(2, 3)) - middle_loss)
    found.append(
        (
            "Pham et al. (2022), Fig. 8, 14, 15",
            "the loss rises less around round 1 than around the teacher (logarithm of the mean rise)",
            rise[:, 0] - rise[:, 1],
        )
    )
    return [Claim(source, statement, str(setting), values) for source, statement, values in found]


def _logs(values: np.ndarray) -> np.ndarray:
    """Logarithms, where what is not positive counts as flat as the flattest of what is."""
    positive = values[values > 0.0]
    return np.log(np.maximum(values, positive.min() if positive.size else 1.0))


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw flatness by round over all trials, and spectra and loss surfaces of the first."""
    names, n_trials = setting.names, len(results["trace"])
    rounds, panels = plt.subplots(2, 1, figsize=(5.5, 3.6), sharex=True)
    columns = ("trace", "trace_low", "trace_high", "largest")
    rows = pd.Index(list(names) * n_trials)
    table = pd.DataFrame({name: results[name].ravel() for name in columns}, index=rows)
    draw_flatness_rounds(panels[0], panels[1], table)
    panels[1].set_xlabel("network")
    panels[0].set_title(f"mean of {n_trials} trials; bars: ± 1 standard error")

    spectra, pair = plt.subplots(1, 2, figsize=(5.5, 2.5))
    grid, none = np.linspace(*setting.span, setting.n_points), np.zeros(0)
    densities = {
        name: SpectralDensity(grid, density, none, none, setting.sigma, 0)
        for name, density in zip(names, results["density"][0], strict=True)
    }
    draw_spectral_density(pair[0], densities)
    draw_eigenvalue_ecdf(pair[1], dict(zip(names, results["top"][0], strict=True)))
    pair[0].get_legend().remove()

    surfaces, shown = plt.figure(figsize=(5.5, 5.0)), (0, 1, len(names) - 1)
    across = np.linspace(-setting.reach, setting.reach, setting.grid)
    found = [LossSurface(across, across, results["surface"][0, i], None, None, np.zeros((1, 2))) for i in shown]
    limits = min(each.losses.min() for each in found), max(each.losses.max() for each in found)
    for column, (i, surface) in enumerate(zip(shown, found, strict=True), 1):
        contours, heat = surfaces.add_subplot(3, 3, column), surfaces.add_subplot(3, 3, 3 + column)
        draw_loss_contours(contours, surface, levels=loss_levels(found, 9))
        contours.set_title(names[i])
        draw_loss_heat_map(heat, surface, limits=limits)
        for axes in (contours, heat):
            axes.set_xticks([-setting.reach, 0.0, setting.reach])
            axes.set_yticks([-setting.reach, 0.0, setting.reach])
            axes.set_ylabel("direction 2" if column == 1 else "")
        hills: Any = surfaces.add_subplot(3, 3, 6 + column, projection="3d")
        draw_loss_surface_3d(hills, surface, limits=limits)
        hills.set_box_aspect(None, zoom=0.68)
        hills.set_xticks([-setting.reach, setting.reach])
        hills.set_yticks([-setting.reach, setting.reach])
    return {"flatness_rounds": rounds, "flatness_spectra": spectra, "flatness_surfaces": surfaces}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
FLATNESS = Experiment(
    "flatness",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 8, 1), 200, 0.5, 1,
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.05, **_SGD),
            0.1, 10, 7, 1.0, 400, 0.02, (-0.5, 6.0),
        ),
        "full": Setting(
            "fashion_mnist", 5, Architecture("perceptron", 32), 1000, 0.5, 3,
            TrainingPlan(n_epochs=60, batch_size=64, learning_rate=0.05, weight_decay=3e-4, **_SGD),
            0.1, 100, 25, 1.0, 2000, 0.1, (-1.0, 20.0),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 20_000, 0.5, 3,
            TrainingPlan(
                n_epochs=600, batch_size=96, learning_rate=0.025, weight_decay=3e-4, clip_norm=5.0, **_SGD
            ),
            0.1, 100, 25, 1.0, 4000, 0.05, (-5.0, 60.0),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
