"""Traces, eigenvalues and densities against dense matrices of prescribed spectra and Hessians of trained networks."""

import re

import jax
import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from mpmath import mp
from scipy.sparse.linalg import LinearOperator
from sklearn.datasets import load_digits

from kdtheory.nets import (
    FlatnessWarning,
    LossHessian,
    MultilayerPerceptron,
    Snapshot,
    TrainingPlan,
    flatness,
    hessian_trace,
    measure_flatness,
    spectral_density,
    top_eigenvalues,
    train,
)
from kdtheory.nets.density import smooth
from tests.strategies import examples

RNG = np.random.default_rng(0)


def prescribed(eigenvalues, seed=0):
    """Symmetric matrix with these eigenvalues."""
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))[0]
    return (basis * np.asarray(eigenvalues)) @ basis.T


def like_a_hessian(size=300):
    """Few large eigenvalues, a tail, some below 0 and many at 0."""
    tail = 0.05 * 0.97 ** np.arange(size // 2)
    return np.concatenate([[5.0, 3.0, 2.5, 1.0, 0.9], tail, -0.01 * 0.9 ** np.arange(20), np.zeros(size // 2 - 25)])


class Counted(LinearOperator):
    def __init__(self, matrix):
        super().__init__(matrix.dtype, matrix.shape)
        self.matrix, self.count = matrix, 0

    def _matmat(self, X):
        self.count += X.shape[1]
        return self.matrix @ X


@pytest.fixture(scope="module")
def matrix():
    return prescribed(like_a_hessian())


@pytest.fixture(scope="module")
def trained():
    X, y = load_digits(return_X_y=True)
    X, y = X[:300] / 16.0, y[:300]
    model = MultilayerPerceptron(64, 10, width=15, depth=1, key=jax.random.key(0))
    model = jax.tree.map(lambda leaf: leaf.astype("float64"), model)
    run = train(model, X, y, plan=TrainingPlan(n_epochs=20, batch_size=50, learning_rate=0.1, momentum=0.9))
    return run, X, y


@pytest.fixture(scope="module")
def hessian(trained):
    return LossHessian(*trained)


@pytest.fixture(scope="module")
def spectrum(hessian):
    return np.linalg.eigvalsh(hessian.dense())[::-1]


def test_errors_of_traces_are_what_the_standard_error_says_for_200_seeds(matrix):
    exact = np.trace(matrix)
    found = [hessian_trace(matrix, rtol=0.005, seed=seed) for seed in range(200)]
    errors = np.array([each.value - exact for each in found])
    reported = np.array([each.standard_error for each in found])
    assert all(each.converged and each.standard_error <= 0.005 * each.value for each in found)
    inside = np.mean([low <= exact <= high for low, high in (each.interval() for each in found)])
    assert 0.91 <= inside <= 0.985  # of 0.95, with three standard errors of 200 trials below it
    assert np.max(np.abs(errors)) < 0.02 * exact
    assert np.mean(np.abs(errors) < 0.01 * exact) >= 0.9
    assert np.std(errors / reported) == pytest.approx(1.0, abs=0.25)
    assert np.mean([each.n_products for each in found]) < 200


@pytest.mark.parametrize(("method", "rtol"), [("hutchinson", 0.05), ("xtrace", 0.05)])
def test_other_estimators_agree_with_their_errors(matrix, method, rtol):
    exact = np.trace(matrix)
    found = [hessian_trace(matrix, method=method, rtol=rtol, seed=seed) for seed in range(4)]
    scores = np.array([(each.value - exact) / each.standard_error for each in found])
    assert all(each.converged for each in found)
    assert 0.2 < np.sqrt(np.mean(scores**2)) < 2.0
    assert {each.degrees_of_freedom >= 9 for each in found} == {True}


def test_the_trace_of_a_trained_network_is_within_one_percent(hessian, spectrum):
    found = hessian_trace(hessian)
    assert found.converged
    assert abs(found.value - spectrum.sum()) < 0.01 * spectrum.sum()
    assert found.n_products < 400
    low, high = found.interval()
    assert high - found.value == pytest.approx(found.value - low)
    assert 1.9 * found.standard_error < high - found.value < 2.3 * found.standard_error


def test_products_are_counted_and_a_short_budget_is_told(matrix):
    operator = Counted(matrix)
    with pytest.warns(FlatnessWarning, match="max_products = 100 are used up"):
        found = hessian_trace(operator, method="hutchinson", rtol=1e-4, max_products=100)
    assert not found.converged
    assert found.n_products == operator.count <= 100
    assert found.standard_error > 1e-4 * found.value


def test_small_operators_have_exact_traces():
    matrix = prescribed([3.0, 1.0, -0.5, 0.0, 0.0, 0.25])
    found = hessian_trace(matrix)
    low, high = found.interval(0.999)
    assert (found.n_products, found.converged) == (6, True)
    assert found.value == pytest.approx(3.75, rel=1e-14)
    assert low <= 3.75 <= high
    nothing = hessian_trace(np.zeros((200, 200)))
    assert (nothing.value, nothing.converged) == (0.0, True)


def test_a_tiny_hessian_has_the_same_relative_error_as_a_large_one(matrix):
    for method in ("hutch++", "xtrace"):
        one, other = (hessian_trace(scale * matrix, method=method, rtol=0.05) for scale in (1.0, 2.0**-60))
        assert other.value == pytest.approx(2.0**-60 * one.value, rel=1e-9, abs=0)
        assert other.standard_error == pytest.approx(2.0**-60 * one.standard_error, rel=1e-5, abs=0)


def test_the_interval_is_that_of_students_t():
    found = hessian_trace(prescribed(like_a_hessian()), rtol=0.02)
    reach = (found.interval(0.9)[1] - found.value) / found.standard_error
    with mp.workdps(30):
        nu = mp.mpf(found.degrees_of_freedom)
        beyond = mp.betainc(nu / 2, 0.5, 0, nu / (nu + mp.mpf(reach) ** 2), regularized=True)
        assert float(beyond) == pytest.approx(0.1, rel=1e-10)


def test_top_eigenvalues_of_a_trained_network_are_those_of_its_dense_hessian(hessian, spectrum):
    found = top_eigenvalues(hessian, 5)
    np.testing.assert_allclose(found.values, spectrum[:5], rtol=1e-10)
    assert found.n_products < 60
    ends = top_eigenvalues(hessian, 2, which="both")
    np.testing.assert_allclose(ends.values, [*spectrum[:2], *spectrum[-2:]], rtol=1e-6)
    assert ends.signs.tolist() == np.sign([*spectrum[:2], *spectrum[-2:]]).tolist() == [1, 1, -1, -1]


@given(
    st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=12),
    st.integers(0, 5),
    st.integers(1, 4),
    st.sampled_from(["largest", "smallest", "both"]),
)
@example([0.0, 4.2e-231], 0, 1, "largest")  # whose squares are no numbers
@examples(40)
def test_eigenvalues_of_any_small_spectrum_are_found(values, copies, k, which):
    values = np.sort(np.array([*values, *[values[0]] * copies]))[::-1]
    k = min(k, len(values))
    found = top_eigenvalues(prescribed(values), k, which=which)
    largest, smallest = values[:k], values[len(values) - k :]
    wanted = {"largest": largest, "smallest": smallest, "both": np.concatenate([largest, smallest])}[which]
    if which == "both" and 2 * k > len(values):
        wanted = values
    if copies == 0 or len(found.values) == len(values):
        np.testing.assert_allclose(found.values, wanted, rtol=0, atol=1e-8 * max(np.abs(values).max(), 1e-300))
    assert np.all(np.diff(found.values) <= 0.0)


def test_a_hundred_eigenvalues_take_fewer_products_than_twice_their_number_and_a_half(matrix):
    operator = Counted(matrix)
    found = top_eigenvalues(operator, 100)
    np.testing.assert_allclose(found.values, np.sort(like_a_hessian())[::-1][:100], atol=5e-10)
    assert found.n_products == operator.count <= 250


@pytest.mark.parametrize(("lowest", "sign"), [(-1e-6, -1), (1e-3, 1), (0.0, 0), (-1e-17, 0)])
def test_the_sign_of_the_smallest_eigenvalue_is_right_or_left_open(lowest, sign):
    values = np.concatenate([[1.0], np.linspace(0.5, 0.01, 60), [lowest]])
    found = top_eigenvalues(prescribed(values), which="smallest", tol=1e-12)
    assert found.signs.tolist() == [sign]
    assert abs(found.values[0] - lowest) < 1e-12


def test_eigenvalues_of_many_dimensions_are_found_where_the_space_is_exhausted():
    found = top_eigenvalues(prescribed(np.repeat([2.0, 1.0, 0.0], [3, 4, 20])), 27)
    np.testing.assert_allclose(found.values, np.repeat([2.0, 1.0, 0.0], [3, 4, 20]), atol=1e-12)
    assert found.signs[:7].tolist() == [1] * 7
    assert not found.signs[7:].any()
    assert top_eigenvalues(np.eye(8), 8).values.tolist() == pytest.approx([1.0] * 8)
    both = top_eigenvalues(prescribed(np.repeat([5.0, 4.0, 3.0, 2.0, 1.0], 20)), 3, which="both")
    np.testing.assert_allclose(both.values, np.repeat([5.0, 4.0, 2.0, 1.0], [2, 1, 1, 2]), atol=1e-12)


def test_a_short_budget_for_eigenvalues_is_told(matrix):
    with pytest.warns(FlatnessWarning, match="max_products = 7 are used up"):
        found = top_eigenvalues(matrix, 5, max_products=7)
    assert not found.converged
    wanted = np.sort(like_a_hessian())[::-1][:5]
    assert np.all(found.values <= wanted + 1e-12)  # Ritz values are below


def distance(found, eigenvalues):
    share = np.full(len(eigenvalues), 1.0 / len(eigenvalues))
    return np.trapezoid(np.abs(found.density - smooth(found.grid, eigenvalues, share, found.sigma)), found.grid)


def test_the_density_of_a_trained_network_is_that_of_its_dense_hessian(hessian, spectrum):
    found = spectral_density(hessian, n_probes=12, n_steps=25)
    assert distance(found, spectrum) < 0.02
    assert np.trapezoid(found.density, found.grid) == pytest.approx(1.0, abs=1e-3)
    for order, error in ((0, 1e-12), (1, 0.02), (2, 2e-3), (3, 1e-3)):
        assert found.moment(order) == pytest.approx(np.mean(spectrum**order), rel=error)


def test_exact_eigenvalues_make_the_moments_better(matrix):
    values = like_a_hessian()
    errors = [
        abs(spectral_density(matrix, n_probes=8, n_steps=20, n_exact=n).moment(2) / np.mean(values**2) - 1.0)
        for n in (0, 10)
    ]
    assert errors[1] < 0.01 < errors[0]


def test_densities_of_spectra_with_many_zeros_are_finite_and_right():
    values = np.repeat([0.0, 1.0, 3.0], [80, 15, 5])
    found = spectral_density(prescribed(values), n_probes=40, n_steps=30, n_exact=0, sigma=0.05)
    assert np.isfinite(found.density).all()
    assert found.cumulative([0.5, 2.0, 4.0]) == pytest.approx([0.8, 0.95, 1.0], abs=0.03)
    assert distance(found, values) < 0.05
    nothing = spectral_density(np.zeros((20, 20)))
    assert np.isfinite(nothing.density).all()
    assert nothing.moment(1) == pytest.approx(0.0, abs=1e-15)


def test_smoothing_is_the_normal_density():
    found = spectral_density(np.diag([1.0, 2.0]), n_steps=2, n_exact=1, sigma=0.3, grid=[0.5, 1.7])
    with mp.workdps(30):
        wanted = [sum(mp.npdf(x, node, 0.3) for node in (1, 2)) / 2 for x in (mp.mpf("0.5"), mp.mpf("1.7"))]
        below = sum(mp.ncdf((mp.mpf("1.7") - node) / mp.mpf("0.3")) for node in (1, 2)) / 2
    np.testing.assert_allclose(found.density, [float(each) for each in wanted], rtol=1e-13)
    assert found.cumulative([1.7])[0] == pytest.approx(float(below), rel=1e-13)


def test_flatness_puts_networks_side_by_side(trained, hessian, spectrum):
    run, X, y = trained
    weaker = Snapshot(jax.tree.map(lambda leaf: 0.5 * leaf, run.model))
    table = measure_flatness({"teacher": run, "round 1": weaker}, X, y, rtol=0.01)
    assert isinstance(table, pd.DataFrame)
    assert table.index.tolist() == ["teacher", "round 1"]
    first = table.loc["teacher"]
    assert first["trace"] == pytest.approx(spectrum.sum(), rel=0.04)
    assert first["trace_low"] < first["trace"] < first["trace_high"]
    assert first["largest"] == pytest.approx(spectrum[0], rel=1e-6)
    assert first["smallest"] == pytest.approx(spectrum[-1], rel=1e-3)
    assert (first["smallest_sign"], first["converged"]) == (-1, True)
    assert first["loss"] == pytest.approx(hessian.mean_loss(), rel=1e-12)
    assert table.loc["round 1", "trace"] != pytest.approx(first["trace"], rel=0.1)
    some = measure_flatness(run.model, X, y, minibatch=50, rtol=0.05, seed=3)
    assert some.index.tolist() == ["MultilayerPerceptron"]
    assert some["loss"].item() == pytest.approx(hessian.minibatch(50, 3).mean_loss(), rel=1e-12)


def test_all_networks_are_looked_at_before_the_first_is_measured(trained, monkeypatch):
    run, X, y = trained
    monkeypatch.setattr(flatness, "hessian_trace", lambda *_, **__: pytest.fail("it was measured"))
    other = MultilayerPerceptron(X.shape[1] + 1, 10, width=3, key=jax.random.key(0))
    with pytest.raises((TypeError, ValueError), match="must all have this loss, got of 'second': model must take"):
        measure_flatness({"first": run, "second": other}, X, y)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda a: hessian_trace(a, method="exact"), ValueError, "method must be 'hutch++', 'xtrace' or 'hutchinson'"),
        (lambda a: hessian_trace(a, rtol=0.0), ValueError, "rtol must be > 0, got 0.0"),
        (lambda a: hessian_trace(a, max_products=20), ValueError, "max_products must leave room for an estimate"),
        (lambda a: top_eigenvalues(np.triu(a)), ValueError, "hessian must be symmetric"),
        (lambda a: hessian_trace(a[:5]), ValueError, "hessian must be square and not empty, got shape (5, 300)"),
        (lambda a: hessian_trace(str(a)), TypeError, "hessian must be a LossHessian, symmetric matrix"),
        (lambda a: hessian_trace(a * np.nan), ValueError, "hessian must give finite products"),
        (lambda a: hessian_trace(a, rtol=0.05).interval(1.0), ValueError, "level must be < 1, got 1.0"),
        (lambda a: top_eigenvalues(a, 301), ValueError, "k must be <= 300, the size of the operator, got 301"),
        (lambda a: top_eigenvalues(a, which="top"), ValueError, "which must be 'largest', 'smallest' or 'both'"),
        (lambda a: top_eigenvalues(a, 9, max_products=8), ValueError, "max_products must be >= the eigenvalues"),
        (lambda a: top_eigenvalues(a, tol=-1.0), ValueError, "tol must be > 0, got -1.0"),
        (lambda a: spectral_density(a, n_exact=300), ValueError, "n_exact must be < 300, the size of the operator"),
        (lambda a: spectral_density(a, sigma=0.0), ValueError, "sigma must be > 0, got 0.0"),
        (lambda a: measure_flatness({}, a, a), ValueError, "networks must hold at least one network, got none"),
    ],
)
def test_bad_input_is_named(matrix, call, error, message):
    with pytest.raises(error, match=re.escape(message)):
        call(matrix)
