"""Ensembles as teachers, and what else a student can be given: Stanton et al. (2021), figures 9, 10, 13 and 14."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import SCORES, Architecture, draw, scores, train_on_labels, train_student
from kdtheory.figures.flow import STUDENT, TEACHER
from kdtheory.figures.statistical import COLORS, draw_band, draw_legend
from kdtheory.nets import Ensemble, Snapshot, TrainingPlan


@dataclass(frozen=True)
class Setting:
    """Teachers of several networks, and students by one plan.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
        Of every member, and of students where nothing else is said.
    n_images : int
    members : tuple of int
        Networks in the teacher, from 1.
    temperatures : tuple of float
    label_weights : tuple of float
        At the last temperature, for the first and the last teacher.
    students : tuple of Architecture
        Of growing capacity, at the last temperature, for the last teacher.
    teacher_plan, student_plan : TrainingPlan
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    members: tuple[int, ...]
    temperatures: tuple[float, ...]
    label_weights: tuple[float, ...]
    students: tuple[Architecture, ...]
    teacher_plan: TrainingPlan
    student_plan: TrainingPlan

    def __str__(self) -> str:
        warmest = f"temperature {self.temperatures[-1]:g} where nothing else is said"
        return f"{self.data}, {self.network.kind}, {self.n_images} images, {warmest}"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train teachers and students of one trial.

    Returns
    -------
    dict
        Scores on test images: `teachers` (members, 5), `students` (members, temperatures, 5), `of mean logits` (5,) of
        the student of the last teacher by the mean of its logits, `label weights` (2, weights, 5), `capacity`
        (students, 5).
    """
    own = draw(images.train, setting.n_images, seed)
    taught = [
        train_on_labels(setting.network, own, setting.teacher_plan, seed, 1 + i) for i in range(setting.members[-1])
    ]
    test = images.test
    teachers: list[Snapshot] = [Ensemble(taught[:size]) for size in setting.members]
    wanted = [teacher.logits(test.X) for teacher in teachers]
    warmest = setting.temperatures[-1]

    def student(which: int, temperature: float, of: Snapshot | None = None, **how: Any) -> np.ndarray:
        network = how.pop("network", setting.network)
        teacher = teachers[which] if of is None else of
        run = train_student(network, own.X, teacher, setting.student_plan, temperature, seed, 100, **how)
        return scores(run, wanted[which], test)

    by_size = [[student(i, each) for each in setting.temperatures] for i in range(len(teachers))]
    ends = [
        [
            by_size[i][-1] if weight == 0.0 else student(i, warmest, labels=own.y, label_weight=weight)
            for weight in setting.label_weights
        ]
        for i in (0, len(teachers) - 1)
    ]
    return {
        "teachers": [scores(each, logits, test) for each, logits in zip(teachers, wanted, strict=True)],
        "students": by_size,
        "of mean logits": student(len(teachers) - 1, warmest, Ensemble(taught, combine="mean_logit")),
        "label weights": ends,
        "capacity": [student(len(teachers) - 1, warmest, network=each) for each in setting.students],
    }


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the papers' claims."""
    accuracy, agreement = SCORES.index("accuracy"), SCORES.index("agreement")
    teachers, students = results["teachers"], results["students"]
    warm, weights, capacity = students[:, :, -1], results["label weights"], results["capacity"]
    middle = next(i for i, size in enumerate(setting.members) if size >= min(3, setting.members[-1]))
    fits = setting.network in setting.students[:-1]
    alike = setting.students.index(setting.network) if fits else 0
    own = "the members of its teacher" if fits else "the smallest one"
    fig10 = "Stanton et al. (2021), Fig. 10"
    found = [
        (
            fig10,
            "the largest ensemble is more accurate than one network",
            teachers[:, -1, accuracy] - teachers[:, 0, accuracy],
        ),
        (
            fig10,
            "its student agrees with it more than the student of one network with that",
            warm[:, -1, agreement] - warm[:, 0, agreement],
        ),
        (
            fig10,
            f"the student of {setting.members[middle]} networks is more accurate than that of one",
            warm[:, middle, accuracy] - warm[:, 0, accuracy],
        ),
        (
            "Pham et al. (2022), Fig. 3",
            "the student of the largest ensemble is more accurate than that of one network",
            warm[:, -1, accuracy] - warm[:, 0, accuracy],
        ),
        (
            fig10,
            f"beyond {setting.members[middle]} networks the student gains less than its teacher",
            (teachers[:, -1, accuracy] - teachers[:, middle, accuracy])
            - (warm[:, -1, accuracy] - warm[:, middle, accuracy]),
        ),
        (
            fig10,
            "the student of one network is more accurate than its teacher",
            warm[:, 0, accuracy] - teachers[:, 0, accuracy],
        ),
        (
            "Stanton et al. (2021), Fig. 9",
            f"students of ensembles are more accurate at temperature {setting.temperatures[-1]:g} than at"
            f" {setting.temperatures[0]:g}",
            (warm - students[:, :, 0])[:, 1:, accuracy].mean(axis=1),
        ),
        (
            "Stanton et al. (2021), Fig. 13",
            f"a student of more capacity than {own} agrees more with its teacher",
            capacity[:, -1, agreement] - capacity[:, alike, agreement],
        ),
        (
            "Pham et al. (2022), sec. 3",
            "teachers of mean logits, not of mean probabilities: the student's accuracy changes by under a point",
            0.01 - np.abs(results["of mean logits"][:, accuracy] - warm[:, -1, accuracy]),
        ),
    ]
    if 0.0 in setting.label_weights:
        pure = setting.label_weights.index(0.0)
        some = [i for i, weight in enumerate(setting.label_weights) if 0.0 < weight < 1.0]
        fig14 = "Stanton et al. (2021), Fig. 14"
        found += [
            (
                fig14,
                "one network: labels make the student more accurate (mean over weights)",
                (weights[:, 0, some] - weights[:, 0, pure, None])[:, :, accuracy].mean(axis=1),
            ),
            (
                fig14,
                "one network: labels add less than half a point of agreement (mean over weights)",
                0.005 - (weights[:, 0, some] - weights[:, 0, pure, None])[:, :, agreement].mean(axis=1),
            ),
            (
                fig14,
                "largest ensemble: labels make the student agree less (mean over weights)",
                (weights[:, 1, pure, None] - weights[:, 1, some])[:, :, agreement].mean(axis=1),
            ),
        ]
    return [Claim(source, statement, str(setting), values) for source, statement, values in found]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw accuracy and agreement by members and temperatures, label weights, and capacities."""
    figure, panels = plt.subplots(2, 3, figsize=(5.5, 3.7), sharex="col", sharey="row")
    members, weights = np.array(setting.members), np.array(setting.label_weights)
    capacities = np.arange(len(setting.students))
    for row, score in zip(panels, ("accuracy", "agreement"), strict=True):
        column = SCORES.index(score)
        if score == "accuracy":
            values = results["teachers"][..., column]
            draw_band(row[0], members, values, "teacher", color=TEACHER, linestyle=(0, (4, 2)))
        for i, temperature in enumerate(setting.temperatures):
            values = results["students"][:, :, i, column]
            style = {"color": COLORS[2 + i], "marker": "s^D"[i], "markersize": 3}
            draw_band(row[0], members, values, f"student, T = {temperature:g}", **style)
        for i, size in enumerate((setting.members[0], setting.members[-1])):
            values = results["label weights"][:, i, :, column]
            style = {"color": (TEACHER, STUDENT)[i], "marker": "ov"[i], "markersize": 3}
            draw_band(row[1], weights, values, f"student of {size} network{'s' * (size > 1)}", **style)
        draw_band(row[2], capacities, results["capacity"][..., column], "_", color=STUDENT, marker="v", markersize=3)
        row[0].set_ylabel(score)
    panels[1, 0].set_xticks(members)
    for axes, label in zip(panels[1], ("networks in the teacher", "label weight", "student"), strict=True):
        axes.set_xlabel(label)
    names = [
        f"{each.width}" if each.kind == "perceptron" else f"{each.kind}\n{each.depth}" for each in setting.students
    ]
    for axes in panels[:, 2]:
        axes.set_xticks(capacities, names)
    if all(each.kind == "perceptron" for each in setting.students):
        panels[1, 2].set_xlabel("width of the student")
    draw_legend(figure, panels.flat, n_trials=len(results["teachers"]), ncols=3, shown="bands")
    return {"fidelity_ensembles": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
ENSEMBLES = Experiment(
    "fidelity_ensembles",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 300, (1, 3), (1.0, 4.0), (0.0, 0.5),
            (Architecture("perceptron", 8), Architecture("perceptron", 32)),
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=100, batch_size=50, learning_rate=0.1, **_SGD),
        ),
        "full": Setting(
            "fashion_mnist", 6, Architecture("perceptron", 128), 2000, (1, 2, 3, 5, 8, 12), (1.0, 4.0),
            (0.0, 0.1, 0.5, 0.9), tuple(Architecture("perceptron", width) for width in (32, 128, 512)),
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.05, clip_norm=1.0, **_SGD),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 20_000, (1, 2, 3, 5, 8, 12), (1.0, 4.0),
            (0.0, 0.1, 0.25, 0.5, 0.75, 0.9), tuple(Architecture("resnet", depth=depth) for depth in (8, 20, 56)),
            TrainingPlan(n_epochs=200, batch_size=256, learning_rate=0.1, weight_decay=1e-4, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, learning_rate=0.05, weight_decay=1e-4, **_SGD),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
