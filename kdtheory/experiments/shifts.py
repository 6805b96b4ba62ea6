"""Robust teachers and their students: Pham et al. (2022), section 7, figure 9, with corrupted images as the shift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.corruptions import corrupt
from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import Architecture, draw, train_on_labels, train_student
from kdtheory.fidelity import accuracy
from kdtheory.figures.images import Images
from kdtheory.figures.robustness import draw_effective_robustness
from kdtheory.figures.statistical import draw_level, draw_trials
from kdtheory.nets import TrainingPlan
from kdtheory.robustness import EffectiveRobustness, effective_robustness


@dataclass(frozen=True)
class Setting:
    """A testbed of networks, and a teacher that has seen corrupted images.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
        Of teacher and students.
    n_images : int
        Of students, and of the teacher besides its corrupted ones.
    testbed : tuple of (Architecture, int)
        Networks that are trained on so many clean images.
    n_test : int
    seen : tuple of str
        Corruptions, one for each copy of the teacher's images, at all severities.
    shifts : tuple of (str, int)
        Corruption and severity of test images.
    label_weights : tuple of float
        Of students, from 0 on.
    plan : TrainingPlan
    temperature : float
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    testbed: tuple[tuple[Architecture, int], ...]
    n_test: int
    seen: tuple[str, ...]
    shifts: tuple[tuple[str, int], ...]
    label_weights: tuple[float, ...]
    plan: TrainingPlan
    temperature: float = 1.0

    @property
    def models(self) -> tuple[str, ...]:
        """Names of all networks: the testbed, the teacher, its students."""
        students = (f"student, {weight:g}" for weight in self.label_weights)
        return (*(f"{i}" for i in range(len(self.testbed))), "teacher", *students)

    @property
    def in_testbed(self) -> np.ndarray:
        """Which networks the line is fitted to."""
        return np.arange(len(self.models)) < len(self.testbed)

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_images} images, teacher has seen {', '.join(self.seen)}"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train all networks of one trial.

    Returns
    -------
    dict
        `reference` (models,) and `shifted` (shifts, models): accuracies on clean and on corrupted test images;
        `robustness` (shifts, models): accuracy beyond the line of the trial's own testbed.
    """
    most = max(setting.n_images, *(n for _, n in setting.testbed))
    pool = draw(images.train, most, seed)
    own = Images(pool.X[: setting.n_images], pool.y[: setting.n_images])
    test = Images(images.test.X[: setting.n_test], images.test.y[: setting.n_test])
    shifted = [corrupt(test.X, kind, severity, seed=0) for kind, severity in setting.shifts]
    trained: list[Any] = [
        train_on_labels(network, Images(pool.X[:n], pool.y[:n]), setting.plan, seed, 10 + i)
        for i, (network, n) in enumerate(setting.testbed)
    ]
    teacher = train_on_labels(setting.network, _with_corrupted(own, setting.seen, seed), setting.plan, seed, 1)
    students = [
        train_student(
            setting.network, own.X, teacher, setting.plan, setting.temperature, seed, 100,
            labels=own.y, label_weight=weight,
        )
        for weight in setting.label_weights
    ]  # fmt: skip
    models = [*trained, teacher, *students]
    reference = np.array([accuracy(each.logits(test.X), test.y) for each in models])
    beyond = np.array([[accuracy(each.logits(some), test.y) for each in models] for some in shifted])
    lines = [_line(setting, reference, each) for each in beyond]
    return {"reference": reference, "shifted": beyond, "robustness": [each.robustness for each in lines]}


def _with_corrupted(images: Images, kinds: tuple[str, ...], seed: int) -> Images:
    """Images, and a copy of them in every corruption, each fifth of it in another severity."""
    parts = [images.X]
    for i, kind in enumerate(kinds):
        copy = np.empty_like(images.X)
        for severity in range(1, 6):
            some = slice(severity - 1, None, 5)
            copy[some] = corrupt(images.X[some], kind, severity, seed=1 + i + 10 * seed, first=severity * len(images.y))
        parts.append(copy)
    return Images(np.concatenate(parts), np.tile(images.y, len(parts)))


def _line(setting: Setting, reference: np.ndarray, shifted: np.ndarray) -> EffectiveRobustness:
    return effective_robustness(
        reference, shifted, testbed=setting.in_testbed, names=setting.models, n_points=(setting.n_test, setting.n_test)
    )


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims, for every shift."""
    source = "Pham et al. (2022), Fig. 9"
    first = len(setting.testbed)
    found = []
    for i, (kind, severity) in enumerate(setting.shifts):
        robustness, of = results["robustness"][:, i], f"{kind} {severity}".replace("_", " ")
        teacher, students = robustness[:, first], robustness[:, first + 1 :]
        found += [
            (f"{of}: the teacher is more robust than the line", teacher),
            (f"{of}: its student without labels is more robust than the line", students[:, 0]),
            (f"{of}: robustness is lost at the largest label weight", students[:, 0] - students[:, -1]),
        ]
    reference = results["reference"][:, first:]
    found += [
        (
            "clean images: the student without labels is less accurate than its teacher",
            reference[:, 0] - reference[:, 1],
        ),
        ("clean images: labels make the student more accurate (largest weight)", reference[:, -1] - reference[:, 1]),
    ]
    return [Claim(source, statement, str(setting), values) for statement, values in found]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw the testbed of all trials with teacher and students in the mean, and robustness by label weight."""
    first, n_trials = len(setting.testbed), len(results["reference"])
    shown = setting.models[first:]
    n_shifts = len(setting.shifts)
    figure, panels = plt.subplots(2, n_shifts, figsize=(5.5, 4.4), squeeze=False)
    for axes, below, i in zip(*panels, range(n_shifts), strict=True):
        kind, severity = setting.shifts[i]
        both = [
            np.concatenate([each[:, :first].ravel(), each[:, first:].mean(axis=0)])
            for each in (results["reference"], results["shifted"][:, i])
        ]
        beds = np.arange(len(both[0])) < n_trials * first
        names = (*(f"{j}" for j in range(n_trials * first)), *shown)
        line = effective_robustness(*both, testbed=beds, names=names, n_points=(setting.n_test, setting.n_test))
        draw_effective_robustness(
            axes, line, chains={"teacher and students": shown}, xlabel="clean images (%)",
            ylabel=f"{kind.replace('_', ' ')} {severity} (%)",
        )  # fmt: skip
        robustness = 100.0 * results["robustness"][:, i, first:]
        draw_level(below, robustness[:, 0], "teacher")
        draw_trials(below, np.array(setting.label_weights), {"student": robustness[:, 1:]}, first_color=2)
        below.axhline(0.0, color="0.6", linewidth=0.6)
        below.set_xlabel("label weight")
        below.set_ylabel("effective robustness (points)" if i == 0 else "")
    entries: dict[str, Any] = {}
    for axes in panels[:, 0]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    title = f"{n_trials} trials; bars and bands below: ± 1 standard error of their mean"
    figure.legend(
        list(entries.values()), list(entries), loc="outside lower center", ncols=3, title=title, title_fontsize=7
    )
    return {"robustness": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
ROBUSTNESS = Experiment(
    "robustness",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 32), 400,
            tuple((Architecture("perceptron", 32), n) for n in (50, 100, 200, 400)), 449,
            ("gaussian_noise", "rotation"), (("rotation", 4), ("impulse_noise", 3)), (0.0, 0.5, 1.0),
            TrainingPlan(n_epochs=40, batch_size=50, learning_rate=0.05, **_SGD),
        ),
        "full": Setting(
            "fashion_mnist", 5, Architecture("perceptron", 128), 2000,
            tuple(
                (Architecture("perceptron", width, depth), n)
                for width, depth in ((32, 1), (128, 2)) for n in (125, 250, 500, 1000, 2000, 4000)
            ),
            5000, ("gaussian_noise", "rotation", "gaussian_blur"),
            (("rotation", 3), ("motion_blur", 3), ("pixelate", 3)), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.02, **_SGD),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 20_000,
            tuple(
                (Architecture("resnet", depth=depth), n)
                for depth in (8, 20) for n in (1000, 2500, 5000, 10_000, 20_000)
            ),
            1000, ("gaussian_noise", "rotation", "gaussian_blur"),
            (("rotation", 3), ("motion_blur", 3), ("pixelate", 3)), (0.0, 0.2, 0.4, 0.6, 0.8, 1.0),
            TrainingPlan(n_epochs=100, batch_size=128, learning_rate=0.05, weight_decay=1e-4, **_SGD),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
