"""The same numbers from numpy, from the strictest array library there is, and from JAX: the same kind out as in."""

import array_api_strict
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import kdtheory
from kdtheory import (
    Distilled,
    Ridge,
    SelfDistillation,
    SelfDistillationLimit,
    Spectrum,
    combination_from_label_weights,
    greedy_label_weights,
    joint_label_weights,
    label_weights_from_combination,
    selfdistill_closed_form,
    selfdistill_constrained,
    selfdistill_grid,
)

rng = np.random.default_rng(0)
FEATURES = rng.standard_normal((9, 6))
K, K_TEST = FEATURES @ FEATURES.T, rng.standard_normal((4, 6)) @ FEATURES.T
TARGETS = {"one output": rng.standard_normal(9), "two outputs": rng.standard_normal((9, 2))}

LIBRARIES = {"numpy": np, "array_api_strict": array_api_strict, "jax": jnp}


@pytest.fixture(params=LIBRARIES)
def xp(request):
    return LIBRARIES[request.param]


def to_numpy(array):
    return np.asarray(np.from_dlpack(array))


def assert_same(ours, theirs, xp, **tolerance):
    assert type(ours) is type(xp.asarray([1.0]))
    assert ours.dtype == xp.float64
    np.testing.assert_allclose(to_numpy(ours), theirs, **({"rtol": 1e-9, "atol": 1e-10} | tolerance))


def test_jax_really_runs_in_double_precision():
    assert jax.config.jax_enable_x64


@pytest.mark.parametrize(
    "filter_",
    [
        Ridge(0.5),
        SelfDistillation(0.5, 10**9, 1e-8),
        SelfDistillation(0.5, 10**12, -0.5 / 3.0 * (1 + 1e-13)),
        SelfDistillation(0.5, 10**6, 2.0 + 0.5 / 3.0 * (1 - 1e-7)),
        SelfDistillationLimit(0.5, 0.25),
        Distilled(Ridge(0.1), Ridge(0.5), 0.3),
    ],
)
def test_filters(filter_, xp):
    d = [3.0, 1.0, 1e-7, 0.0]
    for function in (filter_, filter_.shrinkage, filter_.residual):
        assert_same(function(xp.asarray(d)), function(np.array(d)), xp, rtol=1e-12)


def test_the_spectrum(xp):
    spectrum, expected = Spectrum.from_gram(xp.asarray(K)), Spectrum.from_gram(K)
    assert_same(spectrum.eigenvalues, expected.eigenvalues, xp)
    u = to_numpy(spectrum.eigenvectors)
    np.testing.assert_allclose(u * to_numpy(spectrum.eigenvalues) @ u.T, K, atol=1e-12)
    assert spectrum.rank == spectrum.positive().rank == 6


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("label_weight", [0.25, [0.1, 1.3]])
def test_paths(y, label_weight, xp):
    setting = {"ridge": 0.2, "n_steps": 3, "label_weight": label_weight}
    ours = selfdistill_closed_form(xp.asarray(K), xp.asarray(y), **setting)
    theirs = selfdistill_closed_form(K, y, **setting)
    assert_same(ours.fitted, theirs.fitted, xp)
    assert_same(ours.dual_coef, theirs.dual_coef, xp)
    assert_same(ours.predict(xp.asarray(K_TEST)), theirs.predict(K_TEST), xp)
    assert_same(ours.label_weights, theirs.label_weights, xp)
    assert_same(ours.effective_dof, theirs.effective_dof, xp)
    assert repr(ours) == repr(theirs)
    if label_weight == 0.25:
        assert_same(ours.limit.predict(xp.asarray(K_TEST)), theirs.limit.predict(K_TEST), xp)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
def test_grids_and_constrained_chains(y, xp):
    ours = selfdistill_grid(xp.asarray(K), xp.asarray(y), ridges=[0.1, 1.0], n_steps=3, label_weights=[0.0, 0.5])
    theirs = selfdistill_grid(K, y, ridges=[0.1, 1.0], n_steps=3, label_weights=[0.0, 0.5])
    assert_same(ours.fitted, theirs.fitted, xp)
    tolerance = 0.9 * float(np.sum(y**2)) / 9
    chain = selfdistill_constrained(xp.asarray(K), xp.asarray(y), tolerance=tolerance)
    assert_same(chain.ridges, selfdistill_constrained(K, y, tolerance=tolerance).ridges, xp)
    assert_same(chain.fitted, selfdistill_constrained(K, y, tolerance=tolerance).fitted, xp)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
@pytest.mark.parametrize("unit_interval", [False, True])
def test_label_weights(y, choose, unit_interval, xp):
    y_val = rng.standard_normal((4, *y.shape[1:]))
    setting = {"ridge": 0.5, "n_steps": 4, "unit_interval": unit_interval}
    ours = choose(xp.asarray(K), xp.asarray(y), K_val=xp.asarray(K_TEST), y_val=xp.asarray(y_val), **setting)
    theirs = choose(K, y, K_val=K_TEST, y_val=y_val, **setting)
    assert_same(ours, theirs, xp, rtol=1e-5, atol=1e-7)


def test_plain_numbers_follow_the_gram_matrix(xp):
    path = selfdistill_closed_form(xp.asarray(np.eye(2)), [1.0, 2.0], ridge=1.0, n_steps=2)
    assert_same(path.fitted, [[0.5, 1.0], [0.25, 0.5]], xp)
    assert_same(path.predict(np.eye(2)), [[0.5, 1.0], [0.25, 0.5]], xp)


def test_chosen_label_weights_go_straight_into_a_path(xp):
    K_, y, K_val = xp.asarray(K), xp.asarray(TARGETS["one output"]), xp.asarray(K_TEST)
    weights = greedy_label_weights(K_, y, ridge=0.5, n_steps=3, K_val=K_val, y_val=xp.asarray([1.0, 0.0, -1.0, 2.0]))
    path = selfdistill_closed_form(K_, y, ridge=0.5, n_steps=3, label_weight=weights)
    np.testing.assert_array_equal(to_numpy(path.label_weights), to_numpy(weights))


@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
def test_one_step_takes_the_empty_weights_that_were_chosen_for_it(choose, xp):
    K_, y, K_val = xp.asarray(K), xp.asarray(TARGETS["one output"]), xp.asarray(K_TEST)
    weights = choose(K_, y, ridge=0.5, n_steps=1, K_val=K_val, y_val=xp.asarray([1.0, 0.0, -1.0, 2.0]))
    path = selfdistill_closed_form(K_, y, ridge=0.5, n_steps=1, label_weight=weights)
    assert path.label_weights.shape == (0,)
    assert_same(combination_from_label_weights(weights), [1.0], xp)


def test_half_precision_becomes_single():
    assert Spectrum.from_gram(jnp.eye(2, dtype=jnp.bfloat16)).eigenvalues.dtype == jnp.float32


def test_combinations(xp):
    combination = combination_from_label_weights(xp.asarray([0.5, 0.25]))
    assert_same(combination, [0.25, 0.375, 0.375], xp)
    assert_same(label_weights_from_combination(combination), [0.5, 0.25], xp)


def test_targets_of_a_third_library_are_refused():
    with pytest.raises(
        TypeError, match="y must be an array of numpy or of the library of the other arrays, got ArrayImpl"
    ):
        selfdistill_closed_form(array_api_strict.asarray(np.eye(2)), jnp.ones(2), ridge=1.0, n_steps=2)


def test_single_precision_stays_single(xp):
    path = selfdistill_closed_form(xp.asarray(K, dtype=xp.float32), TARGETS["one output"], ridge=0.2, n_steps=3)
    assert path.fitted.dtype == xp.float32
    np.testing.assert_allclose(
        to_numpy(path.fitted), selfdistill_closed_form(K, TARGETS["one output"], ridge=0.2, n_steps=3).fitted, atol=1e-4
    )


def test_arrays_stay_on_their_device():
    device = jax.devices("cpu")[0]
    path = kdtheory.selfdistill_closed_form(jax.device_put(jnp.eye(2), device), [1.0, 2.0], ridge=1.0, n_steps=2)
    assert path.predict([[1.0, 0.0]]).devices() == {device}
