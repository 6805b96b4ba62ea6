"""When self-distillation helps: each statement as a property, in its true form with its assumptions.

In the modes of the Gram matrix `a = d/(d + ridge)` is the shrinkage of the first fit, θ² the energy of the signal and
σ² the noise; `w = [(1 − a)θ² − aσ²]·a(1 − a)` is the signal still missing minus the noise still kept.
"""

import warnings

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    GradientFlow,
    LabelWeightWarning,
    Ridge,
    SelfDistillation,
    can_distillation_help,
    distillation_outlook,
    in_sample_risk,
    oracle_label_weights,
    selfdistill_closed_form,
    wiener_filter,
)
from tests.strategies import examples, log_uniform, spectra


@st.composite
def signals(draw, **options):
    """A diagonal Gram matrix, a signal, a ridge and a noise variance, all of sizes that meet."""
    d = draw(spectra(zeros=False, low=1e-2, high=1e2, **options))
    theta = np.array(draw(st.lists(st.floats(0.0, 3.0), min_size=len(d), max_size=len(d))))
    assume(np.sum(theta**2) > 1e-2)
    return np.diag(d), theta, draw(log_uniform(1e-2, 1e2)), draw(log_uniform(1e-2, 1e1))


def ridge_risk(K, theta, ridge, noise_variance):
    return float(in_sample_risk(K, theta, Ridge(ridge), noise_variance=noise_variance).total)


def two_fits_risk(K, theta, ridge, label_weight, noise_variance):
    filter_ = SelfDistillation(ridge, 2, label_weight)
    return float(in_sample_risk(K, theta, filter_, noise_variance=noise_variance).total)


def least_risk(K, theta, ridge, n_steps, noise_variance):
    """Risk of the last of some fits with the label weights of least risk."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)
        weights = oracle_label_weights(K, theta, ridge=ridge, n_steps=n_steps, noise_variance=noise_variance)
    path = selfdistill_closed_form(K, theta, ridge=ridge, n_steps=n_steps, label_weight=weights)
    return float(in_sample_risk(K, theta, path, noise_variance=noise_variance).total[-1])


def best_two_fits_risk(K, theta, ridge, noise_variance):
    """The risk is quadratic in the label weight: three evaluations give its minimum."""
    at = [two_fits_risk(K, theta, ridge, weight, noise_variance) for weight in (0.0, 1.0, 2.0)]
    curvature, slope = at[0] - 2 * at[1] + at[2], (at[2] - at[0]) / 2
    return at[1] - slope**2 / (2 * curvature) if curvature > 1e-14 * at[1] else at[1]


@given(signals())
def test_a_second_fit_helps_wherever_the_ridge_is_not_at_a_stationary_point(case):
    """One round: `R* = R − (dR/dlog ridge)²/(4‖f₂ − f₁‖²)`, `1 − α* = −(dR/dlog ridge)/(2‖f₂ − f₁‖²)`."""
    K, theta, ridge, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=ridge, noise_variance=noise_variance, n_steps=1)
    risk = ridge_risk(K, theta, ridge, noise_variance)
    np.testing.assert_allclose(outlook.risk, risk, rtol=1e-12)
    step = 1e-4
    slope = (
        ridge_risk(K, theta, ridge * np.exp(step), noise_variance)
        - ridge_risk(K, theta, ridge * np.exp(-step), noise_variance)
    ) / (2 * step)
    np.testing.assert_allclose(outlook.slope, slope, rtol=1e-4, atol=1e-7 * risk)
    a = Ridge(ridge).shrinkage(np.diag(K))
    distance = np.sum((a * (1 - a)) ** 2 * (theta**2 + noise_variance)) / len(a)
    np.testing.assert_allclose(outlook.label_weight, 1 + outlook.slope / (2 * distance), rtol=1e-9)
    np.testing.assert_allclose(outlook.one_step_gain, outlook.slope**2 / (4 * distance), rtol=1e-9)
    np.testing.assert_allclose(
        two_fits_risk(K, theta, ridge, outlook.label_weight, noise_variance),
        risk - outlook.one_step_gain,
        rtol=1e-8,
        atol=1e-10,
    )
    for other in (outlook.label_weight - 0.1, outlook.label_weight + 0.1, 0.0, 1.0):
        assert risk - outlook.one_step_gain <= two_fits_risk(K, theta, ridge, other, noise_variance) * (1 + 1e-9)


@given(signals())
def test_the_sign_rule(case):
    K, theta, ridge, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=ridge, noise_variance=noise_variance, n_steps=1)
    assert outlook.wants_more_ridge == (outlook.slope < 0.0)
    assert outlook.one_step_gain >= 0.0
    if outlook.slope != 0.0:
        assert (outlook.label_weight < 1.0) == outlook.wants_more_ridge or outlook.label_weight == 1.0


@given(signals())
def test_the_best_ridge_is_the_best(case):
    K, theta, ridge, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=ridge, noise_variance=noise_variance, n_steps=1)
    grid = np.logspace(-8, 8, 400)
    risks = in_sample_risk(K, theta, [Ridge(value) for value in grid], noise_variance=noise_variance).total
    assert outlook.best_ridge_risk <= np.min(risks) * (1 + 1e-3)
    assert outlook.best_ridge_risk <= outlook.risk * (1 + 1e-3)
    if outlook.best_ridge_is_interior:
        assert outlook.best_ridge_risk <= np.min(risks) * (1 + 1e-12)
        at_best = distillation_outlook(K, theta, ridge=outlook.best_ridge, noise_variance=noise_variance, n_steps=1)
        assert abs(at_best.slope) <= 1e-9 * at_best.risk


@pytest.mark.parametrize("energy", [1e-12, 1e-3, 1.0, 1e3, 1e12])
@pytest.mark.parametrize("eigenvalue", [1e-6, 1.0, 1e6])
def test_the_best_ridge_of_one_mode_is_found_however_far_it_is(energy, eigenvalue):
    """`noise·d/energy`, which makes ridge regression the Wiener filter."""
    outlook = distillation_outlook([[eigenvalue]], [np.sqrt(energy)], ridge=1.0, noise_variance=1.0)
    np.testing.assert_allclose(outlook.best_ridge, eigenvalue / energy, rtol=1e-6)
    assert outlook.best_ridge_is_interior
    np.testing.assert_allclose(outlook.best_ridge_risk, energy / (1.0 + energy), rtol=1e-10)


def test_the_best_ridge_of_many_weak_modes_is_found():
    d, energy = np.geomspace(1.0, 1e-3, 200), 1e-9
    outlook = distillation_outlook(np.diag(d), np.full(200, np.sqrt(energy)), ridge=1.0, noise_variance=1.0)
    assert outlook.best_ridge_is_interior
    np.testing.assert_allclose(outlook.best_ridge, np.sum(d**2) / (energy * np.sum(d)), rtol=1e-3)


@examples(200)
@given(signals(min_size=2))
def test_curvature_decides_whether_two_fits_beat_the_best_ridge_near_it(case):
    """`Σ w a > 0` at the best ridge, in its equivalent forms too: `‖f₂ − f₁‖² < R″/2` in the logarithm of the ridge."""
    K, theta, _, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=1.0, noise_variance=noise_variance, n_steps=1)
    best, risk = outlook.best_ridge, outlook.best_ridge_risk
    assume(outlook.best_ridge_is_interior)
    a = Ridge(best).shrinkage(np.diag(K))
    w = ((1 - a) * theta**2 - a * noise_variance) * a * (1 - a)
    np.testing.assert_allclose(outlook.curvature, 2 * np.sum(w * a) / len(a), rtol=1e-6, atol=1e-9 * risk)
    distance = np.sum((a * (1 - a)) ** 2 * (theta**2 + noise_variance)) / len(a)
    second = (
        sum(
            sign * ridge_risk(K, theta, best * np.exp(step), noise_variance)
            for sign, step in ((1, 1e-3), (-2, 0.0), (1, -1e-3))
        )
        / (1e-3) ** 2
    )
    np.testing.assert_allclose(second / 2 - distance, outlook.curvature, rtol=1e-2, atol=2e-4 * risk)
    if abs(outlook.curvature) < 1e-2 * risk or second < 5e-2 * risk:
        return  # too flat for a neighbourhood of two percent
    near = [best_two_fits_risk(K, theta, best * np.exp(step), noise_variance) for step in (-0.02, 0.02)]
    assert (min(near) < risk) == (outlook.curvature > 0)


@examples(200)
@given(signals(min_size=2))
def test_three_fits_at_the_best_ridge_improve_on_it_wherever_it_curves(case):
    K, theta, _, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=1.0, noise_variance=noise_variance, n_steps=1)
    assume(outlook.best_ridge_is_interior)
    one, two, three = (least_risk(K, theta, outlook.best_ridge, count, noise_variance) for count in (1, 2, 3))
    np.testing.assert_allclose(one, outlook.best_ridge_risk, rtol=1e-12)
    np.testing.assert_allclose(two, one, rtol=1e-9)  # two fits at a stationary point change nothing
    assert three <= two * (1 + 1e-9)
    if abs(outlook.curvature) > 1e-2 * one:
        assert three < one * (1 - 1e-6)


@given(spectra(zeros=True, low=1e-2), log_uniform(1e-2, 1e1), log_uniform(1e-1, 1e1), st.integers(1, 3))
def test_no_chain_improves_where_the_energy_is_proportional_to_the_eigenvalue(d, noise_variance, prior, n_steps):
    """Level-averaged energy `(σ²/ridge*)·d`: an isotropic prior, for which ridge regression is the Wiener filter."""
    theta, best = np.sqrt(prior * d), noise_variance / prior
    outlook = distillation_outlook(np.diag(d), theta, ridge=best, noise_variance=noise_variance, n_steps=n_steps)
    np.testing.assert_allclose(outlook.risk, outlook.floor, rtol=1e-10)
    np.testing.assert_allclose(outlook.best_ridge, best, rtol=1e-5)
    assert all(fits.gain == 0.0 for fits in outlook.best_fits)
    np.testing.assert_allclose([fits.ridge for fits in outlook.best_fits], best, rtol=1e-5)
    np.testing.assert_allclose([outlook.slope, outlook.curvature, outlook.one_step_gain], 0.0, atol=1e-9)
    assert outlook.largest_gain <= 1e-9 * outlook.floor


@examples(100)
@given(st.integers(1, 3), st.integers(1, 3), log_uniform(1e-1, 1e1), log_uniform(1e-2, 1.0), st.integers(0, 2**32 - 1))
def test_one_fit_more_than_there_are_levels_reaches_the_floor_with_every_ridge(
    n_levels, copies, ridge, noise_variance, seed
):
    rng = np.random.default_rng(seed)
    d = np.repeat(np.array([4.0, 1.0, 0.2])[:n_levels], copies)
    theta = rng.standard_normal(len(d)) + 0.5
    outlook = distillation_outlook(np.diag(d), theta, ridge=ridge, noise_variance=noise_variance)
    assert outlook.n_steps_to_floor == n_levels + 1
    setting = {"ridge": ridge, "n_steps": n_levels + 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)
        weights = oracle_label_weights(np.diag(d), theta, noise_variance=noise_variance, **setting)
    path = selfdistill_closed_form(np.diag(d), theta, label_weight=weights, **setting)
    risk = in_sample_risk(np.diag(d), theta, path, noise_variance=noise_variance).total[-1]
    np.testing.assert_allclose(risk, outlook.floor, rtol=1e-5)
    np.testing.assert_allclose(
        path.shrinkage[-1], wiener_filter(np.diag(d), theta, noise_variance=noise_variance).shrinkage, atol=2e-3
    )


def test_as_many_fits_as_levels_generally_do_not_reach_the_floor():
    K, theta = np.diag([4.0, 1.0, 0.2]), np.array([1.0, 0.3, 2.0])
    floor = wiener_filter(K, theta, noise_variance=0.3).floor
    for ridge in (0.07, 0.7, 7.0):
        assert least_risk(K, theta, ridge, 3, 0.3) > floor * (1 + 1e-5)
        np.testing.assert_allclose(least_risk(K, theta, ridge, 4, 0.3), floor, rtol=1e-6)


def test_two_rounds_separate_from_every_ridge_and_every_single_round_without_bound():
    """N noise directions above one direction of signal: best ridge and best two fits tend to N + 1, three fits to 1."""
    N, signal_energy = 999, 1e6
    d = np.append(np.full(N, 2.0), 1.0)
    theta = np.append(np.zeros(N), np.sqrt(signal_energy))
    outlook = distillation_outlook(np.diag(d), theta, ridge=1.0, noise_variance=1.0)
    total = N + 1
    np.testing.assert_allclose(outlook.best_ridge_risk * total, 999.75, atol=0.01)
    two, three = outlook.best_fits
    np.testing.assert_allclose((outlook.best_ridge_risk - two.gain) * total, 999.75, atol=0.01)
    np.testing.assert_allclose((outlook.best_ridge_risk - three.gain) * total, 1.0, atol=1e-4)
    np.testing.assert_allclose(outlook.floor * total, 1.0, atol=1e-5)
    # On two levels everything is a function of two numbers.
    weight = np.array([N, 1.0])

    def two_fits(log_ridge):
        a = Ridge(np.exp(log_ridge)).shrinkage(np.array([2.0, 1.0]))
        energy = np.array([0.0, signal_energy])
        change = a * (a - 1)
        best = -np.sum(change * (weight * a - energy * (1 - a))) / np.sum(change**2 * (weight + energy))
        b = a + best * change
        return np.sum((1 - b) ** 2 * energy + weight * b**2)

    least = min(scipy.optimize.minimize_scalar(two_fits, bounds=(c - 2, c + 2)).fun for c in np.arange(-14, 15, 2.0))
    np.testing.assert_allclose(least, 999.75, atol=0.01)
    weights = oracle_label_weights(np.diag(d), theta, ridge=1.0, n_steps=3, noise_variance=1.0)
    np.testing.assert_allclose(weights, [47 / 17, 18.0], rtol=1e-3)


@pytest.mark.parametrize(("n_noise", "printed"), [(100, 15.4), (10_000, 181.6)])
def test_one_round_separates_from_every_ridge_without_bound(n_noise, printed):
    """Signal κ on the eigenvalue 1 and N noise directions at 1/κ: best ridge 1 + 2√N, best two fits → 1."""
    kappa = 1e6
    d, theta, weight = np.array([1.0, 1 / kappa]), np.array([kappa, 0.0]), np.array([1.0, n_noise])

    def risk(b):
        return np.sum((1 - b) ** 2 * theta**2 + weight * b**2)

    least = scipy.optimize.minimize_scalar(lambda s: risk(Ridge(np.exp(s)).shrinkage(d)), bounds=(-40, 10)).fun
    np.testing.assert_allclose(least, printed, rtol=0.02)
    ridge = 1e8
    first = Ridge(ridge).shrinkage(d)
    change = first**2 - first
    target = theta**2 / (theta**2 + weight)
    share = np.sum(change * (target - first) * (theta**2 + weight)) / np.sum(change**2 * (theta**2 + weight))
    np.testing.assert_allclose(risk(first + share * change), 1.0, atol=1e-3)


@given(signals(), log_uniform(1e2, 1e4))
def test_under_heavy_noise_the_best_student_unlearns_the_labels(case, factor):
    """With a small ridge and much noise the best weight of the labels is negative."""
    K, theta, _, _ = case
    d = np.diag(K)
    ridge = 0.1 * d[-1]
    outlook = distillation_outlook(K, theta, ridge=ridge, noise_variance=factor * np.sum(theta**2), n_steps=1)
    assert outlook.wants_more_ridge
    assert outlook.label_weight < 0.0


def smooth_problem(n=150, noise_variance=0.09, seed=0):
    x = np.linspace(0.0, 1.0, n)
    K = np.exp(-40.0 * np.subtract.outer(x, x) ** 2)
    signal = np.sin(2 * np.pi * x) + 0.5 * np.sin(6 * np.pi * x)
    noise = np.sqrt(noise_variance) * np.random.default_rng(seed).standard_normal((n, 200))
    return K, signal, signal[:, None] + noise, noise_variance


@given(signals())
def test_the_best_fits_are_what_they_say_and_more_are_no_worse(case):
    K, theta, ridge, noise_variance = case
    outlook = distillation_outlook(K, theta, ridge=ridge, noise_variance=noise_variance, n_steps=4)
    gains = [0.0, *(fits.gain for fits in outlook.best_fits), outlook.largest_gain]
    assert np.all(np.diff(gains) >= -1.1e-3 * outlook.best_ridge_risk)
    assert np.all(np.array(gains) >= 0.0)
    np.testing.assert_allclose(outlook.best_ridge_risk - outlook.largest_gain, outlook.floor, atol=1e-12)
    floor = wiener_filter(K, theta, noise_variance=noise_variance).floor
    np.testing.assert_allclose(outlook.floor, floor, atol=2e-9 * outlook.best_ridge_risk)
    for fits, count in zip(outlook.best_fits, (2, 3, 4), strict=True):
        assert fits.n_steps == count == len(fits.label_weights) + 1
        path = selfdistill_closed_form(K, theta, ridge=fits.ridge, n_steps=count, label_weight=fits.label_weights)
        reached = in_sample_risk(K, theta, path, noise_variance=noise_variance).total[-1]
        np.testing.assert_allclose(outlook.best_ridge_risk - reached, fits.gain, atol=1e-6 * outlook.best_ridge_risk)


def test_the_report_reads_as_its_numbers_are():
    K, signal, draws, noise_variance = smooth_problem(40)
    known = str(distillation_outlook(K, signal, ridge=0.3, noise_variance=noise_variance))
    assert "±" not in known
    estimated = can_distillation_help(K, draws[:, 0], ridge=0.3, noise_variance=noise_variance, n_steps=2)
    lines = str(estimated).splitlines()
    assert len(lines) == 6
    assert lines[0].endswith(f"noise variance {noise_variance:.4g}")
    assert f"{estimated.risk:.4g} ± {estimated.standard_errors.risk:.2g}; less ridge is wanted" in lines[1]
    assert f"label weight {estimated.label_weight:.3g}, away from its teacher" in lines[2]
    assert f"best ridge {estimated.best_ridge:.4g}" in lines[3]
    assert f"lower by {estimated.best_fits[0].gain:.4g}" in lines[4]
    assert f"{estimated.largest_gain:.4g} ±" in lines[5]


def test_the_flow_is_no_better_than_the_floor_either():
    K, signal, _, noise_variance = smooth_problem(50)
    outlook = distillation_outlook(K, signal, ridge=0.1, noise_variance=noise_variance)
    flows = in_sample_risk(K, signal, [GradientFlow(t) for t in np.logspace(-2, 3, 30)], noise_variance=noise_variance)
    assert np.min(flows.total) >= outlook.floor
