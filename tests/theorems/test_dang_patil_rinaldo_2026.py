"""Dang, Patil & Rinaldo (2026), on optimal self-distillation of ridge regression, for every number of steps.

Symbols: λ is `ridge` (per point, as in X'X/n + λ), γ `aspect_ratio`, σ² `noise_variance`, r² the sum of
`signal_energy`, ξ = 1 − `label_weight` the weight of the teacher's predictions, PD the "pure-distilled" model of two
fits with ξ = 1. R, C and R_PD are the entries (0, 0), (0, 1) and (1, 1) of `cross_risk`. Risks include the noise of
the new target: without it, all of them are smaller by σ².
"""

import mpmath
import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import Spectrum, selfdistill_closed_form
from kdtheory.asymptotics import RandomDesign
from tests.strategies import examples, log_uniform, real_weights


@st.composite
def designs(draw, max_size=6, noise=True):
    size = draw(st.integers(1, max_size))
    eigenvalues = draw(st.lists(log_uniform(1e-2, 1e1), min_size=size, max_size=size))
    zeros = draw(st.integers(0, 1))
    energies = draw(st.lists(st.one_of(st.just(0.0), log_uniform(1e-2, 1e1)), min_size=size, max_size=size))
    variance = draw(log_uniform(1e-2, 1e1) if noise else st.one_of(st.just(0.0), log_uniform(1e-2, 1e1)))
    return RandomDesign(eigenvalues + [0.0] * zeros, energies + [1.0] * zeros, draw(log_uniform(0.2, 5.0)), variance)


ridges = log_uniform(1e-3, 1e2)
step_weights = st.lists(real_weights, min_size=1, max_size=4)


def isotropic(aspect_ratio, signal=1.0, noise=1.0):
    return RandomDesign([1.0], [signal], aspect_ratio, noise)


def best_teacher_weight(design, ridge):
    """ξ* = (R − C)/(R + R_PD − 2C)."""
    (risk, cross), (_, distilled) = design.cross_risk(ridge, 2)
    return (risk - cross) / (risk + distilled - 2 * cross)


def exact_two_point(design, log_ridge_1, log_ridge_2):
    """The two-point function, from effective penalties by Newton's method, which decrease to the root."""
    s = [mpmath.mpf(value) for value in design.eigenvalues.tolist()]
    density = mpmath.mpf(design.aspect_ratio) / len(s)

    def effective_penalty(log_ridge):
        ridge = mpmath.exp(log_ridge)
        kappa, step = ridge + density * sum(s), mpmath.inf
        while abs(step) > kappa * mpmath.mpf(10) ** (5 - mpmath.mp.dps):
            step = kappa * (1 - density * sum(x / (x + kappa) for x in s)) - ridge
            step /= 1 - density * sum((x / (x + kappa)) ** 2 for x in s)
            kappa -= step
        return kappa

    k1 = effective_penalty(log_ridge_1)
    k2 = k1 if log_ridge_1 == log_ridge_2 else effective_penalty(log_ridge_2)
    signal = sum(e * x / ((x + k1) * (x + k2)) for x, e in zip(s, design.signal_energy.tolist(), strict=True))
    return (k1 * k2 * signal + design.noise_variance) / (1 - density * sum(x**2 / ((x + k1) * (x + k2)) for x in s))


def exact_cross_risk(design, ridge, n_steps):
    """Every step is `1 + (1/i) d/d log ridge` applied to the one before it: the derivatives, at many digits."""
    with mpmath.workdps(50):
        x = mpmath.log(mpmath.mpf(ridge))
        table = mpmath.matrix(n_steps, n_steps)
        for j in range(n_steps):
            for k in range(j + 1):
                table[j, k] = mpmath.diff(lambda u, v: exact_two_point(design, u, v), (x, x), (j, k))
                table[k, j] = table[j, k]
        operators = [[mpmath.mpf(1)]]
        for i in range(1, n_steps):
            last = operators[-1]
            operators.append([a + b / i for a, b in zip([*last, 0], [0, *last], strict=True)])

        def entry(j, k):
            pairs = ((a, p, b, q) for p, a in enumerate(operators[j]) for q, b in enumerate(operators[k]))
            return float(sum(a * b * table[p, q] for a, p, b, q in pairs))

        return np.array([[entry(j, k) for k in range(n_steps)] for j in range(n_steps)])


def marchenko_pastur(aspect_ratio, n_nodes=400):
    """Nodes and weights of the limiting spectrum of X'X/n for independent features of variance 1."""
    angles = np.arange(1, n_nodes + 1) * np.pi / (n_nodes + 1)
    nodes = 1 + aspect_ratio + 2 * np.sqrt(aspect_ratio) * np.cos(angles)
    weights = 2 * np.sin(angles) ** 2 / (n_nodes + 1) / nodes  # √((t₊ − t)(t − t₋))/(2πγt) dt
    return np.append(nodes, 0.0), np.append(weights, max(0.0, 1 - 1 / aspect_ratio))


@examples(8)
@given(designs(max_size=2), ridges)
def test_theorem_3_1_for_up_to_four_fits_is_derivatives_of_the_two_point_function(design, ridge):
    np.testing.assert_allclose(design.cross_risk(ridge, 4), exact_cross_risk(design, ridge, 4), rtol=1e-12)


@given(log_uniform(0.05, 0.8), st.booleans(), log_uniform(1e-2, 1e2), log_uniform(1e-2, 1e2), log_uniform(1e-2, 1e2))
def test_theorem_3_1_is_moments_of_the_marchenko_pastur_law_for_equal_eigenvalues(small, wide, ridge, signal, noise):
    """Then signal and noise are spread evenly over the eigenvectors of X'X/n, and no two-point function is needed."""
    aspect_ratio = 1 / small if wide else small
    t, weights = marchenko_pastur(aspect_ratio)
    steps = np.arange(1, 7)[:, None]
    kept = (t / (t + ridge)) ** steps
    over_t = t ** (steps - 1) / (t + ridge) ** steps  # kept/t, at t = 0 too
    bias = ((1 - kept) * weights) @ (1 - kept).T
    variance = (kept * weights) @ over_t.T
    expected = signal * bias + noise * (1 + aspect_ratio * variance)
    np.testing.assert_allclose(isotropic(aspect_ratio, signal, noise).cross_risk(ridge, 6), expected, rtol=1e-9)


@pytest.mark.parametrize(
    ("eigenvalues", "aspect_ratio", "ridge"),
    [
        ([1.0, 3.0], 0.5, 1e-9),
        ([1.0, 3.0], 1.0, 1e-9),
        ([1.0, 3.0], 2.0, 1e-9),
        ([1.0, 3.0], 2.0, 1e9),
        ([1e-8, 1e8], 1.0, 1e-3),
        ([1e-8, 1e8], 2.0, 1e-3),
        ([1.0, 1.0 + 1e-9], 0.5, 0.1),
    ],
)
def test_theorem_3_1_keeps_its_digits_at_the_ends(eigenvalues, aspect_ratio, ridge):
    """With twice as many features as points, the effective penalty of 1e-8 and 1e8 lies where almost all cancels."""
    for noise in (0.0, 1.0):
        design = RandomDesign(eigenvalues, [0.5, 2.0], aspect_ratio, noise)
        np.testing.assert_allclose(design.cross_risk(ridge, 3), exact_cross_risk(design, ridge, 3), rtol=1e-12)


@given(log_uniform(0.05, 0.8), st.booleans(), log_uniform(1e-6, 1e6), log_uniform(1e-2, 1e2))
def test_best_risk_is_a_least_squares_problem_over_polynomials_for_equal_eigenvalues(small, wide, ridge, noise):
    """The filters of τ fits are `a + a (1 − a)·(polynomial of degree τ − 2)`, with `a = t/(t + λ)`."""
    aspect_ratio = 1 / small if wide else small
    t, weights = marchenko_pastur(aspect_ratio)
    a, b = t / (t + ridge), ridge / (t + ridge)
    within = (t - t[:-1].min()) * (t[:-1].max() + ridge) / (np.ptp(t[:-1]) * (t + ridge))  # a, from 0 to 1 on the law
    polynomials = np.polynomial.chebyshev.chebvander(2 * within - 1, 10) * (a * b)[:, None]
    for variance in (0.0, noise):
        # 1 − filter, and filter/√t, at every eigenvalue t
        scale = np.sqrt(variance * aspect_ratio * weights / np.where(t > 0, t, np.inf))
        matrix = np.concatenate([-np.sqrt(weights)[:, None] * polynomials, scale[:, None] * polynomials])
        first = np.concatenate([np.sqrt(weights) * b, scale * a])
        expected = [first @ first]
        for count in range(1, 12):
            basis = np.linalg.qr(matrix[:, :count])[0]
            expected.append(np.sum((first - basis @ (basis.T @ first)) ** 2))
        risks = isotropic(aspect_ratio, noise=variance).best_risk(ridge, 12)
        np.testing.assert_allclose(risks - variance, expected, rtol=1e-8, atol=1e-13 * risks[0])


@pytest.mark.parametrize(
    ("aspect_ratio", "ridge", "teacher_weight", "distilled"),
    [
        (0.5, 0.1, 1.8667, 1.46380),
        (0.5, 1.0, -0.7083, 1.64991),
        (0.8, 0.02, 2.8614, 2.54771),
        (0.8, 0.1, 1.6494, 1.70177),
        (0.2, 5.0, -4.5856, 1.94153),
    ],
)
def test_theorem_3_1_numbers_for_equal_eigenvalues(aspect_ratio, ridge, teacher_weight, distilled):
    design = isotropic(aspect_ratio)
    assert round(best_teacher_weight(design, ridge), 4) == teacher_weight
    assert round(design.risk(ridge, 2)[1], 5) == distilled
    np.testing.assert_allclose(1 - design.best_label_weights(ridge, 2)[0], teacher_weight, atol=5e-5)


@examples(15)
@given(designs(max_size=3), ridges)
def test_theorem_2_2_the_best_second_fit_from_the_slope_of_the_risk(design, ridge):
    """ξ* = −λR′/(2D) and R − λ²R′²/(4D), with D the mean squared change that the second fit makes."""
    with mpmath.workdps(40):
        slope = float(mpmath.diff(lambda u: exact_two_point(design, u, u), mpmath.log(mpmath.mpf(ridge))))
    (risk, cross), (_, distilled) = design.cross_risk(ridge, 2)
    moved = risk + distilled - 2 * cross
    assume(moved > 1e-6 * risk)
    np.testing.assert_allclose(design.best_risk(ridge, 2), [risk, risk - slope**2 / (4 * moved)], rtol=1e-9)
    np.testing.assert_allclose(1 - design.best_label_weights(ridge, 2), -slope / (2 * moved), rtol=1e-8, atol=1e-7)


@examples(30)
@given(log_uniform(0.1, 10.0), log_uniform(1e-2, 1e2), log_uniform(1e-2, 1e2))
def test_corollary_3_2_the_teacher_weight_changes_sign_at_the_best_ridge_where_no_step_helps(gamma, signal, noise):
    design = isotropic(gamma, signal, noise)
    best = gamma * noise / signal
    risks = design.best_risk(best, 8)
    np.testing.assert_allclose(risks, risks[0], rtol=1e-9)
    np.testing.assert_array_equal(design.best_label_weights(best, 8), 1.0)
    assert best_teacher_weight(design, best * 0.999) > 0 > best_teacher_weight(design, best * 1.001)
    for ridge in best * np.array([1e-3, 0.5, 2.0, 1e3]):
        assert np.all(design.best_risk(ridge, 8) >= risks[0] * (1 - 1e-12))


@given(log_uniform(0.1, 10.0), st.lists(log_uniform(1e-2, 1e1), min_size=2, max_size=5))
def test_no_step_helps_where_all_features_have_the_same_coefficient_whatever_the_eigenvalues(gamma, eigenvalues):
    """The same for any covariance: with signal energy in proportion to the features, ridge regression is optimal."""
    share = 1 / len(eigenvalues)
    design = RandomDesign(eigenvalues, [share] * len(eigenvalues), gamma, 1.0)
    risks = design.best_risk(gamma, 6)
    np.testing.assert_allclose(risks, risks[0], rtol=1e-9)
    assert np.all(design.best_risk(2 * gamma, 6) >= risks[0] * (1 - 1e-12))


def test_two_fits_beat_the_best_ridge_on_a_spike_that_holds_the_signal():
    spiked = RandomDesign([10.0] + [1.0] * 99, [1.0] + [0.0] * 99, aspect_ratio=0.5, noise_variance=1.0)
    tuned = scipy.optimize.minimize_scalar(lambda x: spiked.risk(np.exp(x), 1)[0], bounds=(-7, 7), method="bounded")
    assert 1.24 < tuned.fun <= min(spiked.risk(ridge, 1)[0] for ridge in np.geomspace(1e-3, 1e3, 100))
    assert spiked.best_risk(15.0, 2)[1] < 1.072


@examples(60)
@given(designs(), ridges, step_weights)
def test_best_risk_never_increases_and_is_a_lower_bound(design, ridge, weights):
    n_steps = len(weights) + 1
    best = design.best_risk(ridge, n_steps)
    assert np.all(np.diff(best) <= 0)
    assert np.all(best >= design.noise_variance)
    risks = design.risk(ridge, n_steps, label_weight=weights)
    assert np.all(best <= risks * (1 + 1e-12))
    np.testing.assert_allclose(best[0], risks[0], rtol=1e-13)


@examples(60)
@given(designs(noise=False), ridges, st.integers(2, 5))
def test_best_label_weights_reach_the_best_risk(design, ridge, n_steps):
    best = design.best_risk(ridge, n_steps)
    reached = design.risk(ridge, n_steps, label_weight=design.best_label_weights(ridge, n_steps))
    # A share of the first fit's risk: label weights far outside [0, 1] cancel most of their digits.
    np.testing.assert_allclose(reached[-1], best[-1], rtol=1e-8, atol=1e-9 * best[0])


def test_label_weights_far_outside_the_unit_interval_keep_their_digits():
    design = RandomDesign(np.geomspace(0.1, 10.0, 30), [1 / 30] * 30, aspect_ratio=0.5, noise_variance=1.0)
    weights = design.best_label_weights(1e-7, 3)
    assert abs(weights).max() > 1e6
    np.testing.assert_allclose(design.risk(1e-7, 3, label_weight=weights)[-1], design.best_risk(1e-7, 3)[-1], rtol=1e-7)
    # Label weights that double precision cannot express are not handed out.
    many = design.risk(1e-7, 9, label_weight=design.best_label_weights(1e-7, 9))[-1]
    assert design.best_risk(1e-7, 9)[-1] < many <= design.best_risk(1e-7, 3)[-1] * (1 + 1e-7)


@examples(60)
@given(designs(), ridges, step_weights)
def test_steps_are_combinations_of_pure_models(design, ridge, weights):
    n_steps = len(weights) + 1
    combinations = np.zeros((n_steps, n_steps))
    combinations[0, 0] = 1.0
    for step, weight in enumerate(weights, start=1):  # the recursion of Borup & Andersen (2021), eq. 7
        combinations[step, 0] = weight
        combinations[step, 1:] = (1 - weight) * combinations[step - 1, :-1]
    cross = design.cross_risk(ridge, n_steps)
    expected = np.einsum("tj,jk,tk->t", combinations, cross, combinations)
    size = np.einsum("tj,jk,tk->t", np.abs(combinations), cross, np.abs(combinations))
    np.testing.assert_array_less(
        np.abs(design.risk(ridge, n_steps, label_weight=weights) - expected), 1e-12 * size + 1e-300
    )
    np.testing.assert_allclose(design.risk(ridge, n_steps), np.diagonal(cross), rtol=1e-12)


@examples(30)
@given(designs(), ridges)
def test_many_steps_with_a_constant_label_weight_are_ridge_regression_with_an_amplified_penalty(design, ridge):
    np.testing.assert_allclose(design.risk(ridge, 24, label_weight=0.8)[-1], design.risk(ridge / 0.8, 1)[0], rtol=1e-12)


@examples(30)
@given(designs(), ridges, log_uniform(1e-3, 1e3), st.randoms())
def test_only_the_distribution_of_the_eigenvalues_matters_and_units_do_not(design, ridge, unit, random):
    expected = design.cross_risk(ridge, 3)
    best = design.best_risk(ridge, 3)
    s, energy = design.eigenvalues, design.signal_energy
    order = random.sample(range(len(s)), len(s))
    same = [
        RandomDesign(s * unit, energy / unit, design.aspect_ratio, design.noise_variance).cross_risk(ridge * unit, 3),
        RandomDesign(s[order], energy[order], design.aspect_ratio, design.noise_variance).cross_risk(ridge, 3),
    ]
    for other in (
        RandomDesign(np.repeat(s, 2), np.repeat(energy / 2, 2), design.aspect_ratio, design.noise_variance),
        # Features that are always zero count as features only.
        RandomDesign([*s, *(0 * s)], [*energy, *energy], 2 * design.aspect_ratio, design.noise_variance),
    ):
        same.append(other.cross_risk(ridge, 3))
        np.testing.assert_allclose(other.best_risk(ridge, 3), best, rtol=1e-9)
    for table in same:
        np.testing.assert_allclose(table, expected, rtol=1e-11)


def test_risks_of_fits_to_gaussian_designs_agree_with_their_limits():
    """Fits of `selfdistill_closed_form` with the penalty n·λ; their risk given the data needs no test points."""
    n_points, n_features, ridge, n_draws = 600, 300, 0.2, 12
    eigenvalues = np.geomspace(0.05, 5.0, n_features)
    energy = np.sqrt(eigenvalues) / np.sum(np.sqrt(eigenvalues))
    design = RandomDesign(eigenvalues, energy, aspect_ratio=n_features / n_points, noise_variance=0.5)
    weightings = (0.0, (0.5, -0.5))
    rng = np.random.default_rng(2026)
    samples = np.empty((n_draws, len(weightings), 3))
    for sample in samples:
        X = rng.standard_normal((n_points, n_features)) * np.sqrt(eigenvalues)
        beta = np.sqrt(energy)
        y = X @ beta + np.sqrt(design.noise_variance) * rng.standard_normal(n_points)
        spectrum = Spectrum.from_gram(X @ X.T)
        for row, weights in zip(sample, weightings, strict=True):
            path = selfdistill_closed_form(spectrum, y, ridge=ridge * n_points, n_steps=3, label_weight=weights)
            row[:] = (path.dual_coef @ X - beta) ** 2 @ eigenvalues + design.noise_variance
    limits = np.stack([design.risk(ridge, 3, label_weight=weights) for weights in weightings])
    errors = np.abs(np.mean(samples, axis=0) - limits)
    standard_errors = np.std(samples, axis=0, ddof=1) / np.sqrt(n_draws)
    assert np.all(errors <= 4 * standard_errors + 2 / n_points * limits)  # the limit neglects terms of order 1/n
    assert np.all(errors <= 0.02 * limits)
    assert np.ptp(limits) > 0.1 * limits.min()  # so that the steps are told apart


EXTREMES = [1e-300, 1e-30, 1e-8, 1.0, 1e8, 1e30, 1e300]


@pytest.mark.parametrize("aspect_ratio", [1e-6, 0.5, 1.0, 2.0, 1e6])
@pytest.mark.parametrize("noise", [0.0, 1.0])
@pytest.mark.parametrize("signal", [0.0, 1.0])
@pytest.mark.parametrize("eigenvalues", [[1.0, 1.0], [1.0, 3.0, 0.0], [1e-8, 1e8], [1.0 - 1e-12, 1.0]])
def test_every_result_is_finite_at_extreme_ridges(eigenvalues, signal, noise, aspect_ratio):
    design = RandomDesign(eigenvalues, [signal] * len(eigenvalues), aspect_ratio, noise)
    for ridge in EXTREMES:
        weights = design.best_label_weights(ridge, 6)
        risks = np.stack(
            [
                np.diagonal(design.cross_risk(ridge, 6)),
                design.best_risk(ridge, 6),
                design.risk(ridge, 6, label_weight=0.25),
                design.risk(ridge, 6, label_weight=weights),
            ]
        )
        assert np.all(np.isfinite(weights))
        assert np.all(np.isfinite(risks))
        assert np.all(risks >= noise * (1 - 1e-12))
        assert np.all(risks[1] <= risks[0] * (1 + 1e-12))
        assert risks[3, -1] <= risks[1, 0] * (1 + 1e-9)


@examples(30)
@given(designs(noise=False), st.integers(1, 4))
def test_a_huge_ridge_predicts_zero(design, n_steps):
    zero = design.eigenvalues @ design.signal_energy + design.noise_variance
    np.testing.assert_allclose(design.cross_risk(1e20, n_steps), np.full((n_steps, n_steps), zero), rtol=1e-12)


@given(log_uniform(0.05, 0.9), st.integers(1, 4))
def test_a_tiny_ridge_is_least_squares_with_fewer_features_than_points(gamma, n_steps):
    risks = RandomDesign([1.0, 5.0], [1.0, 1.0], gamma, 2.0).cross_risk(1e-14, n_steps)
    np.testing.assert_allclose(risks, np.full((n_steps, n_steps), 2.0 / (1 - gamma)), rtol=1e-10)


@given(log_uniform(1.1, 20.0), st.integers(1, 4))
def test_a_tiny_ridge_interpolates_with_more_features_than_points(gamma, n_steps):
    """Hastie, Montanari, Rosset & Tibshirani (2022), Theorem 1; distilling an interpolant changes nothing."""
    risks = isotropic(gamma, signal=3.0, noise=2.0).cross_risk(1e-14, n_steps)
    limit = 3.0 * (1 - 1 / gamma) + 2.0 * (1 + 1 / (gamma - 1))
    np.testing.assert_allclose(risks, np.full((n_steps, n_steps), limit), rtol=1e-9)


def test_neither_signal_nor_noise_leaves_no_risk():
    nothing = RandomDesign([1.0, 2.0], [0.0, 0.0], aspect_ratio=0.5, noise_variance=0.0)
    np.testing.assert_array_equal(nothing.best_risk(0.1, 3), 0.0)
    np.testing.assert_array_equal(nothing.cross_risk(0.1, 3), 0.0)
    np.testing.assert_array_equal(nothing.best_label_weights(0.1, 3), 1.0)


GOOD = {"eigenvalues": [1.0, 2.0], "signal_energy": [1.0, 0.0], "aspect_ratio": 0.5, "noise_variance": 1.0}


@pytest.mark.parametrize(
    ("argument", "value", "error", "message"),
    [
        ("eigenvalues", [1.0, -2.0], ValueError, "must be >= 0, got -2.0"),
        ("eigenvalues", [0.0, 0.0], ValueError, "must hold at least one > 0, got zeros only"),
        ("eigenvalues", [[1.0, 2.0]], ValueError, "must be 1-dimensional, got shape (1, 2)"),
        ("eigenvalues", [1.0, np.nan], ValueError, "must be finite, got nan at index 1"),
        ("eigenvalues", [], ValueError, "must not be empty, got shape (0,)"),
        ("eigenvalues", ["a", "b"], TypeError, "must hold real numbers"),
        ("signal_energy", [1.0, -1.0], ValueError, "must be >= 0, got -1.0"),
        ("signal_energy", [1.0], ValueError, "must have shape (2,), one energy for each eigenvalue, got (1,)"),
        ("signal_energy", [1.0, np.inf], ValueError, "must be finite, got inf at index 1"),
        ("signal_energy", 1.0, ValueError, "must be 1-dimensional, got shape ()"),
        ("aspect_ratio", 0.0, ValueError, "must be > 0, got 0.0"),
        ("aspect_ratio", np.nan, ValueError, "must be finite, got nan"),
        ("aspect_ratio", "1", TypeError, "must be a real number, got '1'"),
        ("noise_variance", -0.1, ValueError, "must be >= 0, got -0.1"),
        ("noise_variance", None, TypeError, "must be a real number, got None"),
    ],
)
def test_bad_designs_are_refused(argument, value, error, message):
    with pytest.raises(error) as caught:
        RandomDesign(**GOOD | {argument: value})
    assert str(caught.value).startswith(f"{argument} {message}")


@pytest.mark.parametrize("method", ["cross_risk", "risk", "best_risk", "best_label_weights"])
@pytest.mark.parametrize(
    ("ridge", "n_steps", "error", "message"),
    [
        (0.0, 2, ValueError, "ridge must be > 0, got 0.0"),
        (-1.0, 2, ValueError, "ridge must be > 0, got -1.0"),
        (np.nan, 2, ValueError, "ridge must be finite, got nan"),
        ("1", 2, TypeError, "ridge must be a real number, got '1'"),
        (1.0, 0, ValueError, "n_steps must be >= 1, got 0"),
        (1.0, 2.0, TypeError, "n_steps must be an integer, got 2.0"),
        (1.0, True, TypeError, "n_steps must be an integer, got True"),
    ],
)
def test_bad_penalties_and_step_counts_are_refused(method, ridge, n_steps, error, message):
    with pytest.raises(error) as caught:
        getattr(RandomDesign(**GOOD), method)(ridge, n_steps)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ([0.5], ValueError, "must be one number or n_steps - 1 = 2 of them, got 1"),
        ([0.5, np.nan], ValueError, "must be finite, got nan at index 1"),
        ([[0.5, 0.5]], ValueError, "must be 1-dimensional, got shape (1, 2)"),
        (np.inf, ValueError, "must be finite, got inf"),
        ("0.5", TypeError, "must be a real number, got '0.5'"),
        (None, TypeError, "must be a real number, got None"),
    ],
)
def test_bad_label_weights_are_refused(value, error, message):
    with pytest.raises(error) as caught:
        RandomDesign(**GOOD).risk(1.0, 3, label_weight=value)
    assert str(caught.value) == f"label_weight {message}"


def test_label_weights_that_diverge_are_refused():
    with pytest.raises(OverflowError, match="^the risk at index 2 is too large for float64"):
        RandomDesign(**GOOD).risk(1.0, 3, label_weight=1e150)


def test_a_design_does_not_follow_later_changes_of_its_arrays():
    eigenvalues, energy = np.array([1.0, 2.0]), np.array([1.0, 0.0])
    design = RandomDesign(eigenvalues, energy, aspect_ratio=0.5, noise_variance=1.0)
    before = design.risk(0.1, 2)
    eigenvalues[:], energy[:] = 7.0, 7.0
    np.testing.assert_array_equal(design.risk(0.1, 2), before)
    assert repr(design) == "RandomDesign(n_eigenvalues=2, signal_energy=1 in all, aspect_ratio=0.5, noise_variance=1)"
