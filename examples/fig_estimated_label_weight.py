"""Estimated label weights
=======================

One label weight for each round of self-distillation, estimated from one more fit, against a search over fixed ones.

Figure 5 of Borup & Andersen (2021) in small: a network with one hidden layer learns images of digits by the squared
error of equation (18), with a penalty on its weights; and then again and again, from new weights each time, what was
said of the images in the round before. A fixed label weight, 0, 0.1 ... 0.9, is the same in every round. The estimated
one is found anew in each, in closed form, from validation images and a student with label weight 0 (Algorithm 1). A
fifth of the labels are wrong, of training and validation images alike. Drawn are (a) the accuracy on the training
labels, wrong ones among them, (b) the accuracy on new images, with right labels, (c) the squared distance of what is
said of new images from the probabilities of their labels when a fifth are wrong, and (d) the estimated weight. Printed
are the estimated weight, the fixed one that is best for the new images of all trials, the difference of the two and
that from the fixed weight which is best for each trial's validation images, and the number of fits and the time.

The closed form takes networks for linear in their targets, and all rounds for started from the same weights. Where a
penalty decides where training ends, the start is forgotten: with MNIST the accuracy of the estimate is within a
standard error of that of the fixed weight which is best in hindsight, in every round; its squared error is up to two
standard errors above the least one, about half a percent. With `--penalty 0.0003` both are worse: the estimate mixes
networks of two starts, of which the mean is better than either, while training gives one; its weights are too large.
Numbers: benchmarks/results/estimated_label_weight.txt.

Built in: the digits of scikit-learn, and two trials, which say little. With `--full` ten trials and five rounds; with
`--data FOLDER` MNIST from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import replace
from functools import partial
from typing import Literal, NamedTuple

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from kdtheory.figures import STYLE, Reproduction, Script, draw_band, draw_legend, mean_and_error
from kdtheory.figures.images import Images, image_parser, mislabel, prepare, read_digits, split_images
from kdtheory.figures.trials import run_trials
from kdtheory.nets import DistillationLoss, MultilayerPerceptron, TrainingPlan, self_distill, train
from kdtheory.reproduced import Reproduced

WEIGHTS = tuple(tenth / 10 for tenth in range(10))
WRONG = 0.2
WIDTH = 128
LOSS = DistillationLoss("squared")
PENALTY = 0.002
PLAN = TrainingPlan(n_epochs=30, batch_size=50, optimiser="adam", learning_rate=1e-2, schedule="cosine")
NORM = 4.0
"""Of an image, root mean square, so that the penalty means the same for all sorts of images."""

ESTIMATED = "#d55e00"


class Size(NamedTuple):
    """Numbers of images for training, for validation, and new ones; rounds; and how each is trained."""

    n_images: tuple[int, int, int]
    n_rounds: int
    plan: TrainingPlan


QUICK = Size((300, 300, 900), 3, replace(PLAN, n_epochs=20))
FULL = Size((400, 400, 4000), 5, replace(PLAN, learning_rate=5e-3))


def main(
    full: bool = False,
    trials: int | None = None,
    jobs: int | None = None,
    data: Images | None = None,
    penalty: float = PENALTY,
) -> Reproduction:
    """Print the table, and return the figure and published numbers."""
    images = read_digits() if data is None else data
    size = FULL if full else QUICK
    n_train, n_val, n_test = size.n_images  # the digits built in are fewer than the full size takes
    size = size._replace(n_images=(n_train, n_val, min(n_test, len(images.X) - n_train - n_val)))
    n_trials = (10 if full else 2) if trials is None else trials
    run = run_trials(partial(learn, size, images, penalty), n_trials, jobs=jobs, title="label weights")
    print_table(run, size, penalty)
    with plt.style.context(STYLE):
        figures = {"estimated_label_weight": draw(run)}
    return Reproduction(figures, published(run))


def published(run: dict[str, np.ndarray]) -> tuple[Reproduced, ...]:
    """Hold the accuracy of the last round and the numbers of fits against what the paper says of them."""
    found, n_rounds = comparison(run, "test accuracy", 1.0)["difference"][:, -1], run["n_fits"].shape[2]
    search, estimate = cost(run["n_fits"])[:, -1]
    source = "Borup & Andersen (2021), section 5"
    mean, error = mean_and_error(found)
    accuracy = f"accuracy of round {n_rounds}: estimated weight less the best fixed one"
    return (
        Reproduced(accuracy, float(mean), "comparable", f"{source}, Fig. 5", error=float(error)),
        *(
            Reproduced(
                f"fits up to round {n_rounds}, {how}", fits, str(per_round * (n_rounds - 1) + 1), source, tolerance=0.0
            )
            for how, fits, per_round in (("estimate", estimate, 2), ("search over 10 weights", search, len(WEIGHTS)))
        ),
    )


def learn(size: Size, images: Images, penalty: float, seed: int) -> dict[str, np.ndarray]:
    """Self-distil with every fixed weight and with the estimated one, and give what each round does, in this order.

    Parameters
    ----------
    size : Size
    images : Images
    penalty : float
        On the weights.
    seed : int

    Returns
    -------
    dict of str to array
        `train accuracy`, `test accuracy`, `test error`, `val error`, `n_fits` and `seconds`, of shape (11, n_rounds);
        the estimated `label weights` of rounds 2, 3 ...; and the number of `new images`.
    """
    rng = np.random.default_rng(seed)
    n_classes = int(np.max(images.y)) + 1
    scaled = images._replace(X=images.X * (NORM / np.sqrt(np.mean(np.sum(images.X**2, axis=(1, 2))))))
    (X, truth), (X_val, truth_val), (X_test, y_test) = split_images(scaled, size.n_images, rng)
    y, y_val = (mislabel(each, WRONG, n_classes, rng) for each in (truth, truth_val))
    probabilities = np.where(np.arange(n_classes) == y_test[:, None], 1.0 - WRONG, WRONG / (n_classes - 1))

    keys = [jax.random.fold_in(jax.random.key(seed), i) for i in range(1, size.n_rounds + 1)]
    starts = [MultilayerPerceptron(X[0].size, n_classes, width=WIDTH, depth=1, key=key) for key in keys]
    plan = replace(size.plan, weight_decay=penalty, seed=seed * size.n_rounds)
    train(starts[0], X, y, plan=plan, loss=LOSS, until=1)  # what is compiled is not to be in the time of any
    distilled = partial(self_distill, lambda i: starts[i - 1], X, y, n_rounds=size.n_rounds, plan=plan, loss=LOSS)
    weights: tuple[float | Literal["estimated"], ...] = (*WEIGHTS, "estimated")
    chains = [distilled(label_weight=each, validation=(X_val, y_val)) for each in weights]
    outputs = np.array([[each.logits(X_test) for each in chain.rounds] for chain in chains])
    columns = {"train accuracy": "train_accuracy", "val error": "val_error", "n_fits": "n_fits", "seconds": "seconds"}
    return {
        **{name: np.stack([chain.table[column] for chain in chains]) for name, column in columns.items()},
        "test accuracy": np.mean(outputs.argmax(axis=-1) == y_test, axis=-1),
        "test error": np.mean(np.sum((outputs - probabilities) ** 2, axis=-1), axis=-1),
        "label weights": np.array(chains[-1].label_weights),
        "new images": np.array(len(y_test)),
    }


def print_table(run: dict[str, np.ndarray], size: Size, penalty: float) -> None:
    """Print for each round the best fixed weight beside the estimated one, and what both cost."""
    n_train, n_val, _ = size.n_images
    print(
        f"{len(run['seconds'])} trials, {n_train} images for training and {n_val} for validation, {WRONG:.0%} of them"
    )
    print(f"with wrong labels; penalty {penalty:g}; on {jax.devices()[0].device_kind}; ± standard error over trials")
    for name, sign in (("test accuracy", 1.0), ("test error", -1.0)):
        print(f"{name.removeprefix('test ')} on {run['new images'][0]} new images")
        print("round  best fixed weight     estimated weight               estimate - best    estimate - found")
        found = comparison(run, name, sign)
        for t in range(1, size.n_rounds):
            best = f"{WEIGHTS[found['best'][t]]:.1f}: {written(found['of best'][:, t])}"
            weight = written(run["label weights"][:, t - 1], 2)
            estimated = f"{weight}: {written(run[name][:, -1, t])}"
            differences = (written(found[which][:, t], sign="+") for which in ("difference", "from found"))
            print(f"{t + 1:5d}  {best}  {estimated}", *differences, sep="  ")
    print("fits and seconds up to each round, a search over the fixed weights and the estimate")
    print("round  search     estimate   saved: fits  seconds")
    fits, seconds = cost(run["n_fits"]), cost(run["seconds"])
    for t in range(1, size.n_rounds):
        of_each = (f"{fits[i, t]:3.0f} {seconds[i, t]:6.2f}" for i in range(2))
        print(f"{t + 1:5d}", *of_each, *(f"{1.0 - each[1, t] / each[0, t]:11.0%}" for each in (fits, seconds)))


def written(trials: np.ndarray, digits: int = 4, *, sign: str = "") -> str:
    """Write a mean with its standard error."""
    mean, error = mean_and_error(trials)
    return f"{mean:{sign}.{digits}f} ± {error:.{digits}f}"


def comparison(run: dict[str, np.ndarray], name: str, sign: float) -> dict[str, np.ndarray]:
    """Compare the estimated weight with fixed ones, of which greater values are better, or smaller if the sign is -1.

    Returns
    -------
    dict of str to array
        For each round: `best`, the fixed weight of the best mean over trials, by number; values `of best`; the
        `difference` of the estimated one from it; and that `from found`, the fixed weight of the least error on the
        validation images of each trial.
    """
    fixed, estimated = run[name][:, :-1], run[name][:, -1]
    best = np.argmax(sign * np.mean(fixed, axis=0), axis=0)
    of_best = fixed[:, best, np.arange(len(best))]
    found = np.take_along_axis(fixed, np.argmin(run["val error"][:, :-1], axis=1)[:, None], axis=1)[:, 0]
    return {"best": best, "of best": of_best, "difference": estimated - of_best, "from found": estimated - found}


def cost(values: np.ndarray) -> np.ndarray:
    """Sum what is spent up to each round by the search and by the estimate; the first round is the same for all.

    Parameters
    ----------
    values : array of shape (n_trials, 11, n_rounds)

    Returns
    -------
    array of shape (2, n_rounds)
    """
    spent = np.mean(values, axis=0)
    later = np.stack([np.sum(spent[:-1, 1:], axis=0), spent[-1, 1:]])
    return np.cumsum(np.column_stack([np.full(2, np.mean(spent[:, 0])), later]), axis=1)


def draw(run: dict[str, np.ndarray]) -> Figure:
    """Draw all label weights by round."""
    figure, panels = plt.subplots(2, 2, figsize=(5.5, 4.4), sharex=True)
    titles = {"train accuracy": "on training labels", "test accuracy": "on new images", "test error": "on new images"}
    for axes, letter, (name, where) in zip(panels.flat, "abc", titles.items(), strict=False):
        draw_rounds(axes, run[name])
        what = name.split()[1]
        axes.set(ylabel="squared error" if what == "error" else what, title=f"({letter}) {what} {where}")
    axes = panels[1, 1]
    rounds = np.arange(2, run["label weights"].shape[1] + 2)
    mean, error = mean_and_error(run["label weights"])
    axes.errorbar(rounds, mean, error, color=ESTIMATED, marker="o", markersize=3, capsize=1.5)
    axes.set(title="(d) estimated label weight", ylabel="label weight", ylim=(0.0, None))
    for axes in panels[1]:
        axes.set(xlabel="round")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    draw_legend(figure, panels[0], n_trials=len(run["seconds"]), ncols=6)
    return figure


def draw_rounds(axes: Axes, trials: np.ndarray) -> None:
    """Draw values of shape (n_trials, 11, n_rounds): of fixed weights in bands, of the estimated one with bars."""
    rounds = np.arange(1, trials.shape[2] + 1)
    colors = mpl.colormaps["viridis"](np.linspace(0.0, 0.9, len(WEIGHTS)))
    for i, (weight, color) in enumerate(zip(WEIGHTS, colors, strict=True)):
        draw_band(axes, rounds, trials[:, i], rf"$\alpha = {weight:.1f}$", color=color, linewidth=0.9)
    mean, error = mean_and_error(trials[:, -1])
    axes.errorbar(
        rounds, mean, error, color=ESTIMATED, marker="o", markersize=3, capsize=1.5, label="estimated", zorder=3
    )


def penalty_of(text: str) -> float:
    """Read a penalty from the command line."""
    if not 0.0 <= (penalty := float(text)) < np.inf:
        raise ArgumentTypeError(f"must be a finite number >= 0, got {text}")
    return penalty


PARSER = image_parser(__doc__)
PARSER.add_argument("--penalty", type=penalty_of, default=PENALTY, help="on the weights of networks, %(default)s")
SCRIPT = Script(main, PARSER, prepare)

if __name__ == "__main__":
    SCRIPT.run()
