"""Images that the teacher has seen, or others, or both: Stanton et al. (2021), section 5.2 and figure 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import (
    SCORES,
    Architecture,
    draw,
    ensembles,
    last,
    scores,
    train_on_labels,
    train_student,
)
from kdtheory.figures.images import Images
from kdtheory.figures.statistical import COLORS, draw_band, draw_legend
from kdtheory.nets import TrainingPlan

SETS = ("its own images", "other images", "both")
"""What students of a teacher that was trained on D₀ are given: D₀, D₁, and both."""


@dataclass(frozen=True)
class Setting:
    """Teachers on one half of the images.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
    n_images : int
        Of each half.
    members : tuple of int
        Networks in the teacher, at `temperature`.
    temperatures : tuple of float
        At `members_fixed` networks in the teacher.
    members_fixed : int
    temperature : float
    teacher_plan, student_plan : TrainingPlan
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    members: tuple[int, ...]
    temperatures: tuple[float, ...]
    members_fixed: int
    temperature: float
    teacher_plan: TrainingPlan
    student_plan: TrainingPlan

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, halves of {self.n_images} images, temperature {self.temperature:g}"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train teachers and students of one trial.

    Returns
    -------
    dict
        `teachers` (members, 5), scores on test images; `by members` (members, 3, 5) and `by temperature` (temperatures,
        3, 5), those of students on the three sets; `train agreement` (members, 3) on the students' own images.
    """
    both = draw(images.train, 2 * setting.n_images, seed)
    own = Images(both.X[: setting.n_images], both.y[: setting.n_images])
    sets = (own.X, both.X[setting.n_images :], both.X)
    most = max(*setting.members, setting.members_fixed)
    taught = [train_on_labels(setting.network, own, setting.teacher_plan, seed, 1 + i) for i in range(most)]
    teachers = ensembles(taught, (*setting.members, setting.members_fixed))
    wanted = {size: teacher.logits(images.test.X) for size, teacher in teachers.items()}

    def students(size: int, temperature: float) -> tuple[list[np.ndarray], list[float]]:
        runs = [
            train_student(setting.network, some, teachers[size], setting.student_plan, temperature, seed, 100)
            for some in sets
        ]
        return [scores(run, wanted[size], images.test) for run in runs], [last(run, "agreement") for run in runs]

    at = {(size, setting.temperature): students(size, setting.temperature) for size in setting.members}
    for temperature in setting.temperatures:
        pair = (setting.members_fixed, temperature)
        at[pair] = at.get(pair) or students(*pair)
    return {
        "teachers": [scores(teachers[size], wanted[size], images.test) for size in setting.members],
        "by members": [at[size, setting.temperature][0] for size in setting.members],
        "train agreement": [at[size, setting.temperature][1] for size in setting.members],
        "by temperature": [at[setting.members_fixed, each][0] for each in setting.temperatures],
    }


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims, over all sizes of the teacher."""
    source = "Stanton et al. (2021), Fig. 4"
    students = {name: results["by members"][:, :, i].mean(axis=1) for i, name in enumerate(SETS)}
    own, other, both = (students[name] for name in SETS)
    accuracy, agreement, divergence = (SCORES.index(name) for name in ("accuracy", "agreement", "divergence"))
    calibration = SCORES.index("calibration error")
    harder = results["train agreement"].mean(axis=1)
    return [
        Claim(source, statement, str(setting), values)
        for statement, values in (
            (
                "agreement: higher for students on other images than the teacher's",
                other[:, agreement] - own[:, agreement],
            ),
            ("divergence: lower for students on other images", own[:, divergence] - other[:, divergence]),
            (
                "accuracy: higher for students on the teacher's own images than on others",
                own[:, accuracy] - other[:, accuracy],
            ),
            (
                "calibration error: higher for students on the teacher's own images",
                own[:, calibration] - other[:, calibration],
            ),
            ("accuracy: highest for students on both, over those on its own", both[:, accuracy] - own[:, accuracy]),
            (
                "accuracy: highest for students on both, over those on other images",
                both[:, accuracy] - other[:, accuracy],
            ),
            (
                "agreement: highest for students on both, over those on other images",
                both[:, agreement] - other[:, agreement],
            ),
            (
                "on the students' own images: less agreement with images that the teacher has not seen",
                harder[:, 0] - harder[:, 1],
            ),
        )
    ]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw accuracy, agreement and divergence by the size of the teacher and by the temperature."""
    figure, panels = plt.subplots(2, 3, figsize=(5.5, 3.8), sharey="col")
    shown = ("accuracy", "agreement", "divergence")
    rows = (("by members", np.array(setting.members), "networks in the teacher"),
            ("by temperature", np.array(setting.temperatures), "temperature"))  # fmt: skip
    for row, (name, x, label) in zip(panels, rows, strict=True):
        for axes, score in zip(row, shown, strict=True):
            column = SCORES.index(score)
            for i, of in enumerate(SETS):
                values = results[name][:, :, i, column]
                draw_band(axes, x, values, f"student on {of}", color=COLORS[1 + i], marker="os^"[i], markersize=3)
            axes.set_xlabel(label)
            axes.set_ylabel(score)
        if name == "by members":
            draw_band(row[0], x, results["teachers"][:, :, 0], "teacher", color="black", linestyle=(0, (4, 2)))
        else:
            for axes in row:
                axes.set_xscale("log", base=2)
                axes.set_xticks(x, [f"{each:g}" for each in x])
    draw_legend(figure, panels.flat, n_trials=len(results["teachers"]), ncols=4, shown="bands")
    return {"fidelity_recycling": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
RECYCLING = Experiment(
    "fidelity_recycling",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 300, (1, 2), (1.0, 4.0), 2, 4.0,
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=100, batch_size=50, learning_rate=0.1, **_SGD),
        ),
        "full": Setting(
            "fashion_mnist", 4, Architecture("lenet"), 2000, (1, 3), (1.0, 4.0), 3, 4.0,
            TrainingPlan(n_epochs=30, batch_size=64, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=30, batch_size=64, learning_rate=0.05, clip_norm=1.0, **_SGD),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 10_000, (1, 3, 5), (1.0, 2.0, 4.0, 8.0, 16.0), 3, 4.0,
            TrainingPlan(n_epochs=200, batch_size=256, learning_rate=0.1, weight_decay=1e-4, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, learning_rate=0.05, weight_decay=1e-4, **_SGD),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
