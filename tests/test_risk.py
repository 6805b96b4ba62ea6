"""Risks against Monte Carlo and explicit matrices; the Wiener filter, its floor, and oracle label weights."""

import warnings

import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    Distilled,
    GradientDescent,
    GradientFlow,
    LabelWeightWarning,
    Ridge,
    SelfDistillation,
    Spectrum,
    degrees_of_freedom,
    estimate_noise_variance,
    fit_filter,
    flow_trajectories,
    in_sample_risk,
    oracle_label_weights,
    out_of_sample_risk,
    selfdistill_closed_form,
    sure,
    wiener_filter,
)
from tests.strategies import examples, log_uniform, problems, real_weights, spectra

any_filter = st.one_of(
    st.builds(Ridge, log_uniform(1e-2, 1e2)),
    st.builds(GradientFlow, st.floats(0.0, 20.0), st.sampled_from([0.0, 0.3])),
    st.builds(SelfDistillation, log_uniform(1e-2, 1e2), st.integers(1, 9), st.floats(-0.5, 1.5)),
    st.builds(
        lambda a, b, w: Distilled(GradientFlow(a), Ridge(b), w),
        st.floats(0.0, 9.0),
        log_uniform(0.1, 9.0),
        real_weights,
    ),
)
variances = st.one_of(log_uniform(1e-3, 1e1), st.just(0.0))


def hat_matrix(problem, filter_):
    return problem.eigenvectors * filter_.shrinkage(problem.eigenvalues) @ problem.eigenvectors.T


@given(problems(), any_filter, variances)
def test_in_sample_risk_is_that_of_the_hat_matrix(problem, filter_, noise_variance):
    H, n = hat_matrix(problem, filter_), len(problem.y)
    risk = in_sample_risk(problem.K, problem.y, filter_, noise_variance=noise_variance)
    bias = np.mean((H @ problem.y - problem.y) ** 2)
    variance = noise_variance * np.trace(H @ H.T) / n
    np.testing.assert_allclose(risk.squared_bias, bias, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(risk.variance, variance, rtol=1e-7, atol=1e-9)
    np.testing.assert_allclose(risk.total, bias + variance, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "call",
    [
        lambda K, y, fit: in_sample_risk(K, y, fit, noise_variance=1.0),
        lambda K, y, fit: out_of_sample_risk(K, y, fit, noise_variance=1.0, K_test=K, signal_test=y),
        lambda K, y, fit: sure(K, y, fit, noise_variance=1.0),
        lambda K, _, fit: degrees_of_freedom(K, fit),
    ],
)
def test_models_fitted_on_another_spectrum_are_refused(call):
    K, y = np.diag([2.0, 1.0]), np.array([1.0, 2.0])
    message = r"models must be fitted on the spectrum of K, got models on the eigenvalue 5.0 where K has 2.0"
    with pytest.raises(ValueError, match=message):
        call(K, y, fit_filter(5.0 * np.eye(2), y, Ridge(1.0)))
    with pytest.raises(ValueError, match="models must be fitted on the spectrum of K"):
        call(K, y, fit_filter(K * (1 + 1e-6), y, Ridge(1.0)))
    call(K, y, fit_filter(K * (1 + 1e-15), y, Ridge(1.0)))
    call(K, y, fit_filter(K.astype(np.float32), y, Ridge(1.0)))


@given(problems(), any_filter, variances)
def test_out_of_sample_risk_is_that_of_the_prediction_matrix(problem, filter_, noise_variance):
    P = problem.K_test @ (problem.eigenvectors * filter_(problem.eigenvalues)) @ problem.eigenvectors.T
    risk = out_of_sample_risk(
        problem.K,
        problem.y,
        [filter_, Ridge(1.0)],
        noise_variance=noise_variance,
        K_test=problem.K_test,
        signal_test=problem.y_test,
    )
    bias = np.mean((P @ problem.y - problem.y_test) ** 2)
    np.testing.assert_allclose(risk.squared_bias[0], bias, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(risk.variance[0], noise_variance * np.sum(P**2) / len(P), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("filter_", [Ridge(0.5), GradientFlow(0.8), SelfDistillation(0.5, 3, -0.4)])
def test_risks_and_their_estimate_agree_with_simulated_noise(filter_):
    rng = np.random.default_rng(0)
    n, m, draws, noise_variance = 12, 5, 20_000, 0.5
    X = rng.standard_normal((n + m, 4))
    everything = np.exp(-0.3 * np.sum((X[:, None] - X) ** 2, axis=2))
    K, K_test = everything[:n, :n], everything[n:, :n]
    signal = np.sin(X[:, 0])
    noisy = signal[:n, None] + np.sqrt(noise_variance) * rng.standard_normal((n, draws))
    fit = fit_filter(K, noisy, filter_)
    setting = {"noise_variance": noise_variance}
    inside = in_sample_risk(K, signal[:n], filter_, **setting).total
    outside = out_of_sample_risk(K, signal[:n], filter_, K_test=K_test, signal_test=signal[n:], **setting).total
    estimates = np.array([sure(K, y, filter_, **setting) for y in noisy.T[:2000]])
    for expected, sample in [
        (inside, np.mean((fit.fitted - signal[:n, None]) ** 2, axis=0)),
        (outside, np.mean((fit.predict(K_test) - signal[n:, None]) ** 2, axis=0)),
        (inside, estimates),
    ]:
        assert abs(np.mean(sample) - expected) < 5 * np.std(sample) / np.sqrt(len(sample))


@given(problems(), any_filter)
def test_degrees_of_freedom_are_traces(problem, filter_):
    H = hat_matrix(problem, filter_)
    dof = degrees_of_freedom(problem.K, filter_)
    scale = {"rtol": 1e-7, "atol": 1e-8}
    np.testing.assert_allclose(dof.fit, np.trace(H), **scale)
    np.testing.assert_allclose(dof.residual, np.trace(2 * H - H @ H.T), **scale)
    np.testing.assert_allclose(dof.variance, np.trace(H @ H.T), **scale)
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(fit_filter(problem.K, problem.y, filter_).effective_dof, dof.fit, rtol=1e-12)


def test_the_noise_variance_is_that_of_the_residuals():
    rng = np.random.default_rng(1)
    x = np.linspace(0.0, 1.0, 400)
    K = np.exp(-30.0 * np.subtract.outer(x, x) ** 2)
    y = np.sin(6.0 * x)[:, None] + 0.3 * rng.standard_normal((400, 3))
    assert abs(estimate_noise_variance(K, y, Ridge(0.05)) / 0.09 - 1.0) < 4 * np.sqrt(2 / 1200)
    H = K @ np.linalg.inv(K + 0.05 * np.eye(400))
    exact = np.sum((y - H @ y) ** 2) / 3 / (400 - np.trace(2 * H - H @ H.T))
    np.testing.assert_allclose(estimate_noise_variance(K, y, Ridge(0.05)), exact, rtol=1e-9)


@given(problems(), st.lists(any_filter, min_size=1, max_size=3), variances)
def test_every_filter_exceeds_the_floor_by_its_weighted_distance_from_the_wiener_filter(
    problem, filters, noise_variance
):
    """`risk(b) − risk(b*) = Σ (θ² + σ²)(b − b*)²`, where b* is one value for each distinct eigenvalue."""
    spectrum = Spectrum.from_gram(problem.K)
    best = wiener_filter(spectrum, problem.y, noise_variance=noise_variance)
    risks = in_sample_risk(spectrum, problem.y, filters, noise_variance=noise_variance).total
    size = np.mean(problem.y**2) + noise_variance
    assert np.all(risks >= best.floor - 1e-9 * size)
    theta = spectrum.eigenvectors.T @ problem.y.reshape(len(problem.y), -1)
    weight = np.sum(theta**2, axis=1) + theta.shape[1] * noise_variance
    positive = spectrum.eigenvalues > 0
    for risk, filter_ in zip(risks, filters, strict=True):
        distance = np.sum((weight * (filter_.shrinkage(spectrum.eigenvalues) - best.shrinkage) ** 2)[positive])
        np.testing.assert_allclose(risk - best.floor, distance / problem.y.size, rtol=1e-6, atol=1e-9 * size)


def test_the_wiener_filter_does_not_tell_equal_eigenvalues_apart():
    rng = np.random.default_rng(2)
    u = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    d = np.array([3.0, 3.0, 3.0, 1.0, 1.0, 0.0])
    theta = np.array([2.0, 0.0, 1.0, 0.5, 0.5, 4.0])
    best = wiener_filter(u * d @ u.T, u @ theta, noise_variance=0.5)
    np.testing.assert_allclose(best.shrinkage, [5 / 6.5] * 3 + [0.5 / 1.5] * 2 + [0.0], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(best.floor, (5 * 1.5 / 6.5 + 0.5 * 1.0 / 1.5 + 16.0) / 6, rtol=1e-9)


def test_the_wiener_filter_without_noise_or_without_signal():
    np.testing.assert_array_equal(wiener_filter(np.eye(2), [1.0, 0.0], noise_variance=0.0).shrinkage, [1.0, 1.0])
    assert wiener_filter(np.eye(2), [0.0, 0.0], noise_variance=1.0).floor == 0.0
    none = wiener_filter(np.diag([2.0, 1.0]), [0.0, 0.0], noise_variance=0.0)
    np.testing.assert_array_equal(none.shrinkage, [0.0, 0.0])
    nothing = wiener_filter(np.zeros((2, 2)), [1.0, 1.0], noise_variance=1.0)
    assert nothing.floor == 1.0
    assert not nothing.shrinkage.any()


@examples(60)
@given(problems(min_size=2, zeros=True, low=1e-2), st.integers(2, 4), log_uniform(1e-2, 1.0))
def test_oracle_label_weights_have_the_least_risk_of_all(problem, n_steps, noise_variance):
    setting = {"ridge": problem.ridge, "n_steps": n_steps}

    def risk_of(weights):
        path = selfdistill_closed_form(problem.K, problem.y, label_weight=weights, **setting)
        return float(in_sample_risk(problem.K, problem.y, path, noise_variance=noise_variance).total[-1])

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)  # where they only approach the best, they still come close
        weights = oracle_label_weights(problem.K, problem.y, noise_variance=noise_variance, **setting)
    least, size = risk_of(weights), np.mean(problem.y**2) + noise_variance
    rng = np.random.default_rng(0)
    for other in [np.ones(n_steps - 1), *rng.uniform(-1.0, 2.0, (5, n_steps - 1))]:
        assert least <= risk_of(other) + 1e-9 * size
    if np.max(np.abs(weights)) < 1e3:
        polished = scipy.optimize.minimize(risk_of, weights, method="Nelder-Mead", options={"maxiter": 60}).fun
        assert least <= polished + 1e-9 * size
    within = oracle_label_weights(problem.K, problem.y, noise_variance=noise_variance, unit_interval=True, **setting)
    assert np.all((within >= 0.0) & (within <= 1.0))
    assert risk_of(within) >= least - 1e-9 * size
    for other in rng.uniform(0.0, 1.0, (5, n_steps - 1)):
        assert risk_of(within) <= risk_of(other) + 1e-9 * size


@given(problems(), log_uniform(1e-2, 1e1))
def test_the_oracle_weight_of_two_fits_is_that_of_das_and_sanghavi_in_prediction(problem, noise_variance):
    """`α* = 1 − Σ (b0 − b1)[(1 − b1)θ² − b1 σ²] / Σ (b0 − b1)²(θ² + σ²)`, b1 the first fit and b0 = b1²."""
    spectrum = Spectrum.from_gram(problem.K)
    theta2 = np.sum(spectrum.coordinates(problem.y).reshape(len(problem.y), -1) ** 2, axis=1)
    sigma2 = noise_variance * (problem.y.size // len(problem.y))
    b1 = Ridge(problem.ridge).shrinkage(spectrum.eigenvalues)
    change = b1**2 - b1
    assume(np.sum(change**2) > 1e-20)
    exact = 1 - np.sum(change * ((1 - b1) * theta2 - b1 * sigma2)) / np.sum(change**2 * (theta2 + sigma2))
    weights = oracle_label_weights(spectrum, problem.y, ridge=problem.ridge, n_steps=2, noise_variance=noise_variance)
    np.testing.assert_allclose(weights, [exact], rtol=1e-7, atol=1e-9)


@given(spectra(), log_uniform(1e-2, 1e2), st.floats(0.0, 1.0), st.integers(1, 20))
def test_further_steps_add_bias_and_take_variance(d, ridge, label_weight, n_steps):
    rng = np.random.default_rng(0)
    path = selfdistill_closed_form(
        np.diag(d), rng.standard_normal(len(d)), ridge=ridge, n_steps=n_steps, label_weight=label_weight
    )
    risk = in_sample_risk(np.diag(d), path.targets, path, noise_variance=0.3)
    assert np.all(np.diff(risk.squared_bias) >= -1e-15)
    assert np.all(np.diff(risk.variance) <= 1e-15)


@examples(200)
@given(spectra(zeros=False), log_uniform(1e-3, 1e3), log_uniform(1e-4, 1e4), st.integers(0, 2**32 - 1))
def test_the_risk_of_early_stopping_is_at_most_1_69_times_that_of_ridge(d, ridge, noise_variance, seed):
    """Ali, Kolter & Tibshirani (2019), with the exact constant: for the flow at `1/ridge`, any signal and noise."""
    signal = np.random.default_rng(seed).standard_normal(len(d))
    flow, penalised = in_sample_risk(
        np.diag(d), signal, [GradientFlow(1 / ridge), Ridge(ridge)], noise_variance=noise_variance
    ).total
    assert flow <= 1.6859092 * penalised


def test_the_constant_of_early_stopping_is_attained_by_noise_alone():
    flow, ridge = in_sample_risk([[1.7932821]], [0.0], [GradientFlow(1.0), Ridge(1.0)], noise_variance=1.0).total
    np.testing.assert_allclose(flow / ridge, 1.6859092, rtol=1e-7)


def test_trajectories_and_paths_have_risks_moment_by_moment():
    rng = np.random.default_rng(3)
    X, y = rng.standard_normal((6, 6)), rng.standard_normal((6, 2))
    run = flow_trajectories(X @ X.T, y, times=[0.0, 0.1, 1.0], teacher_time=1.0)
    risk = in_sample_risk(X @ X.T, y, run.student, noise_variance=0.1)
    assert risk.total.shape == (3,)
    np.testing.assert_allclose(risk.total[0], np.mean(y**2))
    single = in_sample_risk(X @ X.T, y, Distilled(GradientFlow(1.0), GradientFlow(0.1), 0.0), noise_variance=0.1)
    np.testing.assert_allclose(risk.total[1], single.total)
    moved = {"noise_variance": 0.1, "K_test": X @ X.T, "signal_test": y}
    assert out_of_sample_risk(X @ X.T, y, run.student, **moved).total.shape == (3,)


def test_what_the_eigenvectors_do_not_reach_is_bias():
    spectrum = Spectrum([2.0], [[1.0], [0.0], [0.0]])
    risk = in_sample_risk(spectrum, [1.0, 2.0, 2.0], Ridge(2.0), noise_variance=3.0)
    np.testing.assert_allclose(risk, [(0.25 + 8.0) / 3, 0.75 / 3])
    np.testing.assert_allclose(wiener_filter(spectrum, [1.0, 2.0, 2.0], noise_variance=3.0).floor, (0.75 + 8.0) / 3)
    np.testing.assert_allclose(
        sure(spectrum, [1.0, 2.0, 2.0], Ridge(2.0), noise_variance=3.0), 8.25 / 3 + 3.0 / 3 - 3.0
    )
    np.testing.assert_allclose(estimate_noise_variance(spectrum, [1.0, 2.0, 2.0], Ridge(2.0)), 8.25 / 2.25)


def test_with_sample_weights_the_noise_is_smaller_where_the_weight_is_larger():
    rng = np.random.default_rng(4)
    X, signal, weights = rng.standard_normal((5, 5)), rng.standard_normal(5), np.array([1.0, 2.0, 0.5, 4.0, 1.0])
    spectrum = Spectrum.from_gram(X @ X.T, sample_weight=weights)
    risk = in_sample_risk(spectrum, signal, Ridge(0.7), noise_variance=0.3)
    W = np.diag(weights)
    H = X @ X.T @ np.linalg.solve(W @ X @ X.T + 0.7 * np.eye(5), W)
    np.testing.assert_allclose(risk.squared_bias, np.mean(weights * (H @ signal - signal) ** 2), rtol=1e-9)
    covariance = H @ np.diag(0.3 / weights) @ H.T
    np.testing.assert_allclose(risk.variance, np.mean(weights * np.diag(covariance)), rtol=1e-9)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda K, y: in_sample_risk(K, y, Ridge(1), noise_variance=-0.1), ValueError, "noise_variance must be >= 0"),
        (lambda K, y: sure(K, y, Ridge(1), noise_variance=np.nan), ValueError, "noise_variance must be finite"),
        (lambda K, y: in_sample_risk(K, y[:1], Ridge(1), noise_variance=1), ValueError, "signal must have 2 rows"),
        (lambda K, y: in_sample_risk(K, y, [], noise_variance=1), ValueError, "must hold at least one Filter"),
        (lambda K, y: in_sample_risk(K, y, [1.0], noise_variance=1), TypeError, "models must be a Filter or a seq"),
        (lambda K, y: in_sample_risk(K, y, 0.1, noise_variance=1), TypeError, "models must be a Filter or a sequence"),
        (lambda K, y: in_sample_risk(K, y, GradientDescent(5.0, 1), noise_variance=1), ValueError, "to be stable"),
        (
            lambda K, y: in_sample_risk(K, y, fit_filter([[1.0]], [1.0], Ridge(1.0)), noise_variance=1),
            ValueError,
            "models must be fitted on the spectrum of K, which has 2 modes, got models with 1",
        ),
        (
            lambda K, y: out_of_sample_risk(
                K, y, Ridge(1), noise_variance=1, K_test=[[1.0, 2.0]], signal_test=[1.0, 2.0]
            ),
            ValueError,
            r"signal_test must have shape \(1,\)",
        ),
        (lambda K, y: estimate_noise_variance(K, y, GradientFlow(1e9)), ValueError, "model must leave degrees"),
        (lambda K, y: estimate_noise_variance(K, y, "ridge"), TypeError, "model must be a Filter, got 'ridge'"),
        (lambda K, y: wiener_filter(K, y, noise_variance=-1), ValueError, "noise_variance must be >= 0, got -1"),
        (lambda K, y: wiener_filter(K, 1e200 * y, noise_variance=1), OverflowError, "the energy of signal"),
        (
            lambda K, y: oracle_label_weights(K, y, ridge=0.0, n_steps=2, noise_variance=1),
            ValueError,
            "ridge must be > 0",
        ),
    ],
)
def test_bad_input_is_named(call, error, message):
    with pytest.raises(error, match=message):
        call(np.diag([2.0, 1.0]), np.array([1.0, 2.0]))
