"""More images for a student than its teacher had: Stanton et al. (2021), figures 1, 2 and 5 (left)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
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
from kdtheory.figures.flow import STUDENT, TEACHER
from kdtheory.figures.images import Images
from kdtheory.figures.statistical import draw_band, draw_legend
from kdtheory.nets import TrainingPlan


@dataclass(frozen=True)
class Setting:
    """Teachers on few labelled images, and students on more and more of them, without labels.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
        Of all teachers and students.
    n_labelled : int
        Images of a teacher.
    n_images : tuple of int
        Images of the students, those of the teacher first.
    members : tuple of int
        Networks in the teacher.
    teacher_plan, student_plan : TrainingPlan
    temperature : float
    """

    data: str
    n_trials: int
    network: Architecture
    n_labelled: int
    n_images: tuple[int, ...]
    members: tuple[int, ...]
    teacher_plan: TrainingPlan
    student_plan: TrainingPlan
    temperature: float

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_labelled} labels, {self.n_images[-1]} images"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train teachers and students of one trial.

    Returns
    -------
    dict
        `teachers` (members, 5) and `students` (members, sizes, 5), scores on test images; `train agreement` (members,
        sizes) on the students' own images; `controls` (members,): agreement of each teacher with a student of another
        one, at the largest size.
    """
    pool = draw(images.train, setting.n_images[-1], seed)
    labelled = Images(pool.X[: setting.n_labelled], pool.y[: setting.n_labelled])
    most = max(setting.members)
    taught = [train_on_labels(setting.network, labelled, setting.teacher_plan, seed, 1 + i) for i in range(2 * most)]
    test = images.test
    results: dict[str, Any] = {"teachers": [], "students": [], "train agreement": [], "controls": []}
    others = ensembles(taught[most:], setting.members)
    for size, teacher in ensembles(taught[:most], setting.members).items():
        wanted = teacher.logits(test.X)
        results["teachers"].append(scores(teacher, wanted, test))

        def student(n: int, of: Any, *seeds: int) -> Any:
            how = (setting.student_plan, setting.temperature)
            return train_student(setting.network, pool.X[:n], of, *how, *seeds)

        runs = [student(n, teacher, seed, 100 + size) for n in setting.n_images]
        results["students"].append([scores(run, wanted, test) for run in runs])
        results["train agreement"].append([last(run, "agreement") for run in runs])
        control = student(setting.n_images[-1], others[size], seed, 200 + size)
        results["controls"].append(scores(control, wanted, test)[3])
    return results


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims."""
    first, largest = results["students"][:, :, 0], results["students"][:, :, -1]
    found = _of_agreement(setting, results, "Stanton et al. (2021), Fig. 1")
    for i, teacher in enumerate(_names(setting)):
        harder = f"more images: the student agrees less with {teacher} on its own images"
        fall = results["train agreement"][:, i, 0] - results["train agreement"][:, i, -1]
        found.append(Claim("Stanton et al. (2021), Fig. 5", harder, str(setting), fall))
    if 1 in setting.members:
        i, accuracy = setting.members.index(1), SCORES.index("accuracy")
        loss = first[:, i, accuracy] - largest[:, i, accuracy]
        tension = "more images: the student of a single network is less accurate"
        found.append(Claim("Stanton et al. (2021), Fig. 1a", tension, str(setting), loss))
    return found


def of_lenet(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the claims about LeNet-5 on MNIST, where accuracy and agreement grow together."""
    agreement = results["students"][:, 0, -1, SCORES.index("agreement")]
    gains = results["students"][:, 0, :, 0] - results["teachers"][:, 0, :1]
    source = "Stanton et al. (2021), Fig. 2"
    first, last_one = np.abs(gains[:, 0]), np.abs(gains[:, -1])
    return [
        Claim(source, "agreement on test images above 97 % (99 % with EMNIST)", str(setting), agreement - 0.97),
        Claim(source, "the student's accuracy is within a point of its teacher's", str(setting), 0.01 - last_one),
        Claim(source, "more images: its accuracy comes closer to its teacher's", str(setting), first - last_one),
        *_of_agreement(setting, results, source),
    ]


def _names(setting: Setting) -> list[str]:
    return ["the teacher" if size == 1 else f"an ensemble of {size}" for size in setting.members]


def _of_agreement(setting: Setting, results: Results, source: str) -> list[Claim]:
    """Claims about agreement on test images."""
    agreement, found = results["students"][..., SCORES.index("agreement")], []
    for i, teacher in enumerate(_names(setting)):
        more = f"more images: the student agrees more with {teacher}"
        found.append(Claim(source, more, str(setting), agreement[:, i, -1] - agreement[:, i, 0]))
        specific = f"the student agrees more with {teacher} than the student of another"
        gain = agreement[:, i, -1] - results["controls"][:, i]
        found.append(Claim("Stanton et al. (2021), sec. 3.2", specific, str(setting), gain))
    return found


def draw_results(name: str, setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw accuracy and agreement by the number of images."""
    figure, panels = plt.subplots(1, 2, figsize=(5.5, 2.5))
    x = np.array(setting.n_images)
    for i, size in enumerate(setting.members):
        style = {"linestyle": "-" if i == 0 else (0, (4, 1.5)), "marker": "os^"[i % 3], "markersize": 3}
        of = "" if len(setting.members) == 1 else f", ensemble of {size}" if size > 1 else ", one network"
        draw_band(panels[0], x, results["students"][:, i, :, 0], f"student{of}", color=STUDENT, **style)
        level = np.repeat(results["teachers"][:, i, :1], len(x), axis=1)
        draw_band(panels[0], x, level, f"teacher{of}", color=TEACHER, linestyle=style["linestyle"])
        draw_band(panels[1], x, results["students"][:, i, :, 3], f"student{of}", color=STUDENT, **style)
        own = f"on its own images{of}"
        draw_band(panels[1], x, results["train agreement"][:, i], own, color="#009e73", **style)
        control = results["controls"][:, i : i + 1]
        label = "student of another teacher" if i == 0 else "_"
        draw_band(panels[1], x[-1:], control, label, color="0.4", marker="x", linestyle="none", markersize=5)
    for axes, label in zip(panels, ("accuracy on test images", "agreement with teacher"), strict=True):
        axes.set_xscale("log")
        axes.set_xticks(x, [f"{n:,}" for n in x])
        axes.minorticks_off()
        axes.set_xlabel("images of the student")
        axes.set_ylabel(label)
    draw_legend(figure, panels, n_trials=len(results["students"]), ncols=3, shown="bands")
    return {name: figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
MNIST = Experiment(
    "fidelity_mnist",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 100, (100, 1300), (1,),
            TrainingPlan(n_epochs=60, batch_size=25, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.1, **_SGD), 1.0,
        ),
        "full": Setting(
            "mnist", 3, Architecture("lenet"), 200, (200, 5000, 60_000), (1,),
            TrainingPlan(n_epochs=100, batch_size=64, learning_rate=0.02, **_SGD),
            TrainingPlan(n_epochs=20, batch_size=128, learning_rate=0.05, **_SGD), 4.0,
        ),
    },
    measure, of_lenet, partial(draw_results, "fidelity_mnist"),
)  # fmt: skip
ENLARGING = Experiment(
    "fidelity_enlarging",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 300, (300, 1200), (1, 3),
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=60, batch_size=50, learning_rate=0.1, **_SGD), 4.0,
        ),
        "full": Setting(
            "fashion_mnist", 3, Architecture("lenet"), 1000, (1000, 4000), (1, 3),
            TrainingPlan(n_epochs=30, batch_size=64, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=60, batch_size=64, learning_rate=0.05, **_SGD), 4.0,
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 5000, (5000, 10_000, 15_000, 20_000), (1, 3),
            TrainingPlan(n_epochs=200, batch_size=256, learning_rate=0.1, weight_decay=1e-4, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, learning_rate=0.05, weight_decay=1e-4, **_SGD), 4.0,
        ),
    },
    measure, claims, partial(draw_results, "fidelity_enlarging"),
)  # fmt: skip
