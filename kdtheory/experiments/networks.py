"""Teachers and students of the experiments: which network, trained how, and how good and how faithful it is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import jax
import numpy as np

from kdtheory.fidelity import (
    accuracy,
    expected_calibration_error,
    negative_log_likelihood,
    predictive_kl,
    top1_agreement,
)
from kdtheory.figures.images import Images
from kdtheory.nets import (
    DistillationLoss,
    Ensemble,
    LeNet5,
    MultilayerPerceptron,
    ResNet,
    Snapshot,
    TrainingPlan,
    TrainingRun,
    train,
)

N_CLASSES = 10
SCORES = ("accuracy", "log-loss", "calibration error", "agreement", "divergence")


@dataclass(frozen=True)
class Architecture:
    """A kind of network and its size.

    Attributes
    ----------
    kind : {"perceptron", "lenet", "resnet"}
    width, depth : int
        Of a perceptron its hidden layers; of a residual network, which has layer normalisation, the depth alone.
    """

    kind: Literal["perceptron", "lenet", "resnet"]
    width: int = 32
    depth: int = 2

    def make(self, shape: tuple[int, ...], *seeds: int) -> Any:
        """Make a network for images of a shape, with weights of its own for other seeds."""
        key = jax.random.key(0)
        for seed in seeds:
            key = jax.random.fold_in(key, seed)
        if self.kind == "perceptron":
            return MultilayerPerceptron(int(np.prod(shape)), N_CLASSES, width=self.width, depth=self.depth, key=key)
        if self.kind == "lenet":
            return LeNet5(shape, N_CLASSES, key=key)
        channels = shape[2] if len(shape) == 3 else 1
        return ResNet(N_CLASSES, depth=self.depth, channels=channels, normalisation="layer", key=key)


def draw(images: Images, size: int, seed: int) -> Images:
    """Draw so many images, none twice; a larger size begins with the images of a smaller one."""
    if size > len(images.y):
        raise ValueError(f"images must be {size} or more to train on, got {len(images.y)}")
    chosen = np.random.default_rng(seed).permutation(len(images.y))[:size]
    return Images(images.X[chosen], images.y[chosen].astype(int))


def train_on_labels(network: Architecture, images: Images, plan: TrainingPlan, *seeds: int) -> TrainingRun:
    """Train a network on labels, from weights and in an order of its own for other seeds."""
    model = network.make(images.X.shape[1:], *seeds)
    return train(model, *images, plan=replace(plan, seed=sum(seeds)))


def ensembles(members: Sequence[Snapshot], sizes: Sequence[int]) -> dict[int, Snapshot]:
    """Give ensembles of the first members, of each size."""
    return {size: members[0] if size == 1 else Ensemble(members[:size]) for size in sizes}


def scores(student: Snapshot, teacher_logits: np.ndarray, test: Images) -> np.ndarray:
    """Give `SCORES` of a student for test images, of shape (5,)."""
    logits = student.logits(test.X)
    return np.array([
        accuracy(logits, test.y),
        negative_log_likelihood(logits, test.y),
        expected_calibration_error(logits, test.y),
        top1_agreement(teacher_logits, logits),
        predictive_kl(teacher_logits, logits),
    ])  # fmt: skip


def last(run: TrainingRun, column: str) -> float:
    """Give a number of the last epoch."""
    return float(run.history[column].iloc[-1])


def of_student(plan: TrainingPlan, temperature: float, *seeds: int) -> tuple[TrainingPlan, DistillationLoss]:
    """Give a student's plan and loss; gradients of sure teachers grow with the temperature, so they are clipped."""
    bound = 1.0 if plan.clip_norm is None and temperature > 1.0 else plan.clip_norm
    return replace(plan, seed=sum(seeds), clip_norm=bound), DistillationLoss(temperature=temperature)


def train_student(
    network: Architecture,
    images: np.ndarray,
    teacher: Snapshot,
    plan: TrainingPlan,
    temperature: float,
    *seeds: int,
    labels: np.ndarray | None = None,
    label_weight: float = 0.0,
) -> TrainingRun:
    """Train a student on what a teacher says of images, and on labels if they have a weight."""
    model = network.make(images.shape[1:], *seeds)
    bounded, loss = of_student(plan, temperature, *seeds)
    return train(model, images, labels, plan=bounded, loss=loss, teacher=teacher, label_weight=label_weight)
