"""Conformance with neural-tangents itself, where it is installed: `python3 run.py peers` makes such an environment."""

import importlib.util

import numpy as np
import pytest

if importlib.util.find_spec("neural_tangents") is None:
    pytest.skip("neural-tangents is not installed", allow_module_level=True)

from kdtheory import Ridge, Spectrum, fit_filter, flow_trajectories
from kdtheory.kernels import NNGP, NTK, ConvolutionalNNGP, ConvolutionalNTK
from kdtheory.neural_tangents import NeuralTangentsKernel, flow_time, import_neural_tangents, ridge_of

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
nt = import_neural_tangents()
stax = nt.stax
RNG = np.random.default_rng(0)
X, NEW, Y = RNG.standard_normal((30, 4)), RNG.standard_normal((6, 4)), RNG.standard_normal((30, 2))


def dense(depth=2):
    layers = [stax.Dense(512, W_std=1.5, b_std=0.3), stax.Relu()] * depth
    return stax.serial(*layers, stax.Dense(1, W_std=1.5, b_std=0.3))[2]


def relative(ours, theirs):
    return np.max(np.abs(ours - np.asarray(theirs))) / np.max(np.abs(np.asarray(theirs)))


@pytest.mark.parametrize("get", ["ntk", "nngp"])
def test_a_dense_architecture(get):
    kernel_fn = dense()
    kernel = NeuralTangentsKernel(kernel_fn, get=get, batch_size=8)
    assert relative(kernel.gram(X), kernel_fn(X, None, get)) <= 1e-7  # theirs is as wrong as that on the diagonal
    assert relative(kernel.gram(NEW, X), kernel_fn(NEW, X, get)) <= 1e-13
    assert relative(kernel.operator(X) @ Y, kernel.gram(X) @ Y) <= 1e-13


@pytest.mark.parametrize(("ours", "get"), [(ConvolutionalNNGP, "nngp"), (ConvolutionalNTK, "ntk")])
@pytest.mark.parametrize(("depth", "size", "bias"), [(2, 3, 0.3), (3, 3, 0.0), (1, 5, 0.1)])
def test_convolutional_architectures(ours, get, depth, size, bias):
    images = RNG.standard_normal((7, 6, 5, 2))
    images[3, :3], images[4] = 0.0, -images[2]
    layers = [stax.Conv(1, (size, size), W_std=1.2, b_std=bias**0.5, padding="SAME"), stax.Relu()] * depth
    kernel_fn = stax.serial(*layers, stax.GlobalAvgPool(), stax.Dense(1, W_std=1.2, b_std=bias**0.5))[2]
    expected = kernel_fn(images, None, get)
    points = images.reshape(7, -1)
    adapted = NeuralTangentsKernel(kernel_fn, get=get, input_shape=(6, 5, 2), batch_size=4)
    assert relative(adapted.gram(points), expected) <= 1e-13
    kernel = ours((6, 5, 2), depth=depth, filter_size=size, weight_variance=1.44, bias_variance=bias)
    assert relative(kernel.gram(points), expected) <= 1e-13


@pytest.mark.parametrize(("ours", "get"), [(NNGP, "nngp"), (NTK, "ntk")])
@pytest.mark.parametrize("depth", [1, 5])
def test_our_dense_kernels_are_those_of_its_current_release(ours, get, depth):
    layers = [stax.Dense(1, W_std=1.5, b_std=0.3), stax.Relu()] * depth
    kernel_fn = stax.serial(*layers, stax.Dense(1, W_std=1.5, b_std=0.3))[2]
    kernel = ours(depth=depth, activation="relu", weight_variance=2.25, bias_variance=0.09)
    expected = np.asarray(kernel_fn(NEW, X, get))
    np.testing.assert_allclose(kernel.gram(NEW, X), expected, rtol=1e-11)


@pytest.mark.parametrize(("diag_reg", "absolute"), [(0.0, False), (0.1, False), (0.1, True)])
def test_times_and_regularisation_of_its_gradient_flow(diag_reg, absolute):
    kernel = NeuralTangentsKernel(dense())
    K, K_new = kernel.gram(X), kernel.gram(NEW, X)
    start, start_new = RNG.standard_normal((30, 2)), RNG.standard_normal((6, 2))
    t = np.array([0.0, 30.0, 3000.0])
    predict = nt.predict.gradient_descent_mse(
        K, Y, learning_rate=0.7, diag_reg=diag_reg, diag_reg_absolute_scale=absolute, trace_axes=(-1,)
    )
    train, new = predict(t, fx_train_0=start, fx_test_0=start_new, k_test_train=K_new)
    regularised = K + ridge_of(diag_reg, K, absolute_scale=absolute) * np.eye(30)
    times = flow_time(t, learning_rate=0.7, n_targets=Y.size)
    flow = flow_trajectories(regularised, Y - start, times=times, teacher_time=1.0).teacher
    assert relative(start + flow.fitted, train) <= 1e-10
    assert relative(start_new + flow.predict(K_new), new) <= 1e-10


def test_the_ridge_of_its_gaussian_process():
    kernel_fn = dense()
    kernel = NeuralTangentsKernel(kernel_fn, get="nngp")
    ensemble = nt.predict.gradient_descent_mse_ensemble(kernel_fn, X, Y, diag_reg=0.05)
    expected = ensemble(x_test=NEW, get="nngp")
    K = kernel.gram(X)
    ours = fit_filter(Spectrum.from_gram(K), Y, Ridge(ridge_of(0.05, K)))
    assert relative(ours.predict(kernel.gram(NEW, X)), expected) <= 1e-10
