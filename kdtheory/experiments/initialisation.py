"""Students that start near their teacher, and optimisers: Stanton et al. (2021), section 6.2 and figure 6."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure

from kdtheory.experiments.claims import Claim
from kdtheory.experiments.experiment import Experiment, ImageSet, Results
from kdtheory.experiments.networks import Architecture, draw, last, of_student, train_on_labels
from kdtheory.fidelity import top1_agreement
from kdtheory.figures.flow import STUDENT
from kdtheory.figures.statistical import COLORS, draw_band, draw_legend
from kdtheory.figures.surfaces import draw_plane
from kdtheory.nets import LossSurface, TrainingPlan, interpolate, loss_surface, plane_through, train


@dataclass(frozen=True)
class Setting:
    """A teacher, and students that start between it and random weights.

    Attributes
    ----------
    data, n_trials
        As in `Experiment`.
    network : Architecture
    n_images : int
    shares : tuple of float
        λ of the teacher's weights in the student's first ones.
    drawn : tuple of float
        Those of them for which the loss surface is drawn.
    epochs : tuple of int
        Of students from random weights, for each optimiser.
    grid, n_drawn : int
        Points along each side of a loss surface, and images that it is the mean over.
    teacher_plan, student_plan, adam_plan : TrainingPlan
        Students by Adam take the last one.
    temperature : float
    """

    data: str
    n_trials: int
    network: Architecture
    n_images: int
    shares: tuple[float, ...]
    drawn: tuple[float, ...]
    epochs: tuple[int, ...]
    grid: int
    n_drawn: int
    teacher_plan: TrainingPlan
    student_plan: TrainingPlan
    adam_plan: TrainingPlan
    temperature: float = 1.0

    def __str__(self) -> str:
        return f"{self.data}, {self.network.kind}, {self.n_images} images"


def measure(setting: Setting, images: ImageSet, seed: int) -> dict[str, Any]:
    """Train a teacher and its students of one trial.

    Returns
    -------
    dict
        `agreement`, `test agreement` and `loss` (shares,) at the end, on the images of the distillation but for the
        second; `sgd` and `adam` (epochs,), agreement of students from random weights; `losses` (drawn, grid, grid) on
        planes through teacher, start and end, which are the `networks` (drawn, 3, 2), at `axes` (drawn, 2, grid).
    """
    own = draw(images.train, setting.n_images, seed)
    teacher = train_on_labels(setting.network, own, setting.teacher_plan, seed, 1)
    random = setting.network.make(own.X.shape[1:], seed, 2)
    wanted = teacher.logits(images.test.X)
    at_end: dict[str, Any] = {name: [] for name in ("agreement", "test agreement", "loss")}
    planes: dict[str, Any] = {name: [] for name in ("losses", "networks", "axes")}
    plan, loss = of_student(setting.student_plan, setting.temperature, seed)
    for share in setting.shares:
        start = interpolate(teacher.model, random, share=share)
        run = train(start, own.X, None, plan=plan, loss=loss, teacher=teacher)
        logits = run.logits(own.X)
        at_end["agreement"].append(top1_agreement(teacher.logits(own.X), logits))
        at_end["test agreement"].append(top1_agreement(wanted, run.logits(images.test.X)))
        at_end["loss"].append(last(run, "loss"))
        if share in setting.drawn:
            found = _surface(setting, teacher, start, run, own.X, loss)
            for name, value in zip(planes, (found.losses, found.points, (found.x, found.y)), strict=True):
                planes[name].append(value)
    for name, of in (("sgd", setting.student_plan), ("adam", setting.adam_plan)):
        plans = [replace(of_student(of, setting.temperature, seed)[0], n_epochs=n) for n in setting.epochs]
        runs = [train(random, own.X, None, plan=each, loss=loss, teacher=teacher) for each in plans]
        at_end[name] = [top1_agreement(teacher.logits(own.X), run.logits(own.X)) for run in runs]
    return {**at_end, **planes}


def _surface(setting: Setting, teacher: Any, start: Any, run: Any, X: np.ndarray, loss: Any) -> LossSurface:
    """Loss on the plane through a teacher, where its student began and where it ended."""
    plane = plane_through(teacher.model, start, run.model)
    across, up = (
        np.linspace(low - 0.25 * (high - low), high + 0.25 * (high - low), setting.grid)
        for low, high in zip(plane.points.min(axis=0), plane.points.max(axis=0), strict=True)
    )
    some = X[: setting.n_drawn]
    return loss_surface(plane, some, None, teacher=teacher, loss=loss, across=across, up=up)


def claims(setting: Setting, results: Results) -> list[Claim]:
    """Say what the results are for the paper's claims."""
    source = "Stanton et al. (2021), Fig. 6"
    between = np.array(setting.shares) < 1.0  # at 1 it is the teacher
    shares = np.array(setting.shares)[between]
    agreement, loss = results["agreement"][:, between], results["loss"][:, between]
    tested = results["test agreement"][:, between]
    near, far = shares >= 0.375, shares <= 0.25
    slopes = np.diff(agreement, axis=1) / np.diff(shares)
    jump = int(slopes.mean(axis=0).argmax())
    own, others = slopes[:, jump], np.delete(slopes, jump, axis=1)
    longest = {name: results[name][:, -1] for name in ("sgd", "adam")}
    say = partial(Claim, source, setting=str(setting))
    return [
        say(
            "students that start near their teacher agree more",
            values=agreement[:, near].mean(axis=1) - agreement[:, far].mean(axis=1),
        ),
        say(
            f"agreement jumps from λ = {shares[jump]:g} to {shares[jump + 1]:g}: slope less the next",
            values=own - others.max(axis=1),
        ),
        say("they agree more on test images too", values=tested[:, near].mean(axis=1) - tested[:, far].mean(axis=1)),
        say("their loss is lower", values=loss[:, far].mean(axis=1) - loss[:, near].mean(axis=1)),
        say(
            "those that start far agree on fewer than 99 % of their own images",
            values=0.99 - agreement[:, far].mean(axis=1),
        ),
        say(
            f"training for {setting.epochs[-1]} epochs instead of {setting.epochs[0]} improves agreement (SGD)",
            values=np.diff(results["sgd"][:, [0, -1]])[:, 0],
        ),
        say(
            f"after {setting.epochs[-1]} epochs the agreement is still below 99 % (SGD)",
            values=0.99 - longest["sgd"],
        ),
        say("SGD agrees more than Adam", values=longest["sgd"] - longest["adam"]),
    ]


def draw_results(setting: Setting, results: Results) -> dict[str, Figure]:
    """Draw agreement and loss by λ, agreement by epochs, and the first trial's loss surfaces."""
    figure, panels = plt.subplots(1, 3, figsize=(5.5, 2.3))
    shares, epochs = np.array(setting.shares), np.array(setting.epochs)
    draw_band(panels[0], shares, results["agreement"], "on its own images", color=STUDENT, marker="o", markersize=3)
    draw_band(panels[0], shares, results["test agreement"], "on test images", color=COLORS[1], marker="s", markersize=3)
    draw_band(panels[1], shares, results["loss"], "_", color=STUDENT, marker="o", markersize=3)
    for name, label, color in (("sgd", "SGD", COLORS[2]), ("adam", "Adam", COLORS[4])):
        draw_band(panels[2], epochs, results[name], label, color=color, marker="^", markersize=3)
    panels[1].set_yscale("log")
    panels[2].set_xscale("log")
    panels[2].set_xticks(epochs, [f"{each:g}" for each in epochs], minor=False)
    panels[2].minorticks_off()
    labels = ("agreement", "loss at the end", "agreement on its own")
    for axes, x, y in zip(panels, ("λ of the teacher", "λ of the teacher", "epochs"), labels, strict=True):
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    draw_legend(figure, panels, n_trials=len(results["agreement"]), ncols=4, shown="bands")
    planes, rows = plt.subplots(1, len(setting.drawn), figsize=(5.5, 2.1), squeeze=False)
    for i, (axes, share) in enumerate(zip(rows[0], setting.drawn, strict=True)):
        x, y = results["axes"][0, i]
        surface = LossSurface(x, y, results["losses"][0, i], None, None, results["networks"][0, i])
        draw_plane(axes, surface, ("teacher", "start", "end"))
        axes.set_aspect("auto")  # planes of students from afar are long
        axes.set_title(f"λ = {share:g}")
    return {"fidelity_initialisation": figure, "fidelity_planes": planes}


_SGD: dict[str, Any] = {"momentum": 0.9, "schedule": "cosine"}
INITIALISATION = Experiment(
    "fidelity_initialisation",
    {
        "quick": Setting(
            "digits", 2, Architecture("perceptron", 16), 300, (0.0, 0.25, 0.375, 0.75), (0.0, 0.375), (10, 40), 9, 200,
            TrainingPlan(n_epochs=40, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=50, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=50, optimiser="adam", learning_rate=3e-3, schedule="cosine"),
        ),
        "full": Setting(
            "fashion_mnist", 3, Architecture("lenet"), 1000, (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
            (0.0, 0.25, 0.375), (40, 160), 15, 300,
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.02, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=64, learning_rate=0.02, **_SGD),
            TrainingPlan(n_epochs=40, batch_size=64, optimiser="adam", learning_rate=1e-3, schedule="cosine"),
        ),
        "paper": Setting(
            "cifar10", 3, Architecture("resnet", depth=20), 20_000, (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 1.0),
            (0.0, 0.25, 0.375), (300, 1000), 21, 2000,
            TrainingPlan(n_epochs=200, batch_size=256, learning_rate=0.1, weight_decay=1e-4, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, learning_rate=0.05, **_SGD),
            TrainingPlan(n_epochs=300, batch_size=128, optimiser="adam", learning_rate=1e-3, schedule="cosine"),
        ),
    },
    measure, claims, draw_results,
)  # fmt: skip
