"""The search: every entry is the exact held-out error of a model with its best label weights."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    ConstantWeights,
    FreeWeights,
    MonotoneWeights,
    Spectrum,
    UnitIntervalWeights,
    leave_group_out_predictions,
    loo_label_weights,
    loo_predictions,
    search_selfdistillation,
    selfdistill_closed_form,
)

RIDGES = [0.03, 0.3, 3.0]
FREE = FreeWeights()


def problem(seed=0, n=24, outputs=(), noise=0.5):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 2))
    K = np.exp(-0.5 * np.sum((X[:, None] - X) ** 2, axis=2))
    signal = np.sin(2 * X[:, 0]) + X[:, 1] + 2.0
    y = signal + noise * rng.standard_normal(n)
    return K, y if not outputs else np.stack([y, y[::-1]], axis=1)


def mean_square(errors, weight=None):
    per_point = np.mean(errors.reshape(len(errors), -1) ** 2, axis=1)
    return np.average(per_point, weights=weight)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("unit_interval", [False, True])
def test_every_error_is_that_of_leaving_one_out_with_the_best_label_weights(
    intercept, weighted, outputs, unit_interval
):
    K, y = problem(outputs=outputs)
    weight = np.arange(len(y)) % 3 if weighted else None
    spectrum = Spectrum.from_gram(K, weight) if weighted else K
    options = {"fit_intercept": intercept}
    rule = UnitIntervalWeights() if unit_interval else FreeWeights()
    search = search_selfdistillation(spectrum, y, ridges=RIDGES, n_steps=4, label_weights=rule, **options)
    assert search.errors.shape == (3, 4)
    for i, ridge in enumerate(RIDGES):
        for n_steps in range(1, 5):
            label_weights = loo_label_weights(
                spectrum, y, ridge=ridge, n_steps=n_steps, unit_interval=unit_interval, **options
            )
            held_out = loo_predictions(spectrum, y, ridge=ridge, n_steps=n_steps, label_weight=label_weights, **options)
            np.testing.assert_allclose(search.errors[i, n_steps - 1], mean_square(y - held_out[-1], weight), rtol=1e-9)
            found = search.label_weights_of(i, n_steps)
            np.testing.assert_allclose(found, label_weights, rtol=1e-6, atol=1e-9)


def test_separate_label_weights_for_every_output_are_those_of_the_outputs_alone():
    K, y = problem(outputs=(2,))
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=3, label_weights=FREE, per_output=True)
    alone = [search_selfdistillation(K, y[:, k], ridges=RIDGES, n_steps=3, label_weights=FREE) for k in range(2)]
    np.testing.assert_allclose(search.errors, (alone[0].errors + alone[1].errors) / 2, rtol=1e-12)
    np.testing.assert_allclose(search.scores, (alone[0].scores + alone[1].scores) / 2, rtol=1e-12)
    assert search.label_weights_of(1, 3).shape == (2, 2)
    np.testing.assert_allclose(search.label_weights_of(1, 3)[:, 1], alone[1].label_weights_of(1, 3), rtol=1e-9)


@pytest.mark.parametrize("n_steps", [1, 2, 5, 12, 15])
def test_monotone_weights_average_binomial_tails(n_steps):
    a = np.linspace(0.0, 1.0, 21)
    tails = MonotoneWeights().vertices(n_steps)
    combinations = tails - np.append(tails[:, 1:], np.zeros((n_steps, 1)), axis=1)
    shrinkages = combinations @ a ** np.arange(1, n_steps + 1)[:, None]
    n = min(n_steps, 12)
    for k in range(1, n + 1):
        np.testing.assert_allclose(shrinkages[k - 1], scipy.stats.binom.sf(k - 1, n, a), atol=1e-10)
    for j in range(n, n_steps):
        np.testing.assert_allclose(shrinkages[j], a ** (j + 1), atol=1e-10)


@given(st.integers(0, 2**32 - 1), st.integers(2, 12))
def test_monotone_weights_give_a_shrinkage_that_rises_from_zero_to_one(seed, n_steps):
    K, y = problem(seed=seed % 1000, noise=1.0)
    search = search_selfdistillation(K, y, ridges=[0.1], n_steps=n_steps)
    label_weights = search.label_weights_of(0, n_steps)
    d = np.geomspace(1e-4, 1e4, 50)[::-1]
    grid = Spectrum(d, np.eye(50))
    shrinkage = selfdistill_closed_form(
        grid, np.ones(50), ridge=0.1, n_steps=n_steps, label_weight=label_weights
    ).shrinkage[-1]
    assert np.all((shrinkage > -1e-9) & (shrinkage < 1 + 1e-9))
    assert np.all(np.diff(shrinkage) < 1e-9)


@given(st.integers(0, 500))
def test_monotone_weights_contain_those_in_the_unit_interval_and_are_contained_in_free_ones(seed):
    K, y = problem(seed=seed)
    unit, monotone, free = (
        search_selfdistillation(K, y, ridges=RIDGES, n_steps=5, label_weights=rule).errors
        for rule in (UnitIntervalWeights(), MonotoneWeights(), FREE)
    )
    assert np.all(monotone <= unit * (1 + 1e-8))
    assert np.all(free <= monotone * (1 + 1e-8))
    assert np.all(np.diff(monotone, axis=1) <= 1e-8)


@pytest.mark.parametrize("n_steps", [2, 4, 10])
def test_monotone_errors_are_those_of_leaving_one_out_with_their_label_weights(n_steps):
    K, y = problem(n=40)
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=n_steps)
    for i, ridge in enumerate(RIDGES):
        held_out = loo_predictions(K, y, ridge=ridge, n_steps=n_steps, label_weight=search.label_weights_of(i, n_steps))
        np.testing.assert_allclose(search.errors[i, -1], np.mean((y - held_out[-1]) ** 2), rtol=1e-6)


def test_monotone_weights_are_not_led_astray_by_noise():
    """Pure noise, few points, tiny ridges: whatever is chosen must stay near the best plain model."""
    free, monotone, plain = [], [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        X, X_test, y = rng.standard_normal((60, 2)), rng.standard_normal((300, 2)), rng.standard_normal(60)
        K, K_test = (np.exp(-0.5 * np.sum((each[:, None] - X) ** 2, axis=2)) for each in (X, X_test))
        options = {"ridges": np.geomspace(1e-6, 1e2, 20), "fit_intercept": True}
        for errors, rule, n_steps in ((free, FREE, 10), (monotone, MonotoneWeights(), 10), (plain, FREE, 1)):
            search = search_selfdistillation(K, y, n_steps=n_steps, label_weights=rule, **options)
            dual_coef, intercept = search.fit()
            errors.append(np.mean((K_test @ dual_coef + intercept) ** 2))
    assert np.mean(monotone) < 1.1 * np.mean(plain)
    assert np.mean(free) > 2.0 * np.mean(plain)


def test_given_constants_are_tried_and_the_best_is_kept():
    K, y = problem()
    constants = [-0.5, 0.0, 0.4, 1.0, 1.3]
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=4, label_weights=constants)
    for i, ridge in enumerate(RIDGES):
        errors = np.array(
            [
                np.mean((y - loo_predictions(K, y, ridge=ridge, n_steps=4, label_weight=each)) ** 2, axis=1)
                for each in constants
            ]
        )
        np.testing.assert_allclose(search.errors[i], np.min(errors, axis=0), rtol=1e-10)
        assert search.label_weights_of(i, 4).tolist() == [constants[int(np.argmin(errors[:, 3]))]] * 3
    np.testing.assert_allclose(search.scores, search.errors, rtol=1e-12)


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("rule", [FREE, UnitIntervalWeights(), MonotoneWeights()])
def test_errors_of_groups_are_those_of_leaving_groups_out(outputs, rule):
    K, y = problem(outputs=outputs)
    groups = np.arange(len(y)) % 4
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=3, groups=groups, label_weights=rule)
    for i, ridge in enumerate(RIDGES):
        for n_steps in range(1, 4):
            held_out = leave_group_out_predictions(
                K, y, groups=groups, ridge=ridge, n_steps=n_steps, label_weight=search.label_weights_of(i, n_steps)
            )
            np.testing.assert_allclose(search.errors[i, n_steps - 1], mean_square(y - held_out[-1]), rtol=1e-9)


@pytest.mark.parametrize("per_output", [False, True])
def test_the_chosen_model_is_fitted_on_all_points(per_output):
    K, y = problem(seed=1, outputs=(2,))
    options = {
        "ridges": RIDGES,
        "n_steps": 4,
        "fit_intercept": True,
        "label_weights": FREE,
        "within_standard_errors": 0,
    }
    search = search_selfdistillation(K, y, per_output=per_output, **options)
    assert search.best_n_steps > 1
    dual_coef, intercept = search.fit()
    centred = K - K.mean(axis=0) - K.mean(axis=0)[:, None] + K.mean()
    for output in range(2):
        weights = search.best_label_weights[:, output] if per_output else search.best_label_weights
        target = y[:, output] - y[:, output].mean()
        path = selfdistill_closed_form(
            centred, target, ridge=search.best_ridge, n_steps=search.best_n_steps, label_weight=weights
        )
        fitted = K @ dual_coef[:, output] + intercept[output]
        np.testing.assert_allclose(fitted, path.fitted[-1] + y[:, output].mean(), rtol=1e-8)


@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_a_matrix_of_low_numerical_rank_gives_the_same_errors_and_the_same_model(intercept, weighted):
    rng = np.random.default_rng(0)
    X, X_test = rng.standard_normal((300, 2)), rng.standard_normal((40, 2))
    K, K_test = (np.exp(-0.1 * np.sum((each[:, None] - X) ** 2, axis=2)) for each in (X, X_test))
    y, weight = np.sin(X).sum(axis=1) + 0.3 * rng.standard_normal(300) + 1.0, rng.integers(0, 3, 300) * 0.5
    options = {"ridges": np.geomspace(1e-2, 1e2, 5), "n_steps": 6, "fit_intercept": intercept}
    weight = weight if weighted else None
    low = search_selfdistillation(K, y, sample_weight=weight, **options)
    whole = search_selfdistillation(Spectrum.from_gram(K, weight), y, **options)
    assert len(low.problem.spectrum.eigenvalues) < 100
    np.testing.assert_allclose(low.errors, whole.errors, rtol=1e-8)
    np.testing.assert_allclose(low.scores, whole.scores, rtol=1e-7)
    assert low.best_n_steps == whole.best_n_steps
    dual, intercepts = zip(low.fit(), whole.fit(), strict=True)
    np.testing.assert_allclose(K_test @ dual[0] + intercepts[0], K_test @ dual[1] + intercepts[1], atol=1e-8)


def test_sample_weights_may_be_given_beside_the_matrix_or_in_its_spectrum():
    K, y = problem()
    weight = 1.0 + np.arange(len(y)) % 3
    options = {"ridges": RIDGES, "n_steps": 3, "fit_intercept": True}
    beside = search_selfdistillation(K, y, sample_weight=weight, **options)
    within = search_selfdistillation(Spectrum.from_gram(K, weight), y, **options)
    np.testing.assert_allclose(beside.errors, within.errors, rtol=1e-9)


def test_targets_of_zero_are_fitted_by_plain_kernel_ridge_regression():
    K, _ = problem()
    search = search_selfdistillation(K, np.zeros(24), ridges=RIDGES, n_steps=5)
    assert (search.best_n_steps, search.best_error, search.gain) == (1, 0.0, 0.0)


def test_more_fits_than_distinct_eigenvalues_do_no_harm():
    K, y = np.ones((6, 6)) + np.eye(6), np.array([1.0, 2.0, 0.5, -1.0, 0.0, 3.0])
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=9, within_standard_errors=0)
    assert np.all(np.isfinite(search.errors))
    assert np.all(np.diff(search.errors, axis=1) <= 1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ridges": []}, "ridges must not be empty"),
        ({"ridges": [1.0, -1.0]}, "ridges must be > 0, got -1.0"),
        ({"n_steps": 0}, "n_steps must be >= 1, got 0"),
        ({"label_weights": []}, "label_weights must not be empty"),
        ({"per_output": True}, "per_output must be False for y of one dimension"),
        ({"within_standard_errors": -1.0}, "within_standard_errors must be >= 0, got -1.0"),
        ({"groups": [0] * 24}, "groups must hold at least two different labels"),
    ],
)
def test_bad_arguments_are_named(change, message):
    K, y = problem()
    with pytest.raises(ValueError, match="must") as raised:
        search_selfdistillation(K, y, **{"ridges": RIDGES, "n_steps": 2, **change})
    assert message in str(raised.value)


def test_errors_beyond_the_floating_point_range_are_refused():
    K, y = problem()
    with pytest.raises(OverflowError, match="the held-out error"):
        search_selfdistillation(K, 1e200 * y, ridges=RIDGES, n_steps=2)


def test_the_repr_says_what_was_chosen():
    K, y = problem(seed=1)
    text = repr(search_selfdistillation(K, y, ridges=RIDGES, n_steps=2))
    assert "n_ridges=3" in text
    assert "gain=" in text


@pytest.mark.parametrize("fit_intercept", [False, True])
@pytest.mark.parametrize("sample_weight", [None, np.linspace(0.5, 2.0, 40)])
def test_overwriting_the_matrix_changes_nothing_else(fit_intercept, sample_weight):
    K, y = problem(n=40)
    options = {"ridges": RIDGES, "n_steps": 3, "fit_intercept": fit_intercept, "sample_weight": sample_weight}
    kept = K.copy()
    left_alone = search_selfdistillation(K, y, **options)
    np.testing.assert_array_equal(K, kept)
    overwritten = search_selfdistillation(K, y, overwrite_K=True, **options)
    np.testing.assert_array_equal(overwritten.errors, left_alone.errors)
    for ours, theirs in zip(overwritten.fit(), left_alone.fit(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_every_error_is_reached_by_the_label_weights_however_degenerate_the_matrix():
    """Of rank two; the best free weights are often at infinity, or cancel to all digits."""
    for seed in range(40):
        rng = np.random.default_rng(seed)
        features, y = rng.standard_normal((6, 2)), rng.standard_normal(6)
        K, ridge = features @ features.T, 10.0 ** rng.integers(-3, 2)
        search = search_selfdistillation(K, y, ridges=[ridge], n_steps=7, label_weights=FREE)
        for n_steps in range(1, 8):
            weights = search.label_weights_of(0, n_steps)
            held_out = loo_predictions(K, y, ridge=ridge, n_steps=n_steps, label_weight=weights)[-1]
            reached = np.mean((y - held_out) ** 2)
            # Weights that cancel to all digits leave rounding of any size, but the same one to an order of magnitude.
            np.testing.assert_allclose(search.errors[0, n_steps - 1], reached, rtol=0.1, atol=1e-4 * np.mean(y**2))
            assert search.scores[0, n_steps - 1] >= search.errors[0, n_steps - 1]


@pytest.mark.parametrize(
    ("index", "n_steps", "error", "message"),
    [
        (0, 0, ValueError, "n_steps must be >= 1, got 0"),
        (0, -1, ValueError, "n_steps must be >= 1, got -1"),
        (0, 5, ValueError, "n_steps must be <= 4, the largest that was searched, got 5"),
        (3, 1, IndexError, "range object index out of range"),
    ],
)
def test_label_weights_of_what_was_not_searched_are_refused(index, n_steps, error, message):
    K, y = problem()
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=4)
    with pytest.raises(error, match=message):
        search.label_weights_of(index, n_steps)


def test_rules_compare_and_print():
    assert ConstantWeights([0.1, 0.5]) == ConstantWeights((0.1, 0.5)) != ConstantWeights([0.1])
    assert repr(ConstantWeights([0.5])) == "ConstantWeights(constants=(0.5,))"
