"""Tangent kernels of PyTorch modules: those of the same network in JAX, and of explicit Jacobians."""

import copy
import pickle

import numpy as np
import pytest

from kdtheory import Spectrum, solve_ridge
from kdtheory.kernels import Linear

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from torch.func import functional_call, jacrev  # noqa: E402

from kdtheory.nets import ModuleNTK  # noqa: E402

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((9, 6)), RNG.standard_normal((4, 6))
TOLERANCE = {"float32": 1e-6, "float64": 1e-12}


def dense(dtype="float64"):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.BatchNorm1d(5), nn.Dropout(), nn.Linear(5, 3)).eval()
    module[2].running_mean += 0.3
    return module.to(getattr(torch, dtype))


def convolutional(dtype="float64"):
    torch.manual_seed(1)
    layers = nn.Conv2d(1, 3, 2), nn.Softplus(), nn.Flatten(), nn.Linear(6, 2)
    return nn.Sequential(*layers).to(getattr(torch, dtype))


CASES = {"dense": (dense, None), "convolutional": (convolutional, (1, 2, 3))}


def jacobian(module, points):
    """Explicit, of shape (n, k, P), in double precision."""
    params = {name: each.detach() for name, each in module.named_parameters() if each.requires_grad}
    batch = torch.tensor(points, dtype=next(iter(params.values())).dtype)
    found = jacrev(lambda some: functional_call(module, some, (batch,)))(params)
    return np.concatenate(
        [np.asarray(each).reshape(*each.shape[:2], -1) for each in found.values()], axis=-1, dtype=float
    )


def relative(ours, theirs):
    return np.max(np.abs(ours - theirs)) / np.max(np.abs(theirs))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES)
def test_gram_matrices_and_products_are_those_of_explicit_jacobians(case, dtype):
    make, shape = CASES[case]
    module = make(dtype)
    left, right = (jacobian(module, points.reshape(-1, *(shape or (6,)))) for points in (X, Y))
    both, within = np.einsum("ncp,mdp->ncmd", left, right), np.einsum("ncp,mdp->ncmd", left, left)
    k, V = left.shape[1], RNG.standard_normal((4, 2))
    for outputs, expected in {
        "mean": np.einsum("ncmc->nm", both) / k,
        "trace": np.einsum("ncmc->nm", both),
        "sum": both.sum((1, 3)),
        1: both[:, 1, :, 1],
    }.items():
        kernel = ModuleNTK(module, outputs=outputs, input_shape=shape)
        assert kernel.gram(X, Y).dtype == np.float64
        assert relative(kernel.gram(X, Y), expected) <= TOLERANCE[dtype]
        assert relative(kernel.operator(X, Y) @ V, expected @ V) <= 3.0 * TOLERANCE[dtype]
    assert relative(kernel.joint_gram(X), within.reshape(9 * k, 9 * k)) <= TOLERANCE[dtype]
    assert relative(kernel.joint_operator(X) @ np.eye(9 * k), within.reshape(9 * k, 9 * k)) <= 3.0 * TOLERANCE[dtype]
    gram = kernel.gram(X)
    np.testing.assert_array_equal(gram, gram.T)
    np.testing.assert_array_equal(np.diagonal(gram), kernel.diag(X))


def test_the_kernel_is_that_of_the_same_network_in_jax():
    jnp = pytest.importorskip("jax.numpy")
    from kdtheory.nets import EmpiricalNTK

    module = nn.Sequential(nn.Linear(6, 7), nn.Tanh(), nn.Linear(7, 2)).double()

    def f(params, x):
        return jnp.tanh(x @ params[0].T + params[1]) @ params[2].T + params[3]

    params = [jnp.asarray(each.detach().numpy()) for each in module.parameters()]
    assert relative(ModuleNTK(module).gram(X, Y), EmpiricalNTK(f, params).gram(X, Y)) <= 1e-13


def test_one_output_of_a_linear_module():
    module = nn.Sequential(nn.Linear(6, 1, bias=False), nn.Flatten(0)).double()
    assert relative(ModuleNTK(module).gram(X, Y), Linear().gram(X, Y)) <= 1e-15


def test_parameters_without_a_gradient_are_left_out():
    module = dense()
    module[0].requires_grad_(False)
    kernel = ModuleNTK(module, outputs="trace")
    J = jacobian(module, X)
    assert kernel.network.n_parameters == J.shape[2] == 5 + 5 + 15 + 3
    assert relative(kernel.gram(X), np.einsum("ncp,mcp->nm", J, J)) <= 1e-12


def test_training_the_module_on_does_not_change_the_kernel():
    module = dense()
    kernel = ModuleNTK(module)
    before = kernel.gram(X)
    with torch.no_grad():
        module[0].weight.zero_()
    for twin in (kernel, copy.deepcopy(kernel), pickle.loads(pickle.dumps(kernel))):
        np.testing.assert_array_equal(twin.gram(X), before)


def test_the_memory_bound_changes_blocks_and_not_values():
    whole = ModuleNTK(dense()).gram(X)
    with pytest.raises(ValueError, match=r"max_bytes must be >= \d+ for these points, got 1$") as error:
        ModuleNTK(dense(), max_bytes=1).gram(X)
    least = int(str(error.value).split(">= ")[1].split()[0])
    for max_bytes in (least, 5 * least):
        assert relative(ModuleNTK(dense(), max_bytes=max_bytes).gram(X), whole) <= 1e-14
    with pytest.raises(ValueError, match="max_bytes must be >= "):
        ModuleNTK(dense(), max_bytes=least - 1).gram(X)


def test_solvers_take_the_operator():
    kernel, y = ModuleNTK(dense()), np.sin(X[:, 0])
    exact = np.linalg.solve(kernel.gram(X) + np.eye(9), y)
    np.testing.assert_allclose(solve_ridge(kernel.operator(X), y, 1.0, tolerance=1e-12).dual_coef, exact, rtol=1e-9)
    assert relative(Spectrum.nystrom(kernel, X, 9).gram_matrix(), kernel.gram(X)) <= 1e-12


@pytest.mark.filterwarnings("ignore:There is a performance drop")  # of attention, whatever is asked of it
def test_operations_without_a_forward_mode():
    layer = nn.TransformerEncoderLayer(6, 2, 8, batch_first=True)
    module = nn.Sequential(nn.Unflatten(1, (1, 6)), layer, nn.Flatten(), nn.Linear(6, 2)).double().eval()
    kernel = ModuleNTK(module)
    assert relative(kernel.operator(X) @ np.eye(9), kernel.gram(X)) <= 1e-12
    weight_norm = nn.utils.parametrizations.weight_norm(nn.Linear(6, 2)).double()
    kernel = ModuleNTK(weight_norm)
    J = jacobian(weight_norm, X)
    assert relative(kernel.operator(X) @ np.eye(9), np.einsum("ncp,mcp->nm", J, J) / 2.0) <= 1e-12


def with_nan():
    module = dense()
    with torch.no_grad():
        module[4].bias[1] = torch.nan
    return module


class Wrong(nn.Module):
    def __init__(self, f):
        super().__init__()
        self.linear, self.f = nn.Linear(6, 2), f

    def forward(self, x):
        return self.f(self.linear(x))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: 3, TypeError, "module must be a torch.nn.Module, got 3"),
        (
            lambda: dense().train(),
            ValueError,
            "module must not have BatchNorm1d in training mode, got 2: call module.eva",
        ),
        (
            lambda: nn.Sequential(nn.Linear(6, 2), nn.Dropout()),
            ValueError,
            "must not have Dropout in training mode, got 1",
        ),
        (
            lambda: dense().requires_grad_(False),
            ValueError,
            "at least one parameter that requires a gradient, got none",
        ),
        (with_nan, ValueError, r"parameter 4.bias must be finite, got nan at index \(1,\)"),
        (lambda: dense().bfloat16(), TypeError, "parameter 0.weight must be of float32 or float64, got torch.bfloat16"),
    ],
)
def test_bad_modules(make, error, message):
    with pytest.raises(error, match=message):
        ModuleNTK(make())


@pytest.mark.parametrize(
    ("f", "error", "message"),
    [
        (
            lambda z: z[:, :, None],
            ValueError,
            r"module must return a tensor of shape \(n, k\) or \(n,\) for n points, got",
        ),
        (lambda z: (z, z), ValueError, "got tuple for 2 points"),
        (lambda z: z.argmax(1), TypeError, "module must return real numbers of float32 or float64, got torch.int64"),
        (lambda z: z - z.mean(0), ValueError, "rows that depend on their own points alone"),
        (lambda z: torch.sqrt(z * 0.0), OverflowError, "the kernel value"),
    ],
)
def test_bad_outputs(f, error, message):
    with pytest.raises(error, match=message):
        ModuleNTK(Wrong(f)).gram(X)
