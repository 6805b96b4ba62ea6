"""Beside GPyTorch and PyHessian, which need PyTorch, in an environment with `pip install gpytorch pyhessian`:

    JAX_ENABLE_X64=1 python -m benchmarks.table_torch_peers > benchmarks/results/torch_peers.txt

Claims: kernel width and ridge are chosen as well by exact leave-one-out as by the marginal likelihood, and sooner;
eigenvalues and traces of a Hessian are nearer to the dense one, in less time. Medians of three runs in turns, two
threads, double precision, and each library's own defaults.
"""

from __future__ import annotations

import warnings
from importlib.metadata import version
from time import perf_counter

import equinox as eqx
import gpytorch
import jax
import numpy as np
import torch
from pyhessian import hessian as PyHessian

from benchmarks.bench_selection import data
from kdtheory.estimators import SelfDistilledKernelRidgeCV
from kdtheory.figures.images import read_digits
from kdtheory.nets import LossHessian, MultilayerPerceptron, TrainingPlan, hessian_trace, top_eigenvalues, train

N_RUNS, N_TOP, ADAM_STEPS = 3, 5, 100
GAMMAS = tuple(2.0**power for power in range(-6, 1))


class Process(gpytorch.models.ExactGP):
    """A Gaussian process with one length scale."""

    def __init__(self, X, y, likelihood):
        super().__init__(X, y, likelihood)
        self.mean_module = gpytorch.means.ZeroMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(gpytorch.kernels.RBFKernel())

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


def marginal_likelihood(X, y, X_test):
    """Hyperparameters by Adam, as in GPyTorch's own example of regression, and predictions."""
    X, y, X_test = (torch.as_tensor(array, dtype=torch.float64) for array in (X, y, X_test))
    likelihood = gpytorch.likelihoods.GaussianLikelihood().double()
    model = Process(X, y, likelihood).double()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.1)
    objective = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
    for _ in range(ADAM_STEPS):
        optimiser.zero_grad()
        loss = -objective(model(X), y)
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        return model(X_test).mean.numpy()


def leave_one_out(X, y, X_test):
    """Seven widths, twenty ridges, up to ten fits."""
    return SelfDistilledKernelRidgeCV(gammas=GAMMAS).fit(X, y).predict(X_test)


def compare_regression() -> None:
    """Print errors on fresh points and seconds."""
    print(f"GPyTorch {version('gpytorch')}: width and ridge chosen, mean squared error on 1,000 fresh points")
    for decay in ("slow", "fast"):
        X, y, X_test, y_test, _ = data(decay, 1000)
        errors, times = {}, {"kdtheory": [], "gpytorch": []}
        for _ in range(N_RUNS):
            for name, method in (("kdtheory", leave_one_out), ("gpytorch", marginal_likelihood)):
                begin = perf_counter()
                predicted = method(X, y, X_test)
                times[name].append(perf_counter() - begin)
                errors[name] = np.mean((predicted - y_test) ** 2)
        for name in times:
            print(f"  {X.shape[1]} features, {name:<9} {errors[name]:.4f}  {np.median(times[name]):6.2f} s", flush=True)


def as_module(model: MultilayerPerceptron) -> torch.nn.Module:
    """The same network in PyTorch."""
    parts: list[torch.nn.Module] = []
    for layer in model.layers:
        linear = torch.nn.Linear(layer.weight.shape[1], layer.weight.shape[0]).double()
        linear.weight.data = torch.tensor(np.asarray(layer.weight, dtype=float))
        linear.bias.data = torch.tensor(np.asarray(layer.bias, dtype=float))
        parts += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*parts[:-1])


def compare_hessians() -> None:
    """Print errors against the dense Hessian and seconds."""
    images = read_digits()
    X, y = np.asarray(images.X[:1000], dtype=float), np.asarray(images.y[:1000])
    plan = TrainingPlan(n_epochs=30, batch_size=50, learning_rate=0.05, momentum=0.9, schedule="cosine")
    network = train(MultilayerPerceptron(64, 10, width=16, depth=1, key=jax.random.key(0)), X, y, plan=plan).model
    network = jax.tree.map(lambda leaf: leaf.astype(float) if eqx.is_inexact_array(leaf) else leaf, network)
    ours = LossHessian(network, X, y)
    exact = np.linalg.eigvalsh(ours.dense())[::-1]
    module = as_module(network)
    inputs, labels = torch.tensor(X.reshape(len(X), -1)), torch.tensor(y.astype(np.int64))
    theirs = PyHessian(module, torch.nn.CrossEntropyLoss(), data=(inputs, labels), cuda=False)
    found = {
        "kdtheory": (lambda: top_eigenvalues(ours, N_TOP).values, lambda: hessian_trace(ours).value),
        "pyhessian": (lambda: theirs.eigenvalues(top_n=N_TOP)[0], lambda: np.mean(theirs.trace())),
    }
    print(f"PyHessian {version('pyhessian')}: relative error against the dense Hessian, 1,210 parameters, defaults")
    times = {name: ([], []) for name in found}
    values = {}
    for _ in range(N_RUNS + 1):  # the first also compiles
        for name, methods in found.items():
            for number, method in enumerate(methods):
                begin = perf_counter()
                values[name, number] = np.array(method(), dtype=float)
                times[name][number].append(perf_counter() - begin)
    for name in found:
        top = np.max(np.abs(values[name, 0] / exact[:N_TOP] - 1.0))
        trace = abs(float(values[name, 1]) / exact.sum() - 1.0)
        first, second = (np.median(each[1:]) for each in times[name])
        print(f"  {name:<9} top {N_TOP}: {top:.1e} in {first:.2f} s; trace: {trace:.1e} in {second:.2f} s", flush=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(2)
    compare_hessians()
    compare_regression()
