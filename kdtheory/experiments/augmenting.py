"""What a student is shown beside the images of its teacher: Stanton et al. (2021), section 5.1, figures 3, 5, 8, 12."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
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
from kdtheory.figures.statistical import mean_and_error
from kdtheory.nets import (
    ColorJitter,
    Mixup,
    RandomCrop,
    RandomFlip,
    RandomRotation,
    Replacement,
    Sequential,
    TrainingPlan,
    UniformNoise,
)

ROTATION, FLIP, JITTER = RandomRotation(20.0), RandomFlip(axis="vertical"), ColorJitter()

POLICIES: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "baseline": lambda *_: (),
    "rotation": lambda *_: (ROTATION,),
    "vertical flip": lambda *_: (FLIP,),
    "colour jitter": lambda *_: (JITTER,),
    "combined": lambda *_: (ROTATION, FLIP, JITTER),
    "noise": lambda *_: (UniformNoise(0.2),),
    "out of domain": lambda _, foreign: (Replacement(foreign, probability=0.2),),
    "generated": lambda fresh, _: (Replacement(fresh, probability=0.2),),
    "mixup": lambda *_: (Mixup(),),
}
"""What follows the teacher's own augmentation. New images of the set stand in for those of a perfect generator; images
whose pixels changed places, for those of another domain."""


@dataclass(frozen=True)
class Setting:
    """Teachers, and students that are shown variants of their images.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
    n_images : int
        Of teachers and students.
    n_fresh : int
        Further images, for "generated" and "out of domain".
    members : tuple of int
        Networks in the teacher.
    policies : tuple of str
        Of `POLICIES`, at `temperature`; the first at temperature 1 as well.
    padding : int
        Of the random crops with which teachers are trained, beside flips from left to right.
    teacher_plan, student_plan : TrainingPlan
    temperature : float
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    n_fresh: int
    members: tuple[int, ...]
    policies: tuple[str, ...]
    padding: int
    teacher_plan: TrainingPlan
    student_plan: TrainingPlan
    temperature: float = 4.0

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the students."""
        return (f"{self.policies[0]}, T = 1", *(f"{each}, T = {self.temperature:g}" for each in self.policies))

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_images} images, temperature {self.temperature:g}"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train teachers and students of one trial.

    Returns
    -------
    dict
        `teachers` (members, 5) and `students` (members, 1 + policies, 5), scores on test images; `train agreement`
        (members, 1 + policies) on what the students were shown in their last epoch; `controls` (members,): agreement of
        each teacher with a student of another one, by the first policy.
    """
    pool = draw(images.train, setting.n_images + setting.n_fresh, seed)
    own, fresh = Images(pool.X[: setting.n_images], pool.y[: setting.n_images]), pool.X[setting.n_images :]
    foreign = _scrambled(fresh, seed)
    as_taught = (RandomCrop(setting.padding), RandomFlip())
    plan = replace(setting.teacher_plan, augment=Sequential(*as_taught))
    most = max(setting.members)
    taught = [train_on_labels(setting.network, own, plan, seed, 1 + i) for i in range(2 * most)]
    test = images.test
    results: dict[str, Any] = {"teachers": [], "students": [], "train agreement": [], "controls": []}
    others = ensembles(taught[most:], setting.members)
    for size, teacher in ensembles(taught[:most], setting.members).items():
        wanted = teacher.logits(test.X)
        results["teachers"].append(scores(teacher, wanted, test))

        def student(policy: str, temperature: float, of: Any, *seeds: int) -> Any:
            augment = Sequential(*as_taught, *POLICIES[policy](fresh, foreign))
            plan = replace(setting.student_plan, augment=augment)
            return train_student(setting.network, own.X, of, plan, temperature, *seeds)

        first = setting.policies[0]
        runs = [student(first, 1.0, teacher, seed, 100 + size)]
        runs += [student(each, setting.temperature, teacher, seed, 100 + size) for each in setting.policies]
        results["students"].append([scores(run, wanted, test) for run in runs])
        results["train agreement"].append([last(run, "agreement") for run in runs])
        control = student(first, setting.temperature, others[size], seed, 200 + size)
        results["controls"].append(scores(control, wanted, test)[3])
    return results


def _scrambled(images: np.ndarray, seed: int) -> np.ndarray:
    """Images with all pixels moved to other places, the same for all."""
    order = np.random.default_rng(seed).permutation(images.shape[1] * images.shape[2])
    return images.reshape(len(images), len(order), -1)[:, order].reshape(images.shape)


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims, with the mean over sizes of the teacher."""
    labels = setting.labels
    accuracy, agreement, divergence = (SCORES.index(name) for name in ("accuracy", "agreement", "divergence"))
    students, train = results["students"].mean(axis=1), results["train agreement"].mean(axis=1)

    def of(policy: str, score: int) -> np.ndarray:
        return students[:, 1 + setting.policies.index(policy), score]

    def shown(policy: str) -> np.ndarray:
        return train[:, 1 + setting.policies.index(policy)]

    base = setting.policies[0]
    fig3, fig5, fig8 = (f"Stanton et al. (2021), Fig. {number}" for number in (3, 5, 8))
    found = [
        (
            fig3,
            f"agreement: higher at T = {setting.temperature:g} than at T = 1",
            of(base, agreement) - students[:, 0, agreement],
        )
    ]
    for policy, score, statement, sign in (
        ("mixup", agreement, "agreement: higher with mixup than with the baseline", 1),
        ("mixup", accuracy, "accuracy: higher with mixup than with the baseline", 1),
        ("generated", accuracy, "accuracy: higher with generated images (here: new ones) than with the baseline", 1),
        ("combined", agreement, "agreement: higher with combined augmentations than with the baseline", 1),
        ("combined", accuracy, "accuracy: lower with combined augmentations than with the baseline", -1),
        ("noise", agreement, "agreement: lower with noise than with the baseline", -1),
        ("noise", accuracy, "accuracy: lower with noise than with the baseline", -1),
        ("out of domain", agreement, "agreement: lower with images out of the domain than with the baseline", -1),
        ("out of domain", divergence, "divergence: higher with images out of the domain than with the baseline", 1),
    ):
        if policy in setting.policies:
            source = fig8 if policy == "combined" and score == accuracy else fig3
            found.append((source, statement, sign * (of(policy, score) - of(base, score))))
    for policy in ("rotation", "combined", "mixup"):
        if policy in setting.policies:
            found.append(
                (
                    fig5,
                    f"agreement on what students are shown: lower with {policy} than with the baseline",
                    shown(base) - shown(policy),
                )
            )
    specific = results["students"][:, :, 1, agreement].mean(axis=1) - results["controls"].mean(axis=1)
    found.append(
        ("Stanton et al. (2021), Fig. 12", "agreement: higher than that of a student of another teacher", specific)
    )
    best = students[:, :, agreement].mean(axis=0).argmax()
    found.append(
        (
            fig3,
            f"even the best policy ({labels[best]}) agrees on fewer than nine in ten test images",
            0.9 - students[:, best, agreement],
        )
    )
    return [Claim(source, statement, str(setting), values) for source, statement, values in found]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw accuracy and agreement of every policy as bars, for the largest teacher, and agreement on what was shown."""
    last_size = len(setting.members) - 1
    students = results["students"][:, last_size]
    columns = (
        ("test accuracy", students[..., 0], results["teachers"][:, last_size, 0], "teacher"),
        ("test agreement", students[..., 3], results["controls"][:, last_size], "student of another teacher"),
        ("agreement on its own", results["train agreement"][:, last_size], None, ""),
    )
    figure, panels = plt.subplots(1, 3, figsize=(5.5, 2.9), sharey=True)
    y = np.arange(len(setting.labels))[::-1]
    for axes, (label, values, level, name) in zip(panels, columns, strict=True):
        mean, error = mean_and_error(values)
        best = mean.argmax()
        colors = ["#009e73" if i == best else "#56b4e9" for i in range(len(y))]
        axes.barh(y, mean, xerr=error, color=colors, error_kw={"elinewidth": 0.8, "capsize": 1.5})
        lowest = float((mean - error).min())
        if level is not None:
            at = float(np.mean(level))
            axes.axvline(at, color="black", linestyle=(0, (4, 2)), linewidth=1.0, label=name)
            axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))
            lowest = min(lowest, at)
        highest = float((mean + error).max())
        axes.set_xlim(left=max(0.0, lowest - 0.25 * (highest - lowest)))
        axes.set_xlabel(label)
    panels[0].set_yticks(y, setting.labels)
    panels[0].set_ylabel(f"student of {setting.members[-1]} networks")
    return {"fidelity_augmentation": figure}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
AUGMENTATION = Experiment(
    "fidelity_augmentation",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 32), 500, 200, (1,), ("baseline", "noise", "mixup"), 1,
            TrainingPlan(n_epochs=40, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=50, learning_rate=0.1, **_SGD),
        ),
        "full": Setting(
            "fashion_mnist", 3, Architecture("lenet"), 1000, 4000, (3,), tuple(POLICIES), 2,
            TrainingPlan(n_epochs=30, batch_size=64, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=30, batch_size=64, learning_rate=0.05, clip_norm=1.0, **_SGD),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 15_000, 5000, (1, 3, 5), tuple(POLICIES), 4,
            TrainingPlan(n_epochs=200, batch_size=256, learning_rate=0.1, weight_decay=1e-4, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, learning_rate=0.05, weight_decay=1e-4, **_SGD),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
