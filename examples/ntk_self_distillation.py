"""Self-distil a wide network
==========================

Choose how to self-distil a wide network before training one, by exact leave-one-out on its tangent kernel.

Two digits are told apart from labels of which a fifth are wrong. A network trained by the squared loss, with a penalty
`ridge/2` on the squared distance of its parameters from where they began, is kernel ridge regression with its neural
tangent kernel, the better the wider it is. So what students will gain, and from which mixture of labels and teacher,
can be chosen on the kernel, in a second. Printed are, for a penalty that is too small, the label weights that are best
by exact leave-one-out, the held-out error of every fit beside that of the best penalty alone, which does about as well
as students, and the forecast for new images. Then networks of growing width are trained that way (none with
`--widths 0`): they approach the forecast.
"""

from __future__ import annotations

import argparse
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from sklearn.datasets import load_digits

from kdtheory import loo_label_weights, loo_predictions, search_selfdistillation, selfdistill_closed_form
from kdtheory.kernels import NTK

N_TRAIN, N_STEPS, RIDGE, WRONG = 200, 3, 2.0, 0.2
RIDGES = np.geomspace(1e-2, 1e2, 17)
KERNEL = NTK(depth=1, weight_variance=2.0)


def main(widths: tuple[int, ...] = (256, 2048)) -> dict[int, np.ndarray]:
    """Print choice, forecast and what networks do, and return distances from the forecast for each width."""
    X, y, X_test, y_test = read_digits()
    K, K_test = KERNEL.gram(X), KERNEL.gram(X_test, X)
    weights = loo_label_weights(K, y, ridge=RIDGE, n_steps=N_STEPS, unit_interval=True)
    print("label weights of the students, by exact leave-one-out:", ", ".join(f"{weight:.3f}" for weight in weights))
    held_out = loo_predictions(K, y, ridge=RIDGE, n_steps=N_STEPS, label_weight=weights)
    errors = np.mean((held_out - y) ** 2, axis=1)
    print("held-out squared error of every fit:", ", ".join(f"{error:.4f}" for error in errors))
    alone = search_selfdistillation(K, y, ridges=RIDGES, n_steps=1)
    print(f"held-out squared error of the best ridge alone, {alone.best_ridge:.3g}: {alone.best_error:.4f}")
    path = selfdistill_closed_form(K, y, ridge=RIDGE, n_steps=N_STEPS, label_weight=weights)
    forecast = path.predict(K_test)
    print(f"\n{'on new images, with true labels':32s} squared error  accuracy  distance from forecast")
    best = selfdistill_closed_form(K, y, ridge=alone.best_ridge, n_steps=1).predict(K_test)[0]
    print(f"{'forecast, best ridge alone':32s} {scores(best, y_test)}")
    for step in range(N_STEPS):
        print(f"{f'forecast, fit {step + 1}':32s} {scores(forecast[step], y_test)}")
    distances = {}
    for width in widths:
        outputs = trained(width, X, y, X_test, weights)
        distances[width] = np.linalg.norm(outputs - forecast, axis=1) / np.linalg.norm(forecast, axis=1)
        for step in range(N_STEPS):
            name = f"network of width {width:,}, fit {step + 1}"
            print(f"{name:32s} {scores(outputs[step], y_test)}  {distances[width][step]:22.3f}")
    return distances


def read_digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Read images of 3 and 8, and their labels ±1, some of those for training turned round."""
    pixels, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(0)
    order = rng.permutation(np.flatnonzero((labels == 3) | (labels == 8)))
    X = pixels[order] - np.mean(pixels[order], axis=0)
    X /= np.sqrt(np.mean(X**2))
    y = np.where(labels[order] == 3, 1.0, -1.0)
    noisy = np.where(rng.random(N_TRAIN) < WRONG, -y[:N_TRAIN], y[:N_TRAIN])
    return X[:N_TRAIN], noisy, X[N_TRAIN:], y[N_TRAIN:]


def scores(outputs: np.ndarray, truth: np.ndarray) -> str:
    """Write the squared error and the accuracy."""
    return f"{np.mean((outputs - truth) ** 2):13.4f}  {np.mean(outputs * truth > 0.0):8.3f}"


def network(params: Any, x: Any) -> Any:
    """Give the output of the network."""
    hidden, readout = params
    return jnp.maximum(x @ hidden * jnp.sqrt(2.0 / hidden.shape[0]), 0.0) @ readout * jnp.sqrt(2.0 / len(readout))


@jax.jit
def fit(start: Any, x: Any, targets: Any, ridge: Any, rate: Any, n_steps: Any) -> Any:
    """Minimise half the squared error and `ridge/2` times the squared distance from the start, by gradient descent."""

    def loss(params: Any) -> Any:
        moved = sum(jnp.sum((a - b) ** 2) for a, b in zip(params, start, strict=True))
        return 0.5 * jnp.sum((network(params, x) - network(start, x) - targets) ** 2) + 0.5 * ridge * moved

    def step(_: Any, params: Any) -> Any:
        return jax.tree.map(lambda value, slope: value - rate * slope, params, jax.grad(loss)(params))

    return jax.lax.fori_loop(0, n_steps, step, start)


def trained(width: int, X: np.ndarray, y: np.ndarray, X_test: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Train a network and its students from one start, and give their outputs on new images, less those there."""
    keys = jax.random.split(jax.random.key(0), 2)
    start = jax.random.normal(keys[0], (X.shape[1], width)), jax.random.normal(keys[1], (width,))
    x, labels = jnp.asarray(X), jnp.asarray(y)
    rate = 1.0 / (float(np.linalg.eigvalsh(KERNEL.gram(X))[-1]) + RIDGE)
    n_steps = int(np.ceil(10.0 / (rate * RIDGE)))  # what is left of the slowest mode is below exp(−10)
    outputs, targets = [], labels
    for weight in (*weights, 1.0):
        params = fit(start, x, targets, RIDGE, rate, n_steps)
        outputs.append(np.asarray(network(params, X_test) - network(start, X_test)))
        targets = weight * labels + (1.0 - weight) * (network(params, x) - network(start, x))
    return np.stack(outputs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--widths", type=int, nargs="*", default=[256, 2048], help="of networks to train (256 2048)")
    main(tuple(width for width in parser.parse_args().widths if width > 0))
