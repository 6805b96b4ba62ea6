"""Exact held-out errors from numpy, from the strictest array library there is, and from JAX."""

import array_api_strict
import jax.numpy as jnp
import numpy as np
import pytest

from kdtheory import (
    FreeWeights,
    MonotoneWeights,
    Spectrum,
    effective_dof,
    gcv_score,
    leave_group_out_predictions,
    loo_label_weights,
    loo_predictions,
    search_selfdistillation,
)
from tests.test_array_libraries import TARGETS, K, assert_same

LIBRARIES = {"array_api_strict": array_api_strict, "jax": jnp}
MODEL = {"ridge": 0.3, "n_steps": 3, "label_weight": [0.4, -0.2]}
GROUPS = [0, 1, 2, 0, 1, 2, 0, 0, 1]


@pytest.fixture(params=LIBRARIES)
def xp(request):
    return LIBRARIES[request.param]


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("fit_intercept", [False, True])
def test_held_out_predictions(y, fit_intercept, xp):
    model = {**MODEL, "fit_intercept": fit_intercept}
    gram, targets = xp.asarray(K), xp.asarray(y)
    assert_same(loo_predictions(gram, targets, **model), loo_predictions(K, y, **model), xp)
    ours = leave_group_out_predictions(gram, targets, groups=GROUPS, **model)
    assert_same(ours, leave_group_out_predictions(K, y, groups=GROUPS, **model), xp)
    assert_same(gcv_score(gram, targets, **model), gcv_score(K, y, **model), xp)
    assert_same(effective_dof(gram, **model), effective_dof(K, **model), xp)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
def test_held_out_predictions_with_sample_weights(y, xp):
    """Some of them zero, in no group or in one."""
    weight = np.array([1.0, 2.0, 0.0, 1.0, 0.5, 3.0, 1.0, 0.0, 1.0])
    ours, theirs = Spectrum.from_gram(xp.asarray(K), xp.asarray(weight)), Spectrum.from_gram(K, weight)
    assert_same(loo_predictions(ours, xp.asarray(y), **MODEL), loo_predictions(theirs, y, **MODEL), xp)
    given = leave_group_out_predictions(ours, xp.asarray(y), groups=GROUPS, **MODEL)
    assert_same(given, leave_group_out_predictions(theirs, y, groups=GROUPS, **MODEL), xp)
    assert_same(gcv_score(ours, xp.asarray(y), **MODEL), gcv_score(theirs, y, **MODEL), xp)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("unit_interval", [False, True])
def test_label_weights(y, unit_interval, xp):
    setting = {"ridge": 0.3, "n_steps": 3, "unit_interval": unit_interval}
    ours = loo_label_weights(xp.asarray(K), xp.asarray(y), **setting)
    assert_same(ours, loo_label_weights(K, y, **setting), xp, rtol=1e-6)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS.keys())
@pytest.mark.parametrize("rule", [MonotoneWeights(), FreeWeights(), [0.0, 0.5]])
@pytest.mark.parametrize("groups", [None, GROUPS])
def test_searches(y, rule, groups, xp):
    setting = {"ridges": [0.1, 1.0, 10.0], "n_steps": 3, "label_weights": rule, "groups": groups, "fit_intercept": True}
    ours = search_selfdistillation(xp.asarray(K), xp.asarray(y), **setting)
    theirs = search_selfdistillation(K, y, **setting)
    np.testing.assert_allclose(ours.errors, theirs.errors, rtol=1e-8)
    assert (ours.best_ridge, ours.best_n_steps) == (theirs.best_ridge, theirs.best_n_steps)
    assert_same(ours.held_out_predictions, theirs.held_out_predictions, xp, rtol=1e-6)
    for part, expected in zip(ours.fit(), theirs.fit(), strict=True):
        assert_same(xp.asarray(part), expected, xp, rtol=1e-6, atol=1e-8)
