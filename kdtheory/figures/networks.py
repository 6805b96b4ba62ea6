"""Trained teachers and students in the eigenspace of their data: experiments of Nagarajan et al. (2023), appendix D."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from scipy.special import softmax

from kdtheory.eigenspace import accuracies_by_directions, data_directions, exaggerations
from kdtheory.fidelity import exaggeration_slope, logit_logit_points
from kdtheory.figures.fidelity import draw_logit_logit
from kdtheory.figures.flow import STUDENT, TEACHER
from kdtheory.figures.images import Images, draw_split, read_digits
from kdtheory.figures.script import Reproduction
from kdtheory.figures.statistical import mean_and_error
from kdtheory.figures.style import STYLE
from kdtheory.figures.trials import run_trials
from kdtheory.nets import DistillationLoss, Snapshot, TrainingPlan, train
from kdtheory.reproduced import Reproduced, claimed

N_DRAWN = 6
"""Pairs of directions of which curves are kept and drawn."""

_N_DIRECTIONS = 12
_N_KEPT = 24


@dataclass(frozen=True)
class Layer:
    """Where weights are looked at.

    Attributes
    ----------
    name : str
        For titles and tables.
    inputs : callable
        `inputs(model, X)` gives what the layer multiplies, in rows: its eigendirections are used. It is asked of the
        teacher at its end.
    weights : callable
        `weights(model)` gives the layer's matrix of shape (p, h).
    source, published : str
        Where a paper says of how many pairs of directions the student is more biased, and that as an inequality.
    """

    name: str
    inputs: Callable[[Any, np.ndarray], np.ndarray]
    weights: Callable[[Any], np.ndarray]
    source: str
    published: str


@dataclass(frozen=True)
class Setting:
    """A network, its layers, and how teacher and student are trained.

    Attributes
    ----------
    make : callable
        `make(shape, key)` gives the network for images of a shape; teacher and student start from the same one.
    layers : tuple of Layer
    plan : TrainingPlan
        Its seed is replaced by the trial's.
    n_train, n_test : int
    wrong : float, default 0.0
        Share of training labels that are replaced by another class.
    temperature : float, default 4.0
    """

    make: Callable[[tuple[int, ...], Any], Any]
    layers: tuple[Layer, ...]
    plan: TrainingPlan
    n_train: int
    n_test: int
    wrong: float = 0.0
    temperature: float = 4.0


def run_and_draw(
    setting: Setting, images: Images | None, figures: Sequence[str], *, n_trials: int, jobs: int | None = None
) -> Reproduction:
    """Run the trials of a setting, print what is found, and draw the first of them.

    Parameters
    ----------
    setting : Setting
    images : Images or None
        None: the digits of scikit-learn.
    figures : sequence of str
        File names: of the curves of every layer, and of the logit-logit plots.
    n_trials, jobs : int
        As for `run_trials`.

    Returns
    -------
    Reproduction
    """
    found = read_digits() if images is None else images
    run = run_trials(partial(learn, setting, found), n_trials, jobs=jobs, title="networks")
    print_findings(setting, run)
    *of_layers, of_confidence = figures
    with plt.style.context(STYLE):
        curves = {name: draw_curves(run, each.name) for name, each in zip(of_layers, setting.layers, strict=True)}
        curves[of_confidence] = draw_confidence(run)
    return Reproduction(curves, published(setting, run))


def learn(setting: Setting, images: Images, seed: int) -> dict[str, np.ndarray]:
    """Train a teacher on labels, and a student on the teacher alone, and give what the papers look at.

    Parameters
    ----------
    setting : Setting
    images : Images
        Of which each trial draws its own.
    seed : int

    Returns
    -------
    dict of str to array
        Of every layer, by its name: `curves` (2, 2, n_epochs + 1, 6), lengths of the weights of teacher and student
        along the higher and the lower direction of six random pairs; the `share` of pairs in which the student is
        more biased, of 12 directions spread over the spectrum, the `median` of their exaggerations, and how many could
        be `compared`: in some the student makes no way along the higher direction.
        `train` and `test` points (2, n) of teacher and student in the logit-logit plot, the `slopes` of the bottom
        quarter there, accuracies, and confidence in the given labels, right and wrong ones.
    """
    rng = np.random.default_rng(seed)
    X, truth, y, X_test, y_test = draw_split(images, setting.n_train, setting.n_test, setting.wrong, rng)
    is_wrong = y != truth
    model = setting.make(X.shape[1:], jax.random.key(seed))
    plan = replace(setting.plan, seed=seed)
    loss = DistillationLoss(temperature=setting.temperature)  # one for both, so that a step is compiled once

    def weights(now: Snapshot) -> dict[str, np.ndarray]:  # the eigenspace is known at the teacher's end only
        return {layer.name: layer.weights(now.model) for layer in setting.layers}

    teacher = train(model, X, y, plan=plan, loss=loss, observe=weights)
    student = train(model, X, y, plan=plan, loss=loss, teacher=teacher, observe=weights)
    directions = [data_directions(layer.inputs(teacher.model, X)) for layer in setting.layers]
    results: dict[str, Any] = {}
    for layer, each in zip(setting.layers, directions, strict=True):
        curves = [np.stack([each.components(now) for now in run.observed[layer.name]]) for run in (teacher, student)]
        results |= _of_layer(layer.name, curves, len(each.eigenvalues), rng)
    for name, points, classes in (("train", X, y), ("test", X_test, y_test)):
        logits = [run.logits(points) for run in (teacher, student)]
        results[name] = np.stack(logit_logit_points(*logits))
        results[f"{name} slope"] = exaggeration_slope(logits[0], logits[1], n_resamples=100).slope
        results[f"{name} accuracy"] = [np.mean(each.argmax(axis=1) == classes) for each in logits]
        if name == "train":
            sure = np.stack([softmax(each, axis=1)[np.arange(len(y)), y] for each in logits])
            results["confidence, right labels"] = np.mean(sure[:, ~is_wrong], axis=1)
            if is_wrong.any():
                results["confidence, wrong labels"] = np.mean(sure[:, is_wrong], axis=1)
    if len(setting.layers) == 1 and is_wrong.any():
        layer, found = setting.layers[0], directions[0]
        F, W, kept = layer.inputs(teacher.model, X), layer.weights(teacher.model), n_kept(len(found.eigenvalues))
        for name, some in (("right", ~is_wrong), ("wrong", is_wrong)):
            results[f"kept, {name} labels"] = accuracies_by_directions(F[some], y[some], W, found, kept)
        results["kept"] = kept
    return {name: np.asarray(value) for name, value in results.items()}


def n_kept(rank: int) -> np.ndarray:
    """Numbers of top directions for which a model's accuracy is looked at."""
    return np.unique(np.round(np.linspace(1, rank, _N_KEPT)).astype(int))


def _of_layer(name: str, curves: list[np.ndarray], rank: int, rng: np.random.Generator) -> dict[str, Any]:
    teacher, student = curves
    spread = np.unique(np.round(np.geomspace(1, rank, _N_DIRECTIONS)).astype(int)) - 1
    comparable = np.any((student - teacher[0]) * np.sign(teacher[-1] - teacher[0]) > 0.0, axis=0)
    pairs = np.array([pair for pair in itertools.combinations(spread.tolist(), 2) if comparable[pair[0]]])
    if len(pairs) < N_DRAWN:
        raise ValueError(
            f"{name} must have {N_DRAWN} pairs of directions or more, along the higher of which the student makes some"
            f" way, got {len(pairs)}"
        )
    values = exaggerations(teacher, student, pairs)
    drawn = np.sort(rng.choice(len(pairs), N_DRAWN, replace=False))
    return {
        f"{name} curves": np.stack([[curve[:, pairs[drawn, i]] for i in range(2)] for curve in curves]),
        f"{name} pairs": pairs[drawn],
        f"{name} of drawn": values[drawn],
        f"{name} share": np.mean(values > 0.0),
        f"{name} median": np.median(values),
        f"{name} compared": len(values),
    }


def print_findings(setting: Setting, run: Mapping[str, np.ndarray]) -> None:
    """Print what the paper finds by eye, as numbers with standard errors over trials."""

    def line(what: str, values: np.ndarray) -> None:
        mean, error = mean_and_error(values.astype(float))
        print(f"  {what:62s} " + "  ".join(f"{m:6.3f} ± {e:.3f}" for m, e in np.nditer([mean, error])))

    print(f"{len(run['train slope'])} trials, {setting.n_train} images, {setting.plan.n_epochs} epochs")
    for layer in setting.layers:
        line(f"{layer.name}: share of pairs where the student is more biased", run[f"{layer.name} share"])
        line(f"{layer.name}: by how much, median over pairs", run[f"{layer.name} median"])
        line(f"{layer.name}: number of pairs that can be compared", run[f"{layer.name} compared"])
    print("  of teacher and student:")
    for name in ("train accuracy", "test accuracy", "confidence, right labels", "confidence, wrong labels"):
        if name in run:
            line(name, run[name])
    for name in ("train", "test"):
        line(f"slope of the bottom quarter in the logit-logit plot, {name}", run[f"{name} slope"])


def published(setting: Setting, run: Mapping[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold what is found against what the paper sees by eye."""
    rows = [
        claimed(
            f"{each.name}: share of pairs of directions in which the student is more biased",
            run[f"{each.name} share"],
            each.published,
            each.source,
        )
        for each in setting.layers
    ]
    fig18 = "Nagarajan et al. (2023), Fig. 18: low confidence is exaggerated"
    rows += [
        claimed(f"slope where the teacher is least sure, {where} images", run[f"{part} slope"], "> 1", fig18)
        for part, where in (("train", "training"), ("test", "new"))
    ]
    if "confidence, wrong labels" in run:
        teacher, student = np.transpose(run["confidence, wrong labels"])
        source = "Nagarajan et al. (2023), appendix D.2"
        rows.append(claimed("confidence in wrong labels, student less teacher", student - teacher, "< 0", source))
    return tuple(rows)


def draw_curves(run: Mapping[str, np.ndarray], layer: str) -> Figure:
    """Draw the first trial's curves of teacher and student along pairs of directions.

    Parameters
    ----------
    run : mapping of str to array
        Stacked results of `learn`.
    layer : str
        Its name.

    Returns
    -------
    matplotlib Figure
        A panel for each pair, the higher direction to the right, with a star where each curve ends, and the pair's
        exaggeration. Source: Nagarajan et al. (2023), Figures 19 to 23.
    """
    figure, panels = plt.subplots(2, N_DRAWN // 2, figsize=(5.5, 3.6))
    curves, pairs, sizes = (run[f"{layer} {what}"][0] for what in ("curves", "pairs", "of drawn"))
    for i, axes in enumerate(panels.flat):
        for (x, y), color, style, label in zip(
            curves[..., i], (TEACHER, STUDENT), ("-", (0, (4, 1.5))), ("teacher", "student"), strict=True
        ):
            axes.plot(x, y, color=color, linestyle=style, label=label)
            axes.plot(x[-1], y[-1], "*", color=color, markersize=8 if label == "teacher" else 5, zorder=3)
        top, bottom = pairs[i] + 1
        axes.set(xlabel=rf"$\|W^T v_{{{top}}}\|$", ylabel=rf"$\|W^T v_{{{bottom}}}\|$")
        axes.set_title(f"{sizes[i]:+.2f}", fontsize=7)
        axes.locator_params(nbins=3)
    handles = panels[0, 0].get_legend_handles_labels()
    figure.legend(
        *handles,
        loc="outside lower center",
        ncols=2,
        title="above: exaggeration, in units of the teacher's way",
        title_fontsize=7,
    )
    return figure


def draw_confidence(run: Mapping[str, np.ndarray]) -> Figure:
    """Draw the first trial's logit-logit plots, and which labels need which directions where some are wrong.

    Parameters
    ----------
    run : mapping of str to array
        Stacked results of `learn`.

    Returns
    -------
    matplotlib Figure
        Source: Nagarajan et al. (2023), Figures 17 and 18.
    """
    with_kept = "kept" in run
    figure, panels = plt.subplots(1, 2 + with_kept, figsize=(5.5, 2.3 if with_kept else 3.0))
    for axes, name, title in zip(panels, ("train", "test"), ("training images", "new images"), strict=False):
        draw_logit_logit(axes, *run[name][0])
        axes.set(title=title)
    if with_kept:
        for name, color in (("right", TEACHER), ("wrong", STUDENT)):
            mean, error = mean_and_error(run[f"kept, {name} labels"])
            panels[2].errorbar(run["kept"][0], mean, error, color=color, capsize=1.5, label=f"{name} labels")
        panels[2].set(
            xlabel="top directions kept", ylabel="teacher's accuracy", title="directions needed", ylim=(0.0, 1.03)
        )
        panels[2].legend(loc="lower right")
    return figure
