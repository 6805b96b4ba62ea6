"""Borup & Andersen (2021), "Even your teacher needs guidance", in the form in which its statements are true.

Symbols: λ is `ridge`, α^(τ) `label_weight`, τ `n_steps`; A is the shrinkage of step 1, B^(τ) that of step τ, V the
eigenvectors (columns), D the eigenvalues (here descending), y^(τ) the fitted values, ỹ validation targets.
"""

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    LabelWeightWarning,
    Ridge,
    Spectrum,
    greedy_label_weights,
    joint_label_weights,
    selfdistill_closed_form,
)
from kdtheory.problems import sine_problem
from tests.oracles import refit
from tests.strategies import log_uniform, problems, real_weights, spectra, unit_weights

step_weights = st.lists(real_weights, min_size=0, max_size=5)


def distillation_objective(features, beta, y1, y2, label_weight, ridge):
    """Equation (1)."""
    fit = features @ beta
    return (
        label_weight / 2 * np.sum((fit - y1) ** 2)
        + (1 - label_weight) / 2 * np.sum((fit - y2) ** 2)
        + ridge / 2 * np.sum(beta**2)
    )


@given(st.integers(0, 1000), unit_weights, log_uniform(1e-2, 1e1))
def test_eq_2_the_student_minimises_the_distillation_objective(seed, label_weight, ridge):
    rng = np.random.default_rng(seed)
    features, y = rng.standard_normal((6, 4)), rng.standard_normal(6)
    path = selfdistill_closed_form(features @ features.T, y, ridge=ridge, n_steps=2, label_weight=label_weight)
    teacher = path.fitted[0]
    # Independent of every kernel formula: the objective as one least-squares problem in the weights.
    rows = np.concatenate(
        [np.sqrt(label_weight) * features, np.sqrt(1 - label_weight) * features, np.sqrt(ridge) * np.eye(4)]
    )
    targets = np.concatenate([np.sqrt(label_weight) * y, np.sqrt(1 - label_weight) * teacher, np.zeros(4)])
    beta = np.linalg.lstsq(rows, targets, rcond=None)[0]
    np.testing.assert_allclose(features.T @ path.dual_coef[1], beta, rtol=1e-9, atol=1e-11)
    objective = distillation_objective(features, beta, y, teacher, label_weight, ridge)
    nudged = distillation_objective(features, beta + 1e-3 * rng.standard_normal(4), y, teacher, label_weight, ridge)
    assert objective < nudged


@given(st.integers(0, 1000), real_weights, log_uniform(1e-2, 1e1))
def test_footnote_7_mixing_losses_and_mixing_targets_differ_by_half_alpha_times_one_minus_alpha(seed, alpha, ridge):
    """The paper prints α(α − 1) without the half, and leaves open which of the two objectives is the larger one."""
    rng = np.random.default_rng(seed)
    features, y1, y2 = rng.standard_normal((5, 3)), rng.standard_normal(5), rng.standard_normal(5)
    mixed = alpha * y1 + (1 - alpha) * y2
    constant = alpha * (1 - alpha) / 2 * np.sum((y1 - y2) ** 2)
    # The package trains on mixed targets: the constant is what its objective lacks, at its own solution and elsewhere.
    path = selfdistill_closed_form(features @ features.T, mixed, ridge=ridge, n_steps=1)
    for beta in (features.T @ path.dual_coef[0], rng.standard_normal(3)):
        of_losses = distillation_objective(features, beta, y1, y2, alpha, ridge)
        of_targets = distillation_objective(features, beta, mixed, mixed, 1.0, ridge)
        np.testing.assert_allclose(of_losses - of_targets, constant, rtol=1e-9, atol=1e-9)


@given(problems(), step_weights)
def test_theorem_4_1_eq_6_fitted_values_are_a_polynomial_in_the_first_hat_matrix(problem, weights):
    path = selfdistill_closed_form(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=weights
    )
    alpha = dict(enumerate(weights, start=2))
    for tau in range(1, len(weights) + 2):

        def eta(i, tau=tau):
            return np.prod([1 - alpha[j] for j in range(i, tau + 1)])  # empty products are 1

        powers = [np.linalg.matrix_power(problem.hat, k) for k in range(tau + 1)]
        polynomial = eta(2) * powers[tau]
        for i in range(2, tau + 1):
            polynomial = polynomial + alpha[i] * eta(i + 1) * powers[tau - i + 1]
        scale = np.prod([1 + abs(1 - weight) + abs(weight) for weight in weights[: tau - 1]])
        np.testing.assert_allclose(path.fitted[tau - 1], polynomial @ problem.y, rtol=0, atol=1e-11 * scale)


@given(problems(), st.lists(real_weights, min_size=1, max_size=5))
def test_theorem_4_1_eq_7_each_step_mixes_the_first_fit_with_the_pure_student(problem, weights):
    def predict(label_weights):
        path = selfdistill_closed_form(
            problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=label_weights
        )
        return path.predict(problem.K_test)

    steps, pure = predict(weights), predict([*weights[:-1], 0.0])
    mixture = weights[-1] * steps[0] + (1 - weights[-1]) * pure[-1]
    np.testing.assert_allclose(steps[-1], mixture, rtol=1e-9, atol=1e-8 * (1 + np.abs(steps).max()))


@given(spectra(), step_weights, log_uniform(1e-2, 1e1))
def test_lemma_4_2_eq_12_shrinkage_follows_the_recursion(d, weights, ridge):
    spectrum = Spectrum(d, np.eye(len(d)))
    path = selfdistill_closed_form(
        spectrum, np.ones(len(d)), ridge=ridge, n_steps=len(weights) + 1, label_weight=weights
    )
    a = d / (d + ridge)
    b = np.ones_like(d)  # B^(0) is the identity
    scale = 1.0
    for step, weight in enumerate([0.0, *weights]):
        b = a * ((1 - weight) * b + weight)
        scale *= 1 + abs(weight) + abs(1 - weight)
        np.testing.assert_allclose(path.shrinkage[step], b, rtol=1e-13, atol=1e-15 * scale)


@given(spectra(), st.floats(0.0, 0.99), log_uniform(1e-2, 1e1))
def test_lemma_4_2_shrinkage_strictly_decreases_for_a_constant_weight_below_one(d, alpha, ridge):
    """The paper omits that a zero eigenvalue stays at 0."""
    path = selfdistill_closed_form(
        Spectrum(d, np.eye(len(d))), np.ones(len(d)), ridge=ridge, n_steps=6, label_weight=alpha
    )
    b, a = path.shrinkage, d / (d + ridge)
    assert np.all((b >= 0) & (b <= 1))
    assert np.all(b[:, d == 0] == 0)
    for t in range(1, 6):
        exact = ((1 - alpha) * a) ** t * -(ridge / (d + ridge))
        np.testing.assert_allclose(b[t] - b[t - 1], exact, rtol=1e-10, atol=4e-16)
        assert np.all((b[t] < b[t - 1])[exact < -1e-15])


@given(spectra(), log_uniform(1e-2, 1e1))
def test_lemma_4_2_shrinkage_is_constant_for_the_label_weight_one(d, ridge):
    """The paper claims a strict decrease here too."""
    path = selfdistill_closed_form(
        Spectrum(d, np.eye(len(d))), np.ones(len(d)), ridge=ridge, n_steps=6, label_weight=1.0
    )
    np.testing.assert_array_equal(path.shrinkage, np.broadcast_to(d / (d + ridge), (6, len(d))))


def test_lemma_4_2_shrinkage_need_not_decrease_for_varying_weights():
    path = selfdistill_closed_form([[1.0]], [1.0], ridge=1.0, n_steps=3, label_weight=[0.0, 1.0])
    np.testing.assert_array_equal(path.shrinkage[:, 0], [0.5, 0.25, 0.5])


@given(problems(), step_weights)
def test_eq_13_predictions_are_a_weighted_sum_of_basis_functions(problem, weights):
    """The paper divides by zero eigenvalues; the pseudo-inverse is meant."""
    path = selfdistill_closed_form(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(weights) + 1, label_weight=weights
    )
    d, v = problem.eigenvalues, problem.eigenvectors
    basis = problem.K_test @ v * np.divide(1.0, d, out=np.zeros_like(d), where=d > 0)
    b = np.zeros((len(weights) + 1, len(d)))
    b[0] = d / (d + problem.ridge)
    for step, weight in enumerate(weights, start=1):
        b[step] = b[0] * (weight + (1 - weight) * b[step - 1])
    expected = np.stack(
        [basis @ (v.T @ problem.y * diagonal.reshape(-1, *[1] * (problem.y.ndim - 1))) for diagonal in b]
    )
    np.testing.assert_allclose(path.predict(problem.K_test), expected, rtol=1e-8, atol=1e-8 * (1 + np.abs(b).max()))


@given(spectra(min_size=2, zeros=False), log_uniform(1e-2, 1e1), st.integers(1, 12))
def test_theorem_4_3_eq_14_ratios_without_and_with_labels_only(d, ridge, n_steps):
    """Needs positive eigenvalues, which the paper does not say."""

    def ratios(label_weight):
        spectrum = Spectrum(d, np.eye(len(d)))
        path = selfdistill_closed_form(
            spectrum, np.ones(len(d)), ridge=ridge, n_steps=n_steps, label_weight=label_weight
        )
        return path.shrinkage_ratios

    larger, smaller = d[:-1], d[1:]
    base = (1 + ridge / smaller) / (1 + ridge / larger)
    steps = np.arange(1, n_steps + 1)[:, None]
    np.testing.assert_allclose(ratios(0.0), base**steps, rtol=1e-12)
    np.testing.assert_allclose(ratios(1.0), np.broadcast_to(base, (n_steps, len(base))), rtol=1e-13)
    distinct = base > 1 + 1e-9
    assert np.all(np.diff(ratios(0.0)[:, distinct], axis=0) > 0)


@given(spectra(min_size=2, zeros=False), log_uniform(1e-2, 1e1), st.floats(0.01, 0.99))
def test_theorem_4_3_eq_15_predicts_whether_a_ratio_rises(d, ridge, alpha):
    """Needs τ >= 2: at τ = 1 the paper's formula inverts 0. Ratios can rise, then fall."""
    spectrum = Spectrum(d, np.eye(len(d)))
    path = selfdistill_closed_form(spectrum, np.ones(len(d)), ridge=ridge, n_steps=7, label_weight=alpha)
    a_k, a_j = (d / (d + ridge))[:-1], (d / (d + ridge))[1:]
    assume(np.any(a_k > a_j * (1 + 1e-6)))
    for t in range(1, 7):  # t counts from zero: steps 2..7, from their teachers
        b_k, ratio = path.shrinkage[t - 1, :-1], path.shrinkage_ratios[t - 1]
        with np.errstate(divide="ignore", invalid="ignore"):
            threshold = 1.0 / ((ratio - a_k / a_j) * a_j / (b_k * (a_k - a_j)) + 1.0)
        change = path.shrinkage_ratios[t] - ratio
        clear = (a_k > a_j * (1 + 1e-6)) & (np.abs(change) > 1e-9 * ratio)
        np.testing.assert_array_equal(np.sign(change)[clear], np.sign(threshold - alpha)[clear])


def test_theorem_4_3_ratios_can_rise_and_then_fall():
    path = selfdistill_closed_form(
        Spectrum([1.0, 0.1], np.eye(2)), [1.0, 1.0], ridge=0.2, n_steps=40, label_weight=0.25
    )
    changes = np.diff(path.shrinkage_ratios[:, 0])
    assert changes[0] > 1e-3
    assert changes[3:10].min() < -1e-4


@given(problems(outputs=True), st.lists(st.floats(-1.0, 2.0), max_size=3))
def test_theorem_4_4_eq_16_the_best_weight_of_a_step(problem, earlier):
    n_steps = len(earlier) + 2

    def predictions(last):
        return refit(problem.K, problem.y, problem.ridge, [*earlier, last], problem.K_test).predictions

    first, pure = predictions(0.0)[0], predictions(0.0)[-1]
    assume(np.linalg.norm(pure - first) > 1e-4)
    printed = 1 - np.sum((pure - first) * (problem.y_test - first)) / np.sum((pure - first) ** 2)

    def loss(alpha):
        return np.sum((problem.y_test - alpha * first - (1 - alpha) * pure) ** 2)

    best = scipy.optimize.minimize_scalar(loss, bracket=(printed - 1, printed + 1)).fun
    assert loss(printed) <= best + 1e-12 * (1 + best)
    if not earlier:  # then it is the first weight of the greedy sequence
        greedy = greedy_label_weights(
            problem.K, problem.y, ridge=problem.ridge, n_steps=n_steps, K_val=problem.K_test, y_val=problem.y_test
        )
        np.testing.assert_allclose(greedy[0], printed, rtol=1e-6, atol=1e-6)


@given(problems(low=1e-1, outputs=True), st.integers(2, 5), st.booleans())
def test_algorithm_1_equals_refitting_twice_for_each_step(problem, n_steps, clip):
    """Clipping is footnote 9."""
    weights, distance = [], np.inf
    for _ in range(2, n_steps + 1):
        steps = refit(problem.K, problem.y, problem.ridge, [*weights, 0.0], problem.K_test).predictions
        first, pure = steps[0], steps[-1]
        distance = min(distance, np.linalg.norm(pure - first))
        assume(distance > 1e-3)
        weight = 1 - np.sum((pure - first) * (problem.y_test - first)) / np.sum((pure - first) ** 2)
        assume(abs(weight) < 1e2)
        weights.append(np.clip(weight, 0, 1) if clip else weight)
    greedy = greedy_label_weights(
        problem.K,
        problem.y,
        ridge=problem.ridge,
        n_steps=n_steps,
        K_val=problem.K_test,
        y_val=problem.y_test,
        unit_interval=clip,
    )
    np.testing.assert_allclose(greedy, weights, rtol=1e-5, atol=1e-5)


def test_theorem_4_4_any_weight_is_best_when_the_targets_are_orthogonal_to_the_range():
    K = np.diag([1.0, 0.0])
    with pytest.warns(LabelWeightWarning, match="step 2 are the same for every label weight"):
        weights = greedy_label_weights(K, [0.0, 1.0], ridge=1.0, n_steps=2, K_val=[[1.0, 0.0]], y_val=[1.0])
    np.testing.assert_array_equal(weights, [1.0])


def test_theorem_4_4_the_weight_runs_to_minus_infinity_as_the_ridge_vanishes():
    """Where the interpolant lies on the far side of the validation targets, as it does here."""
    weights = [
        greedy_label_weights([[1.0]], [1.0], ridge=ridge, n_steps=2, K_val=[[1.0]], y_val=[0.5])[0]
        for ridge in (1e-2, 1e-4, 1e-8, 1e-12)
    ]
    np.testing.assert_allclose(np.multiply(weights, [1e-2, 1e-4, 1e-8, 1e-12]), -0.5, rtol=0.05)


@given(problems(), st.floats(0.05, 1.0))
def test_theorem_4_5_the_limit_is_ridge_regression_with_an_amplified_penalty(problem, alpha):
    path = selfdistill_closed_form(problem.K, problem.y, ridge=problem.ridge, n_steps=1, label_weight=alpha)
    amplified = refit(problem.K, problem.y, problem.ridge / alpha, [], problem.K_test)
    np.testing.assert_allclose(path.limit.fitted, amplified.fitted[0], rtol=0, atol=1e-11)
    np.testing.assert_allclose(path.limit.dual_coef, amplified.dual_coef[0], rtol=0, atol=1e-8)
    # (17): a mixture of the first fit and of the fit to the limit itself
    first = path.predict(problem.K_test)[0]
    of_limit = refit(problem.K, path.limit.fitted, problem.ridge, [], problem.K_test).predictions[0]
    np.testing.assert_allclose(
        path.limit.predict(problem.K_test), alpha * first + (1 - alpha) * of_limit, rtol=0, atol=1e-9
    )


@given(spectra(), log_uniform(1e-2, 1e1), st.floats(0.01, 0.99))
def test_theorem_4_5_exact_transient_with_linear_rate_on_the_whole_domain(d, ridge, position):
    """Sharper than the paper, and for weights in (−λ/d_max, 2 + λ/d_max) where it has (0, 1]."""
    edge = ridge / d[0]
    alpha = -edge + position * (2 + 2 * edge)
    spectrum = Spectrum(d, np.eye(len(d)))
    path = selfdistill_closed_form(spectrum, np.ones(len(d)), ridge=ridge, n_steps=6, label_weight=alpha)
    limit = alpha * d / (alpha * d + ridge)
    np.testing.assert_allclose(path.limit.shrinkage, limit, rtol=1e-9, atol=1e-12)
    rate = (1 - alpha) * d / (d + ridge)
    for tau in range(1, 7):
        transient = rate**tau * (1 - limit)
        size = 1 + np.abs(limit) + np.abs(transient)
        np.testing.assert_array_less(np.abs(path.shrinkage[tau - 1] - limit - transient), 1e-11 * size)


@given(spectra(zeros=False), log_uniform(1e-2, 1e1), st.floats(1e-6, 1.0), st.booleans())
def test_theorem_4_5_the_limit_exists_nowhere_else(d, ridge, excess, above):
    edge = ridge / d[0]
    outside = (2 + edge) * (1 + excess) if above else -edge * (1 + excess)
    spectrum = Spectrum(d, np.eye(len(d)))
    path = selfdistill_closed_form(spectrum, np.ones(len(d)), ridge=ridge, n_steps=3, label_weight=outside)
    with pytest.raises(ValueError, match=r"label_weight must be > .* and < .* for the infinite-step limit"):
        _ = path.limit
    # It is right to refuse: the steps do move away from the only fixed point.
    fixed_point = outside * d[0] / (outside * d[0] + ridge)
    distance = np.abs(path.shrinkage[:, 0] - fixed_point)
    assert distance[2] > distance[0]


@given(problems())
def test_theorem_4_5_without_labels_the_limit_is_zero(problem):
    path = selfdistill_closed_form(problem.K, problem.y, ridge=problem.ridge, n_steps=2)
    assert not np.any(path.limit.fitted)
    assert not np.any(path.limit.predict(problem.K_test))


class TestSection45:
    """The sine example: published losses, and what the text says of the figures."""

    problem = sine_problem()

    def path(self, label_weight):
        return selfdistill_closed_form(self.problem.K, self.problem.y, ridge=0.2, n_steps=6, label_weight=label_weight)

    def best(self, choose, **options):
        K, y, K_val, y_val = self.problem.K, self.problem.y, self.problem.K_val, self.problem.y_val
        return choose(K, y, ridge=0.2, n_steps=6, K_val=K_val, y_val=y_val, **options)

    def losses(self, label_weight):
        return self.problem.losses(self.path(label_weight).predict(self.problem.K_val))

    @pytest.mark.parametrize("label_weight", [0.0, 0.25])
    def test_published_losses_are_met_to_all_printed_digits(self, label_weight):
        published = self.problem.published_losses[label_weight]
        assert np.round(self.losses(label_weight), 5).tolist() == list(published.steps)
        limit = self.problem.losses(self.path(label_weight).limit.predict(self.problem.K_val))
        assert round(float(limit), 5) == published.limit

    def test_gamma_is_80_and_not_its_inverse_as_printed(self):
        nearly_constant = np.exp(-(np.subtract.outer(self.problem.x, self.problem.x) ** 2) / 80)
        assert np.sum(Ridge(0.2).shrinkage(Spectrum.from_gram(nearly_constant).eigenvalues)) < 1.2
        assert np.sum(Ridge(0.2).shrinkage(Spectrum.from_gram(self.problem.K).eigenvalues)) > 8.4

    def test_figure_3_shrinkage_decreases_in_cases_a_and_b_but_not_in_case_c(self):
        assert np.all(np.diff(self.path(0.0).shrinkage, axis=0) < 0)
        assert np.all(np.diff(self.path(0.25).shrinkage, axis=0) < 0)
        greedy = self.best(greedy_label_weights)
        assert np.any(np.diff(self.path(greedy).shrinkage, axis=0) > 1e-3)

    def test_figure_4_ratios_increase_in_case_a(self):
        assert np.all(np.diff(self.path(0.0).shrinkage_ratios, axis=0) > 0)

    def test_stepwise_best_weights_are_about_equal_from_step_3_and_the_loss_is_best_at_step_2(self):
        greedy = self.best(greedy_label_weights)
        assert np.ptp(greedy[1:]) < 0.02
        losses = self.losses(greedy)
        assert np.argmin(losses) == 1
        assert np.all(np.diff(losses[1:]) > 0)

    def test_clipped_weights_settle_one_step_later(self):
        """Footnote 11."""
        clipped = self.best(greedy_label_weights, unit_interval=True)
        assert clipped[0] == 0.0
        assert abs(clipped[1] - clipped[2]) > 0.1
        assert np.ptp(clipped[2:]) < 0.02

    def test_joint_weights_beat_the_best_stepwise_step_by_far(self):
        greedy = self.best(greedy_label_weights)
        joint = self.best(joint_label_weights)
        assert self.losses(joint)[-1] < 0.83 * self.losses(greedy).min()
