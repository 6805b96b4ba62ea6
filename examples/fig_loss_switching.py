"""Switching the loss in the middle
================================

Students whose loss switches in the middle of training, from the teacher to the labels or from these to the teacher.

Figures 24 and 25 of Nagarajan et al. (2023), appendix E, with small networks and images of digits, a tenth of which
have wrong labels in training: cross-entropy, a student that learns from the teacher alone at temperature 4, and label
weights that go from 0 to 1, or from 1 to 0, within a window of steps. One teacher is trained until it fits the labels,
another is stopped long before. Drawn are (1) the accuracy on new images by step, for three times of the switch, beside
distillation and plain training; and (2) the student's log odds of the teacher's top class on training images against
the teacher's, soon after a switch in the middle and at the end, with slopes of the bottom quarter. Printed are the
accuracies at the end, and what the window and the switch change.

As in the paper, a switch to the labels hurts where the teacher fits them, and helps where it was stopped early, most if
it comes late: then by as much as plain training helps, and a little more, within two standard errors. A switch to the
teacher brings the slopes above 1 that students of a teacher have in the bottom quarter, and a switch to the labels
undoes them; but not the lower confidence there, which stays. Not as in the paper, with MNIST neither teacher's student
is better than plain training, so that a switch to the teacher has nothing to regain. The window changes little at the
end; but where a student leaves the labels for a teacher that was stopped early, it is worse than both for a while, and
a long window spares it that. Numbers: benchmarks/results/loss_switching.txt.

Built in: the digits of scikit-learn, and two trials, which say little. With `--full` ten and more images; with `--data
FOLDER` MNIST from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import optax
from matplotlib.figure import Figure

from kdtheory.fidelity import exaggeration_slope, logit_logit_points
from kdtheory.figures import STYLE, Reproduction, Script, draw_band, draw_legend, draw_logit_logit, mean_and_error
from kdtheory.figures.images import Images, image_parser, mislabel, prepare, read_digits, split_images
from kdtheory.figures.trials import run_trials
from kdtheory.nets import DistillationLoss, MultilayerPerceptron, Snapshot, TrainingPlan, train
from kdtheory.reproduced import Reproduced, claimed

LOSS = DistillationLoss(temperature=4.0)
WRONG = 0.1
WIDTH = 100
SWITCHES = (0.25, 0.5, 0.75)
"""When the loss switches, as shares of all steps."""

WINDOW = 0.05
"""Share of all steps that a switch takes, as in the paper."""

TEACHERS = ("interpolating", "stopped early")
TO = {"the labels": (0.0, 1.0), "the teacher": (1.0, 0.0)}
"""Label weights before and after the switch."""


class Size(NamedTuple):
    """Numbers of images for training and new ones; when a teacher is stopped early; windows; and the training."""

    n_images: tuple[int, int]
    early: int
    windows: tuple[float, ...]
    plan: TrainingPlan

    @property
    def n_steps(self) -> int:
        """Count the steps of a training."""
        return self.plan.n_steps(self.n_images[0])


PLAN = TrainingPlan(n_epochs=24, batch_size=40, optimiser="adam", learning_rate=4e-3)
QUICK = Size((200, 500), 3, (WINDOW, 0.2), PLAN)
FULL = Size((400, 1000), 4, (0.0, WINDOW, 0.2), replace(PLAN, n_epochs=40, batch_size=50, learning_rate=1e-3))


class Switch(NamedTuple):
    """Where a student's loss switches to, when, and how long it takes, in shares of all steps."""

    to: str
    share: float
    window: float = WINDOW

    def label_weight(self, n_steps: int) -> Callable[[Any], Any]:
        """Give the label weight as a function of the step."""
        before, after = TO[self.to]
        return optax.linear_schedule(before, after, window_steps(self.window, n_steps), self.begin(n_steps))

    def begin(self, n_steps: int) -> int:
        """Give the step where it begins."""
        return round(self.share * n_steps)


PURE = "the teacher alone"
PLAIN = "the labels alone"
STUDENTS = tuple(Switch(to, share) for to in TO for share in SWITCHES)
EVERY: tuple[Switch | str, ...] = (PLAIN, PURE, *STUDENTS)
OF_CONFIDENCE: tuple[Switch | str, ...] = (PLAIN, PURE, *(Switch(to, SWITCHES[1]) for to in reversed(TO)))


def main(
    full: bool = False,
    trials: int | None = None,
    jobs: int | None = None,
    data: Images | None = None,
) -> Reproduction:
    """Print accuracies, and return figures and published numbers."""
    images = read_digits() if data is None else data
    size = FULL if full else QUICK
    n_trials = (10 if full else 2) if trials is None else trials
    run = run_trials(partial(learn, size, images), n_trials, jobs=jobs, title="loss switching")
    print_table(run, size)
    print_windows(run, size)
    print_confidence(run, size)
    with plt.style.context(STYLE):
        figures = {"loss_switching": draw(run, size), "loss_switching_confidence": draw_confidence(run, size)}
    return Reproduction(figures, published(run))


def published(run: Mapping[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold what switches in the middle do to the accuracy on new images against what the paper says of them."""
    source, middle = "Nagarajan et al. (2023), appendix E", SWITCHES[1]

    def change(teacher: str, to: str, before: str) -> np.ndarray:
        runs = (run[name_of(teacher, each)][:, 1, -1] for each in (Switch(to, middle), before))
        return np.subtract(*runs)

    hurt, helped = (change(teacher, "the labels", PURE) for teacher in TEACHERS)
    regained = [change(teacher, "the teacher", PLAIN) for teacher in TEACHERS]
    slopes = run[f"slopes of {Switch('the teacher', middle)}"][:, 1]
    return (
        claimed("accuracy gained by a switch to the labels, interpolating teacher", hurt, "< 0", source),
        claimed("accuracy gained by a switch to the labels, teacher stopped early", helped, "> 0", source),
        claimed("accuracy gained by a switch to the teacher, interpolating", regained[0], "> 0", source),
        claimed("accuracy gained by a switch to the teacher, stopped early", regained[1], "> 0", source),
        claimed("slope where the teacher is least sure, after a switch to it", slopes, "> 1", f"{source}, Fig. 25"),
    )


def name_of(teacher: str, student: Switch | str) -> str:
    """Name the run of a student; plain training has no teacher."""
    return PLAIN if student == PLAIN else f"{teacher}: {student}"


def learn(size: Size, images: Images, seed: int) -> dict[str, np.ndarray]:
    """Train a teacher, and students of it at its end and of it when it was stopped early.

    Returns
    -------
    dict of str to array
        For the teacher and every student, by name, accuracies of shape (2, n_epochs + 1) on the training labels and on
        new images. Of the first teacher's students without a switch and with one in the middle, `points of` them in the
        logit-logit plot, of shape (2, 2, n): soon after the switch and at the end, of teacher and student; and of the
        quarter where the teacher is least sure, the `slopes of` both, and how much less sure the student is, `less
        sure`.
    """
    rng = np.random.default_rng(seed)
    (X, truth), (X_test, y_test) = split_images(images, size.n_images, rng)
    n_classes = int(np.max(images.y)) + 1
    everything = np.concatenate([X, X_test])
    classes = np.concatenate([mislabel(truth, WRONG, n_classes, rng), y_test])
    y = classes[: len(X)]
    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(2)]
    starts = [MultilayerPerceptron(X[0].size, n_classes, width=WIDTH, key=key) for key in keys]

    def observe(now: Snapshot) -> dict[str, np.ndarray]:
        logits = now.logits(everything)
        right = logits.argmax(axis=1) == classes
        accuracies = np.array([np.mean(right[: len(X)]), np.mean(right[len(X) :])])
        return {"accuracies": accuracies, "logits": logits[: len(X)]}

    def trained(i: int, **how: Any) -> dict[str, np.ndarray]:
        plan = replace(size.plan, seed=2 * seed + i)
        return train(starts[i], X, y, plan=plan, loss=LOSS, observe=observe, **how).observed

    teacher = trained(0)
    logits_of = dict(zip(TEACHERS, (teacher["logits"][-1], teacher["logits"][size.early]), strict=True))
    runs = {"teacher": teacher, PLAIN: trained(1)}
    for name, logits in logits_of.items():
        runs[name_of(name, PURE)] = trained(1, teacher=logits)
        others = (Switch(to, SWITCHES[1], window) for to in TO for window in size.windows if window != WINDOW)
        for switch in (*STUDENTS, *others):
            weight = switch.label_weight(size.n_steps)
            runs[name_of(name, switch)] = trained(1, teacher=logits, label_weight=weight)
    results = {name: run["accuracies"].T for name, run in runs.items()}
    for student in OF_CONFIDENCE:
        run = runs[name_of(TEACHERS[0], student)]
        pairs = [(logits_of[TEACHERS[0]], run["logits"][epoch]) for epoch in epochs_of_confidence(size)]
        points = results[f"points of {student}"] = np.stack([logit_logit_points(*pair) for pair in pairs])
        bottom = points[0, 0] <= np.quantile(points[0, 0], 0.25)
        results[f"less sure: {student}"] = np.mean(points[:, 0, bottom] - points[:, 1, bottom], axis=1)
        results[f"slopes of {student}"] = np.array([exaggeration_slope(*pair, n_resamples=100).slope for pair in pairs])
    return results


def epochs_of_confidence(size: Size) -> tuple[int, int]:
    """Give the epoch in which the switch in the middle has ended, and the last one."""
    n_epochs = size.plan.n_epochs
    return int(np.ceil((SWITCHES[1] + WINDOW) * n_epochs)), n_epochs


def print_table(run: Mapping[str, np.ndarray], size: Size) -> None:
    """Print accuracies at the end, with standard errors, and how they differ from students that never switch."""
    n_trials, n_train, n_steps = len(run["teacher"]), size.n_images[0], size.n_steps
    print(f"{n_trials} trials, {n_train} images, {WRONG:.0%} with wrong labels, {n_steps} steps, of which a switch")
    print(f"takes {window_steps(WINDOW, n_steps)}, on {jax.devices()[0].device_kind}; ± standard error over trials")
    for teacher, epoch in zip(TEACHERS, (size.plan.n_epochs, size.early), strict=True):
        accuracies = (written(run["teacher"][:, part, epoch]) for part in range(2))
        print("teacher {}: training labels {}, new images {}".format(teacher, *accuracies))
    print("accuracy at the end, and on new images less that of the teacher alone, and of the labels alone")
    print(f"{'teacher':14s}  {'student':26s}  training labels  new images       - teacher alone   - labels alone")
    for teacher in TEACHERS:
        pure, plain = (run[name_of(teacher, each)][:, 1, -1] for each in (PURE, PLAIN))
        for student in EVERY:
            values = run[name_of(teacher, student)][:, :, -1]
            differences = (written(values[:, 1] - each, "+") for each in (pure, plain))
            accuracies = (written(values[:, part]) for part in range(2))
            print(f"{teacher:14s}  {told(student, n_steps):26s}", *accuracies, *differences, sep="  ")


def print_windows(run: Mapping[str, np.ndarray], size: Size) -> None:
    """Print what the length of the window changes, of switches in the middle."""
    print(
        "switch in the middle: lowest accuracy on new images after it, at the end, and less those of the first window"
    )
    for teacher in TEACHERS:
        for to in TO:
            runs = [run[name_of(teacher, Switch(to, SWITCHES[1], window))] for window in size.windows]
            found = [after_switch(each, round(SWITCHES[1] * size.plan.n_epochs)) for each in runs]
            for window, values in zip(size.windows, found, strict=True):
                differences = [written(new - old, "+") for new, old in zip(values, found[0], strict=True)]
                what = f"to {to}, {window_steps(window, size.n_steps)} steps"
                print(f"{teacher:14s}  {what:26s}", *map(written, values), *differences, sep="  ")


def print_confidence(run: Mapping[str, np.ndarray], size: Size) -> None:
    """Print how sure students of the first teacher are where it is least sure, at the two times drawn."""
    steps = steps_of_confidence(size)
    print(
        "quarter of the training images where the interpolating teacher is least sure: slope in the logit-logit plot,"
    )
    print(f"and how much lower the student's log odds are; each at steps {steps[0]} and {steps[1]}")
    for student in OF_CONFIDENCE:
        values = (run[f"{what} {student}"][:, i] for what in ("slopes of", "less sure:") for i in range(2))
        print(f"{told(student, size.n_steps):26s}", *map(written, values), sep="  ")


def told(student: Switch | str, n_steps: int) -> str:
    """Tell a student in a table."""
    return student if isinstance(student, str) else f"to {student.to} at step {student.begin(n_steps)}"


def window_steps(window: float, n_steps: int) -> int:
    """Give the number of steps of a window."""
    return max(1, round(window * n_steps))


def steps_of_confidence(size: Size) -> list[int]:
    """Give the steps at which students' confidence is looked at."""
    return [epoch * size.n_steps // size.plan.n_epochs for epoch in epochs_of_confidence(size)]


def after_switch(accuracies: np.ndarray, first: int) -> tuple[np.ndarray, np.ndarray]:
    """Give each trial's lowest accuracy on new images after an epoch, and that at the end."""
    return np.min(accuracies[:, 1, first + 1 :], axis=1), accuracies[:, 1, -1]


def written(trials: np.ndarray, sign: str = "") -> str:
    """Write a mean with its standard error."""
    mean, error = mean_and_error(trials)
    return f"{mean:{sign}.4f} ± {error:.4f}"


def draw(run: Mapping[str, np.ndarray], size: Size) -> Figure:
    """Draw the accuracy on new images by step, of both teachers and both directions."""
    figure, panels = plt.subplots(2, 2, figsize=(5.5, 4.6), sharex=True, sharey="row")
    steps = np.arange(size.plan.n_epochs + 1) * (size.n_steps // size.plan.n_epochs)
    colors = mpl.colormaps["viridis"](np.linspace(0.15, 0.85, len(SWITCHES)))
    for row, teacher in zip(panels, TEACHERS, strict=True):
        for axes, to in zip(row, TO, strict=True):
            for student, color in ((PLAIN, "black"), (PURE, "#d55e00")):
                trials = run[name_of(teacher, student)][:, 1]
                draw_band(axes, steps, trials, student, color=color, linestyle=(0, (4, 1.5)), linewidth=1.0)
            for share, color in zip(SWITCHES, colors, strict=True):
                switch = Switch(to, share)
                begin = switch.begin(size.n_steps)
                after = steps >= begin  # until then it is a student that does not switch
                trials = run[name_of(teacher, switch)][:, 1, after]
                draw_band(axes, steps[after], trials, f"switch at step {begin}", color=color)
                axes.axvspan(begin, begin + WINDOW * size.n_steps, color=color, alpha=0.15, linewidth=0.0, zorder=0)
            axes.set(title=f"teacher {teacher}: to {to}")
        settled = [line.get_ydata()[line.get_xdata() >= 0.2 * size.n_steps] for axes in row for line in axes.lines]
        low, high = (float(extreme(np.concatenate(settled))) for extreme in (np.min, np.max))
        row[0].set(ylabel="accuracy on new images", ylim=(max(low, high - 0.25) - 0.01, high + 0.01))
    for axes in panels[1]:
        axes.set(xlabel="step")
    draw_legend(figure, [panels[0, 0]], n_trials=len(run["teacher"]), ncols=3, shown="bands")
    return figure


def draw_confidence(run: Mapping[str, np.ndarray], size: Size) -> Figure:
    """Draw the first trial's logit-logit plots on training images, soon after the switch and at the end."""
    figure, panels = plt.subplots(2, len(OF_CONFIDENCE), figsize=(5.5, 3.3), sharex=True, sharey=True)
    drawn = np.concatenate([run[f"points of {student}"][0].ravel() for student in OF_CONFIDENCE])
    limits = np.quantile(drawn, [0.001, 0.999]) + np.array([-0.5, 0.5])
    for column, student in zip(panels.T, OF_CONFIDENCE, strict=True):
        slopes = run[f"slopes of {student}"][0]
        for axes, points, slope in zip(column, run[f"points of {student}"][0], slopes, strict=True):
            draw_logit_logit(axes, *points)
            axes.set(xlim=limits, ylim=limits, xlabel="", ylabel="")
            axes.set_title(f"slope {slope:.2f}", fontsize=7)
            axes.locator_params(nbins=4)
        column[0].set_title(f"{student if isinstance(student, str) else 'then ' + student.to}\nslope {slopes[0]:.2f}")
        column[1].set(xlabel="teacher")
    for axes, step in zip(panels[:, 0], steps_of_confidence(size), strict=True):
        axes.set(ylabel=f"student, step {step}")
    figure.suptitle("log odds of the teacher's top class, training images", fontsize=8)
    return figure


SCRIPT = Script(main, image_parser(__doc__), prepare)

if __name__ == "__main__":
    SCRIPT.run()
