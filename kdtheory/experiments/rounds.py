"""Rounds of self-distillation, and ensembles of them: Pham et al. (2022), sections 4, 5, tables 1-3, figures 2, 6."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import Architecture, draw, train_on_labels, train_student
from kdtheory.fidelity import accuracy, logit_mse
from kdtheory.figures.statistical import COLORS, draw_band, draw_legend, draw_level
from kdtheory.nets import Ensemble, Snapshot, TrainingPlan

COMBINE = ("mean_logit", "log_mean_probability")


@dataclass(frozen=True)
class Setting:
    """A network, distilled into itself for several rounds.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
    n_images : int
    label_weights : tuple of float
        Of each chain of rounds.
    n_rounds : int
        Students one after the other, so one network less than there are in a chain.
    plan : TrainingPlan
    sharpness_radius : float
        Of a network by sharpness-aware minimisation.
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    label_weights: tuple[float, ...]
    n_rounds: int
    plan: TrainingPlan
    sharpness_radius: float

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_images} images, {self.n_rounds} rounds"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train the chains of one trial, from one teacher, and as many independent networks.

    Returns
    -------
    dict
        On test images: `rounds` (weights, 1 + rounds), accuracies of teacher and students; `independent` (1 + rounds,);
        `sharpness-aware`; `born again` (2, weights, 1 + rounds) and `ensembles` (2, 1 + rounds), accuracies of the
        first networks of a chain, or of the independent ones, together, by mean logits and by mean probabilities; and
        on training images `change` (weights, rounds), mean squared differences of logits from one round to the next.
    """
    own, test = draw(images.train, setting.n_images, seed), images.test
    count = 1 + setting.n_rounds
    alone = [train_on_labels(setting.network, own, setting.plan, seed, 1 + i) for i in range(count)]
    flat = train_on_labels(
        setting.network, own, replace(setting.plan, sharpness_radius=setting.sharpness_radius), seed, 1
    )

    def right(model: Any) -> float:
        return accuracy(model.logits(test.X), test.y)

    def together(models: Any, combine: Any) -> list[float]:
        return [right(Ensemble(models[: 1 + i], combine=combine)) for i in range(count)]

    results: dict[str, Any] = {"rounds": [], "change": []}
    chains: list[list[Snapshot]] = []
    for weight in setting.label_weights:
        chain: list[Snapshot] = [alone[0]]
        for i in range(1, count):
            taught = (setting.network, own.X, chain[-1], setting.plan, 1.0, seed, 100 + i)
            chain.append(train_student(*taught, labels=own.y, label_weight=weight))
        chains.append(chain)
        logits = [each.logits(own.X) for each in chain]
        results["rounds"].append([right(each) for each in chain])
        results["change"].append([logit_mse(before, after) for before, after in itertools.pairwise(logits)])
    return {
        **results,
        "independent": [right(each) for each in alone],
        "sharpness-aware": right(flat),
        "born again": [[together(chain, combine) for chain in chains] for combine in COMBINE],
        "ensembles": [together(alone, combine) for combine in COMBINE],
    }


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims."""
    rounds, tables = results["rounds"], "Pham et al. (2022), Tables 1-3"
    found = []
    for i, weight in enumerate(setting.label_weights):
        found.append(
            (
                tables,
                f"label weight {weight:g}: the first student is more accurate than its teacher",
                rounds[:, i, 1] - rounds[:, i, 0],
            )
        )
    found += [
        (
            tables,
            "later rounds do not add up: the last gains less than half a point on the first, mean over weights",
            0.005 - (rounds[:, :, -1] - rounds[:, :, 1]).mean(axis=1),
        ),
        (
            tables,
            "sharpness-aware minimisation is more accurate than the teacher",
            results["sharpness-aware"] - rounds[:, 0, 0],
        ),
        (
            tables,
            "sharpness-aware minimisation is more accurate than round 1, mean over weights",
            results["sharpness-aware"] - rounds[:, :, 1].mean(axis=1),
        ),
    ]
    fig2 = "Pham et al. (2022), Fig. 2"
    for j, combine in enumerate(COMBINE):
        by = "by " + combine.replace("_", " ")
        gap = results["ensembles"][:, j, -1, None] - results["born again"][:, j, :, -1]
        found.append(
            (fig2, f"independent networks together beat the rounds of a chain together, {by}", gap.mean(axis=1))
        )
        found.append(
            (fig2, f"the gap is smaller at the largest label weight than at the smallest, {by}", gap[:, 0] - gap[:, -1])
        )
    change = results["change"]
    found.append(
        (
            "Pham et al. (2022), Fig. 6",
            "logits change less from round to round: first change less the last, mean over weights",
            (change[:, :, 0] - change[:, :, -1]).mean(axis=1),
        )
    )
    return [Claim(source, statement, str(setting), values) for source, statement, values in found]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw accuracies by round, accuracies of ensembles, and how logits change."""
    figure, panels = plt.subplots(1, 3, figsize=(5.5, 2.5))
    x = np.arange(1 + setting.n_rounds)
    for i, weight in enumerate(setting.label_weights):
        style = {"color": COLORS[1 + i], "marker": "os^"[i % 3], "markersize": 3}
        label = f"label weight {weight:g}"
        draw_band(panels[0], x, results["rounds"][:, i], label, **style)
        draw_band(panels[1], 1 + x, results["born again"][:, 0, i], label, **style)
        draw_band(panels[2], x[1:], results["change"][:, i], label, **style)
    draw_level(panels[0], results["sharpness-aware"], "sharpness-aware", color="#cc79a7")
    draw_band(
        panels[1], 1 + x, results["ensembles"][:, 0], "independent networks", color="black", linestyle=(0, (4, 2))
    )
    for axes, label, of in zip(
        panels,
        ("round", "networks together", "round"),
        ("accuracy", "accuracy of mean logits", "squared change of logits"),
        strict=True,
    ):
        axes.set_xlabel(label)
        axes.set_ylabel(of)
    panels[0].set_xticks(x)
    panels[1].set_xticks(1 + x)
    panels[2].set_xticks(x[1:])
    draw_legend(figure, panels, n_trials=len(results["rounds"]), ncols=3, shown="bands")
    return {"rounds_accuracy": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
ROUNDS = Experiment(
    "rounds_accuracy",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 200, (0.2, 0.8), 2,
            TrainingPlan(n_epochs=100, batch_size=50, learning_rate=0.05, **_SGD), 0.05,
        ),
        "full": Setting(
            "fashion_mnist", 30, Architecture("perceptron", 128), 2000, (0.2, 0.5, 0.8), 3,
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.05, weight_decay=3e-4, **_SGD), 0.05,
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 20_000, (0.2, 0.5, 0.8), 3,
            TrainingPlan(
                n_epochs=600, batch_size=96, learning_rate=0.025, weight_decay=3e-4, clip_norm=5.0, **_SGD
            ), 0.05,
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
