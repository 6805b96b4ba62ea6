"""Networks against their closed form
==================================

Networks of growing width against the closed form of their kernels, teachers and self-distilled students.

A network with one hidden layer of ReLUs, in NTK parametrisation, learns images of digits by gradient descent on the
squared loss; a student that starts where the teacher started learns what the teacher says of the same images.
The closed form is gradient descent with the neural tangent kernel: of infinite width, `kdtheory.kernels.NTK`, and of
the network itself at its beginning, `kdtheory.nets.EmpiricalNTK`. Drawn is (a) the distance of the network's outputs on
new images from the closed form's, relative to their size: from that of infinite width it falls as the inverse root of
the width, from that of the network itself it is smaller and falls faster; printed are the exponents. (b, c) The squared
error of teachers and students along the training, and of the closed form. The network's outputs at the beginning are
subtracted.

Built in: the digits of scikit-learn, widths up to 2,048. With `--full` widths up to 8,192 and longer training; with
`--data FOLDER` MNIST from FOLDER/mnist.npz, with `--data openml` fetched from OpenML into scikit-learn's cache.
"""

from __future__ import annotations

from argparse import ArgumentTypeError
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter
from sklearn.datasets import load_digits

from kdtheory import GradientDescent, Spectrum, fit_filter
from kdtheory.datasets import load_mnist
from kdtheory.figures import STYLE, Reproduction, Script, draw_legend, draw_trials, mean_and_error
from kdtheory.figures.trials import run_trials, trial_parser
from kdtheory.kernels import NTK
from kdtheory.nets import EmpiricalNTK

N_TRAIN, N_TEST, LABEL_WEIGHT = 128, 256, 0.0
KERNELS = {"infinite-width": "analytic", "the network's": "empirical"}
MODELS = ("teacher", "student")


class Images(NamedTuple):
    """Pixels, centred and of mean square one, in rows, and one of ten labels each as a centred indicator."""

    X: np.ndarray
    Y: np.ndarray
    X_test: np.ndarray
    Y_test: np.ndarray


class Size(NamedTuple):
    """Widths of the networks, and after how many steps they are looked at."""

    widths: tuple[int, ...]
    steps: tuple[int, ...]


QUICK = Size((64, 256, 1024, 2048), (1, 4, 16, 64, 256))
FULL = Size((64, 128, 256, 512, 1024, 2048, 4096, 8192), (1, 4, 16, 64, 256, 1024))


def main(
    full: bool = False, trials: int | None = None, jobs: int | None = None, data: Images | None = None
) -> Reproduction:
    """Print distances and exponents, and return the figure."""
    size, images = FULL if full else QUICK, data or read_digits()
    n_trials = (10 if full else 2) if trials is None else trials
    run = run_trials(partial(learn, images, size), n_trials, jobs=jobs, title="widths")
    print_table(run, size)
    with plt.style.context(STYLE):
        return Reproduction({"ntk_vs_network": draw(run, size)})


def read_digits() -> Images:
    """Read the digits of scikit-learn."""
    return chosen(*load_digits(return_X_y=True))


def chosen(pixels: np.ndarray, labels: np.ndarray) -> Images:
    """Choose images for training and for the test, and centre them."""
    order = np.random.default_rng(0).permutation(len(pixels))[: N_TRAIN + N_TEST]
    X = pixels[order].reshape(len(order), -1).astype(float)
    X -= np.mean(X, axis=0)
    X /= np.sqrt(np.mean(X**2))
    Y = np.eye(10)[labels[order]] - 0.1
    return Images(X[:N_TRAIN], Y[:N_TRAIN], X[N_TRAIN:], Y[N_TRAIN:])


def network(params: Any, x: Any) -> Any:
    """Give the outputs of the network."""
    hidden, readout = params
    features = jnp.maximum(x @ hidden * jnp.sqrt(2.0 / hidden.shape[0]), 0.0)
    return features @ readout * jnp.sqrt(2.0 / readout.shape[0])


def started(width: int, n_features: int, n_outputs: int, seed: int) -> Any:
    """Random parameters."""
    keys = jax.random.split(jax.random.key(seed), 2)
    shapes = (n_features, width), (width, n_outputs)
    return tuple(jax.random.normal(key, shape, "float32") for key, shape in zip(keys, shapes, strict=True))


@jax.jit
def descend(params: Any, x: Any, targets: Any, rate: Any, n_steps: Any) -> Any:
    """Make so many steps of gradient descent on half the squared error."""

    def loss(params: Any) -> Any:
        return 0.5 * jnp.sum((network(params, x) - targets) ** 2)

    def step(_: Any, params: Any) -> Any:
        return jax.tree.map(lambda value, slope: value - rate * slope, params, jax.grad(loss)(params))

    return jax.lax.fori_loop(0, n_steps, step, params)


def learn(images: Images, size: Size, seed: int) -> dict[str, np.ndarray]:
    """Distances of networks of every width from the closed forms of their kernels, and errors along the training."""
    analytic = NTK(depth=1, weight_variance=2.0)
    theory = ClosedForm(analytic.gram(images.X), analytic.gram(images.X_test, images.X))
    expected = theory.path(images.Y, size.steps)
    results: dict[str, list[Any]] = {f"{kernel} {model}": [] for kernel in KERNELS.values() for model in MODELS}
    results["errors"] = []
    for width in size.widths:
        params = started(width, images.X.shape[1], images.Y.shape[1], seed)
        found = trained(params, images, size.steps, theory.rate)
        own = EmpiricalNTK(network, params)
        joint = ClosedForm(own.joint_gram(images.X), own.joint_gram(images.X_test, images.X), theory.rate)
        for kernel, outputs in (("analytic", expected), ("empirical", joint.path(images.Y, size.steps))):
            for model in MODELS:
                difference = found[model][-1] - outputs[model][-1]
                results[f"{kernel} {model}"].append(np.linalg.norm(difference) / np.linalg.norm(outputs[model][-1]))
        results["errors"].append([errors(found[model], images.Y_test) for model in MODELS])
    smooth = theory.path(images.Y, all_steps(size))
    closed = np.array([errors(smooth[model], images.Y_test) for model in MODELS])
    return {name: np.array(values) for name, values in results.items()} | {"closed form": closed}


class ClosedForm:
    """Gradient descent of teacher and student with a kernel, n × n, or nk × nk for all k outputs together."""

    def __init__(self, K: np.ndarray, K_test: np.ndarray, rate: float | None = None) -> None:
        self.spectrum, self.K_test = Spectrum.from_gram(K.astype(float)), K_test.astype(float)
        self.rate = 1.0 / float(self.spectrum.eigenvalues[0]) if rate is None else rate

    def path(self, Y: np.ndarray, steps: tuple[int, ...]) -> dict[str, np.ndarray]:
        """Give outputs on new points after so many steps; the student learns from the teacher of the last of them."""
        labels = targets = Y if self.spectrum.n_points == len(Y) else Y.reshape(-1)
        outputs = {}
        for model in MODELS:
            fits = [fit_filter(self.spectrum, targets, GradientDescent(self.rate, n_steps)) for n_steps in steps]
            outputs[model] = np.stack([fit.predict(self.K_test).reshape(-1, Y.shape[1]) for fit in fits])
            targets = LABEL_WEIGHT * labels + (1.0 - LABEL_WEIGHT) * fits[-1].fitted
        return outputs


def trained(params: Any, images: Images, steps: tuple[int, ...], rate: float) -> dict[str, np.ndarray]:
    """Train a network and its student, and give their outputs on new points, less those at the beginning."""
    x, x_test, targets = (jnp.asarray(each, "float32") for each in (images.X, images.X_test, images.Y))
    first, first_test = network(params, x), network(params, x_test)
    outputs = {}
    for model in MODELS:
        now, done, seen = params, 0, []
        for n_steps in steps:
            now, done = descend(now, x, first + targets, rate, n_steps - done), n_steps
            seen.append(np.asarray(network(now, x_test) - first_test, dtype=float))
        outputs[model] = np.stack(seen)
        labels = jnp.asarray(images.Y, "float32")
        targets = LABEL_WEIGHT * labels + (1.0 - LABEL_WEIGHT) * (network(now, x) - first)
    return outputs


def errors(outputs: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Squared error at each step, relative to that of no training."""
    return np.asarray(np.sum((outputs - targets) ** 2, axis=(1, 2)) / np.sum(targets**2))


def all_steps(size: Size) -> tuple[int, ...]:
    """Numbers of steps for which the closed form is drawn: it costs nothing to know it at any of them."""
    return tuple(sorted({round(step) for step in np.geomspace(1, size.steps[-1], 60)}))


def print_table(run: dict[str, np.ndarray], size: Size) -> None:
    """Print the distance from each closed form for every width, and the exponents of the width."""
    names = [f"{kernel} {model}" for kernel in KERNELS.values() for model in MODELS]
    print("relative distance of the network's outputs on new images from the closed form, ± standard error,")
    print(
        f"over {len(run['errors'])} trials, {N_TRAIN} images, {size.steps[-1]} steps, on {jax.devices()[0].device_kind}"
    )
    print("width", *(f"{name:>19}" for name in names))
    for column, width in enumerate(size.widths):
        print(f"{width:5d}", *("{:9.4f} ± {:.4f} ".format(*mean_and_error(run[name][:, column])) for name in names))
    slopes = [np.polyfit(np.log(size.widths), np.log(np.mean(run[name], axis=0)), 1)[0] for name in names]
    print("power", *(f"{slope:19.2f}" for slope in slopes))


def draw(run: dict[str, np.ndarray], size: Size) -> Figure:
    """Draw distances against widths, and errors of teachers and students against steps."""
    figure, (left, *panels) = plt.subplots(1, 3, figsize=(5.5, 2.9), width_ratios=(1.2, 1.0, 1.0))
    widths = np.array(size.widths, dtype=float)
    curves = {
        f"{model}, {label} kernel": run[f"{kernel} {model}"] for label, kernel in KERNELS.items() for model in MODELS
    }
    draw_trials(left, widths, curves)
    level = np.exp(np.mean(np.log(np.mean(run["analytic teacher"], axis=0) * np.sqrt(widths))))
    left.plot(widths, 1.3 * level / np.sqrt(widths), color="0.6", linestyle=":", label=r"$\mathrm{width}^{-1/2}$")
    left.set(xscale="log", yscale="log", xlabel="width", ylabel="relative distance", title="(a) distance from theory")
    left.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    left.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.3g}"))
    left.yaxis.set_minor_formatter(NullFormatter())
    shown = [0, len(widths) // 4, len(widths) - 1]
    colors = mpl.colormaps["viridis"](np.linspace(0.75, 0.1, len(shown)))
    for row, axes in enumerate(panels):
        axes.plot(all_steps(size), np.mean(run["closed form"], axis=0)[row], "k", label="closed form")
        for column, color in zip(shown, colors, strict=True):
            mean, error = mean_and_error(run["errors"][:, column, row])
            style = {"marker": "o", "markersize": 3, "linestyle": "", "capsize": 1.5}
            axes.errorbar(size.steps, mean, error, color=color, label=f"width {size.widths[column]:,}", **style)
        axes.set(xscale="log", xlabel="steps", title=f"({'bc'[row]}) {MODELS[row]}s")
    panels[0].set(ylabel="error on new images")
    panels[1].sharey(panels[0])
    panels[1].tick_params(labelleft=False)
    draw_legend(figure, [left, *panels], n_trials=len(run["errors"]), ncols=2, shown="bars")
    return figure


def read_mnist(folder: str) -> Images:
    """Read MNIST from a folder, or from `openml`; an argument error where that fails."""
    try:
        mnist = load_mnist(None if folder == "openml" else folder)
    except (OSError, ValueError) as error:
        raise ArgumentTypeError(str(error)) from error
    return chosen(mnist.x_train, mnist.y_train)


PARSER = trial_parser(__doc__, full_jobs=1)
PARSER.add_argument("--data", type=read_mnist, metavar="FOLDER", help="folder with mnist.npz, or `openml` to fetch it")
SCRIPT = Script(main, PARSER)

if __name__ == "__main__":
    SCRIPT.run()
