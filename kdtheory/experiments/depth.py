"""Teachers of growing depth: Menon et al. (2020), figure 1."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy import stats

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import SCORES, Architecture, draw, scores, train_on_labels, train_student
from kdtheory.figures.flow import STUDENT, TEACHER
from kdtheory.figures.statistical import draw_band, draw_legend, draw_level
from kdtheory.nets import TrainingPlan


@dataclass(frozen=True)
class Setting:
    """Teachers of several depths, and one architecture of students.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    teacher, student : Architecture
        The teacher's depth is replaced by each of `depths`.
    depths : tuple of int
    n_images : int
        Of teachers and students.
    plan : TrainingPlan
        Of both.
    temperature : float
    """

    data: str
    n_trials: int
    teacher: Architecture
    student: Architecture
    depths: tuple[int, ...]
    n_images: int
    plan: TrainingPlan
    temperature: float = 1.0

    def __str__(self) -> str:
        return (
            f"{self.data}, {self.teacher.kind} of depth {self.depths[0]} to {self.depths[-1]}, {self.n_images} images"
        )


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train teachers and students of one trial.

    Returns
    -------
    dict
        `teachers` and `students` (depths, 5), scores on test images, and `alone` (5,), those of the student's
        architecture on labels.
    """
    own = draw(images.train, setting.n_images, seed)
    results: dict[str, Any] = {"teachers": [], "students": []}
    for depth in setting.depths:
        teacher = train_on_labels(replace(setting.teacher, depth=depth), own, setting.plan, seed, depth)
        wanted = teacher.logits(images.test.X)
        student = train_student(setting.student, own.X, teacher, setting.plan, setting.temperature, seed, 100)
        results["teachers"].append(scores(teacher, wanted, images.test))
        results["students"].append(scores(student, wanted, images.test))
    alone = train_on_labels(setting.student, own, setting.plan, seed, 100)
    return {**results, "alone": scores(alone, alone.logits(images.test.X), images.test)}


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims."""
    source = "Menon et al. (2020), Fig. 1"
    accuracy, loss, calibration = 0, SCORES.index("log-loss"), SCORES.index("calibration error")
    teachers, students = results["teachers"], results["students"]
    by_loss = _rank_correlations(-teachers[:, :, loss], students[:, :, accuracy])
    by_accuracy = _rank_correlations(teachers[:, :, accuracy], students[:, :, accuracy])
    rows = np.arange(len(teachers))
    best = (teachers.sum(axis=0) - teachers)[:, :, loss].argmin(axis=1)  # chosen where it is not judged
    calmest, most_right = teachers[:, :, loss].argmin(axis=1), teachers[:, :, accuracy].argmax(axis=1)
    return [
        Claim(source, statement, str(setting), values)
        for statement, values in (
            (
                "the deepest teacher is more accurate than the shallowest",
                teachers[:, -1, accuracy] - teachers[:, 0, accuracy],
            ),
            (
                "its log-loss is higher than that of the depth that is best in the other trials",
                teachers[:, -1, loss] - teachers[rows, best, loss],
            ),
            (
                "its calibration error is higher than that of the shallowest",
                teachers[:, -1, calibration] - teachers[:, 0, calibration],
            ),
            (
                "students follow probabilities: rank correlation of their accuracy with minus the teacher's log-loss",
                by_loss,
            ),
            (
                "they follow its probabilities more than its accuracy: difference of the rank correlations",
                by_loss - by_accuracy,
            ),
            (
                "the teacher of least log-loss has a better student than the most accurate one",
                students[rows, calmest, accuracy] - students[rows, most_right, accuracy],
            ),
            (
                "students are more accurate than their architecture trained on labels",
                students[:, :, accuracy].mean(axis=1) - results["alone"][:, accuracy],
            ),
        )
    ]


def _rank_correlations(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Rank correlation of every trial; 0 where nothing varies."""
    vary = np.minimum(np.ptp(one, axis=1), np.ptp(other, axis=1)) > 0.0
    pairs = zip(one, other, vary, strict=True)
    return np.array([stats.spearmanr(x, y).statistic if varies else 0.0 for x, y, varies in pairs])


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw three scores of teachers and the accuracy of their students by depth."""
    figure, panels = plt.subplots(1, 4, figsize=(5.5, 2.2))
    x = np.array(setting.depths)
    for axes, score in zip(panels, SCORES[:3], strict=False):
        values = results["teachers"][:, :, SCORES.index(score)]
        draw_band(axes, x, values, "teacher", color=TEACHER, marker="o", markersize=3)
        axes.set_ylabel(score)
    draw_band(panels[3], x, results["students"][:, :, 0], "student", color=STUDENT, marker="s", markersize=3)
    draw_level(panels[3], results["alone"][:, 0], "trained on labels")
    panels[3].set_ylabel("accuracy of student")
    for axes in panels:
        axes.set_xticks(x)
        axes.set_xlabel("teacher's depth")
    draw_legend(figure, panels, n_trials=len(results["alone"]), ncols=3, shown="bands")
    return {"fidelity_depth": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
DEPTH = Experiment(
    "fidelity_depth",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 32), Architecture("perceptron", 8, 1), (1, 2, 4), 300,
            TrainingPlan(n_epochs=100, batch_size=50, learning_rate=0.05, **_SGD),
        ),
        "full": Setting(
            "fashion_mnist", 20, Architecture("perceptron", 128), Architecture("perceptron", 16, 1),
            (1, 2, 3, 4, 6, 8), 2000,
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.02, **_SGD),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=8), Architecture("resnet", depth=8),
            (8, 14, 20, 32, 44, 56), 15_000,
            TrainingPlan(n_epochs=200, batch_size=128, learning_rate=0.1, weight_decay=1e-4, **_SGD),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
