"""When chains of more than two fits improve on the best ridge, and when no chain does.

Symbols as in `test_outlook`: `a = d/(d + ridge)`, and `w = [(1 − a)θ² − aσ²]·a(1 − a)`, whose sum is zero at a
stationary ridge.
"""

import warnings

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    LabelWeightWarning,
    Ridge,
    Spectrum,
    distillation_outlook,
    in_sample_risk,
    oracle_label_weights,
    selfdistill_closed_form,
)
from tests.strategies import log_uniform


def least_risk(K, theta, ridge, n_steps, noise_variance):
    """Risk of the last of some fits with the label weights of least risk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)
        weights = oracle_label_weights(K, theta, ridge=ridge, n_steps=n_steps, noise_variance=noise_variance)
    path = selfdistill_closed_form(K, theta, ridge=ridge, n_steps=n_steps, label_weight=weights)
    return float(in_sample_risk(K, theta, path, noise_variance=noise_variance).total[-1])


@given(
    st.integers(2, 3),
    st.integers(1, 3),
    log_uniform(1e-1, 1e1),
    log_uniform(1e-1, 1e1),
    st.sampled_from([0.1, 0.5, 1.0, 2.0, 10.0]),
    st.integers(0, 2**32 - 1),
)
def test_some_chain_improves_on_the_best_ridge_unless_level_averages_are_proportional_to_the_eigenvalues(
    n_levels, copies, prior, noise_variance, factor, seed
):
    """Of a level only the mean energy counts: it is split among the level's modes at random."""
    rng = np.random.default_rng(seed)
    levels = np.array([4.0, 1.0, 0.2])[:n_levels]
    energy = prior * levels
    energy[rng.integers(n_levels)] *= factor
    theta = np.sqrt((copies * energy[:, None] * rng.dirichlet(np.ones(copies), n_levels)).ravel())
    K = np.diag(np.repeat(levels, copies))
    outlook = distillation_outlook(K, theta, ridge=1.0, noise_variance=noise_variance)
    assert outlook.best_ridge_is_interior
    longest = least_risk(K, theta, outlook.best_ridge, n_levels + 1, noise_variance)
    if factor == 1.0:
        np.testing.assert_allclose(outlook.best_ridge, noise_variance / prior, rtol=1e-5)
        np.testing.assert_allclose([longest, outlook.floor], outlook.best_ridge_risk, rtol=1e-9)
    else:
        assert longest < outlook.best_ridge_risk * (1 - 1e-4)
        assert outlook.largest_gain > 1e-4 * outlook.best_ridge_risk


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("n_vanishing", [1, 2, 3])
def test_at_a_stationary_ridge_the_first_moment_that_does_not_vanish_says_how_many_fits_improve(n_vanishing, sign):
    """`Σ w a^j = 0` for all j below k, and not for k: as many as k + 1 fits change nothing, and k + 2 improve."""
    ridge, noise_variance = 1.0, 0.7
    a = np.linspace(0.9, 0.1, n_vanishing + 1)
    d = ridge * a / (1 - a)
    w = sign * scipy.linalg.null_space(a ** np.arange(n_vanishing)[:, None])[:, 0]
    spent = a * noise_variance * a * (1 - a)  # what w is without any signal: it must not be less
    w *= 0.9 * np.min(spent[w < 0] / -w[w < 0])
    theta = np.sqrt((w / (a * (1 - a)) + a * noise_variance) / (1 - a))
    K = np.diag(d)
    moments = [np.sum(w * a**j) for j in range(n_vanishing + 1)]
    np.testing.assert_allclose(moments[:-1], 0.0, atol=1e-15)
    assert abs(moments[-1]) > 1e-6
    first = least_risk(K, theta, ridge, 1, noise_variance)
    for n_steps in range(2, n_vanishing + 2):
        np.testing.assert_allclose(least_risk(K, theta, ridge, n_steps, noise_variance), first, rtol=1e-9)
    assert least_risk(K, theta, ridge, n_vanishing + 2, noise_variance) < first * (1 - 1e-6)


@pytest.mark.parametrize(("n_noise", "least", "most"), [(100, 15.2, 15.6), (1000, 50.0, 64.5)])
def test_one_round_separates_from_every_ridge_through_the_public_functions(n_noise, least, most):
    """Signal κ on the eigenvalue 1, N noise directions at 1/κ: the best ridge near 1 + 2√N, the best two fits → 1."""
    kappa, total = 1e6, n_noise + 1
    theta = np.append(kappa, np.zeros(n_noise))
    spectrum = Spectrum(np.append(1.0, np.full(n_noise, 1 / kappa)), np.eye(total))
    outlook = distillation_outlook(spectrum, theta, ridge=1.0, noise_variance=1.0, n_steps=2)
    assert least < outlook.best_ridge_risk * total < most
    (two,) = outlook.best_fits
    risks = in_sample_risk(spectrum, theta, [Ridge(r) for r in np.geomspace(1e-9, 1e9, 200)], noise_variance=1.0)
    assert outlook.best_ridge_risk <= risks.total.min() * (1 + 1e-9)
    assert (outlook.best_ridge_risk - two.gain) * total < 1.1
    np.testing.assert_allclose(least_risk(spectrum, theta, 1e8, 2, 1.0) * total, 1.0, atol=1e-3)
    assert oracle_label_weights(spectrum, theta, ridge=1e8, n_steps=2, noise_variance=1.0)[0] > 1e7
