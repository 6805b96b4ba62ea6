"""The choice of the search: by scores that do not see what they judge, of the fewest fits that are as good."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdtheory import (
    Spectrum,
    UnitIntervalWeights,
    combination_from_label_weights,
    leave_group_out_predictions,
    loo_predictions,
    search_selfdistillation,
)
from kdtheory._candidates import Candidates
from tests.test_search import FREE, RIDGES, problem


def scores_by_refitting(K, y, ridge, n_steps, groups):
    """Choose the label weights by least squares without each group, and test them on it."""
    pure = leave_group_out_predictions(K, y, groups=groups, ridge=ridge, n_steps=n_steps)
    losses = np.zeros(len(y))
    for group in np.unique(groups):
        out = groups == group
        free = np.linalg.lstsq(
            (pure[1:, ~out] - pure[0, ~out]).reshape(n_steps - 1, -1).T, (y[~out] - pure[0, ~out]).ravel(), rcond=None
        )[0]
        prediction = pure[0, out] + np.tensordot(free, pure[1:, out] - pure[0, out], axes=1)
        losses[out] = np.mean((y[out] - prediction).reshape(np.sum(out), -1) ** 2, axis=1)
    return np.mean(losses)


@pytest.mark.parametrize("outputs", [(), (2,)])
@pytest.mark.parametrize("n_groups", [3, 24])
def test_scores_choose_the_label_weights_without_what_is_left_out(outputs, n_groups):
    K, y = problem(outputs=outputs)
    groups = np.arange(len(y)) % n_groups
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=3, groups=groups, label_weights=FREE)
    for i, ridge in enumerate(RIDGES):
        for n_steps in (2, 3):
            exact = scores_by_refitting(K, y, ridge, n_steps, groups)
            np.testing.assert_allclose(search.scores[i, n_steps - 1], exact, rtol=1e-7)
    if n_groups == len(y):
        singles = search_selfdistillation(K, y, ridges=RIDGES, n_steps=3, label_weights=FREE)
        np.testing.assert_allclose(singles.errors, search.errors, rtol=1e-9)
        if outputs:  # leverages are added up: a bound
            assert np.all(singles.scores >= search.scores * (1 - 1e-9))
            np.testing.assert_allclose(singles.scores, search.scores, rtol=0.15)
        else:
            np.testing.assert_allclose(singles.scores, search.scores, rtol=1e-7)


@pytest.mark.parametrize("seed", range(4))
def test_scores_within_the_unit_interval_refit_the_pure_models_that_take_part(seed):
    K, y = problem(seed=seed, noise=1.0)
    search = search_selfdistillation(K, y, ridges=RIDGES, n_steps=4, label_weights=UnitIntervalWeights())
    for i, ridge in enumerate(RIDGES):
        pure = loo_predictions(K, y, ridge=ridge, n_steps=4)
        used = pure[combination_from_label_weights(search.label_weights_of(i, 4)) > 0.0]
        errors = np.zeros(len(y))
        for point in range(len(y)):
            rest = np.arange(len(y)) != point
            directions = (used[1:] - used[0])[:, rest].T
            free = np.linalg.lstsq(directions, (y - used[0])[rest], rcond=None)[0]
            errors[point] = y[point] - used[0, point] - free @ (used[1:] - used[0])[:, point]
        np.testing.assert_allclose(search.scores[i, 3], np.mean(errors**2), rtol=1e-7)


@given(st.integers(0, 200), st.floats(0.0, 2.0))
def test_the_choice_is_the_fewest_fits_that_cannot_be_told_from_the_best(seed, within):
    K, y = problem(seed=seed, n=16)
    options = {"ridges": RIDGES, "n_steps": 4, "fit_intercept": True, "label_weights": FREE}
    search = search_selfdistillation(K, y, within_standard_errors=within, **options)
    best_of = np.min(search.scores, axis=0)
    assert search.best_score <= best_of[0]
    assert search.best_n_steps == 1 or search.best_score < best_of[0]
    assert search.plain_error == search.errors[np.argmin(search.errors[:, 0]), 0]
    if search.best_n_steps == 1:
        assert (search.gain, search.gain_standard_error) == (0.0, 0.0)
    assert search.best_score == best_of[search.best_n_steps - 1]
    least = search_selfdistillation(K, y, within_standard_errors=0, **options)
    assert least.best_score == np.min(search.scores)
    assert search.best_n_steps <= int(np.argmin(best_of)) + 1


def test_the_gain_and_its_standard_error_are_paired():
    K, y = problem(seed=1)
    weight = 1.0 + np.arange(len(y)) % 3
    spectrum = Spectrum.from_gram(K, weight)
    search = search_selfdistillation(
        spectrum, y, ridges=RIDGES, n_steps=4, label_weights=FREE, within_standard_errors=0
    )
    assert search.best_n_steps > 1
    plain = loo_predictions(spectrum, y, ridge=search.plain_ridge, n_steps=1)[0]
    differences = (y - plain) ** 2 - (y - search.held_out_predictions) ** 2
    share = weight / np.sum(weight)
    gain = share @ differences
    np.testing.assert_allclose(search.gain, gain, rtol=1e-9)
    np.testing.assert_allclose(search.gain, search.plain_error - search.best_error, rtol=1e-9)
    spread = np.sqrt(np.sum(share**2 * (differences - gain) ** 2) * len(y) / (len(y) - 1))
    np.testing.assert_allclose(search.gain_standard_error, spread, rtol=1e-9)
    chosen = loo_predictions(
        spectrum, y, ridge=search.best_ridge, n_steps=search.best_n_steps, label_weight=search.best_label_weights
    )[-1]
    np.testing.assert_allclose(search.held_out_predictions, chosen, rtol=1e-9)


def test_the_standard_error_with_groups_counts_groups():
    K, y = problem(seed=7)
    groups = np.arange(len(y)) // 4
    search = search_selfdistillation(
        K, y, ridges=RIDGES, n_steps=3, groups=groups, label_weights=FREE, within_standard_errors=0
    )
    assert search.best_n_steps > 1
    plain = leave_group_out_predictions(K, y, groups=groups, ridge=search.plain_ridge, n_steps=1)[0]
    of_groups = np.bincount(groups, weights=(y - plain) ** 2 - (y - search.held_out_predictions) ** 2) / 4
    np.testing.assert_allclose(search.gain, np.mean(of_groups), rtol=1e-9)
    np.testing.assert_allclose(search.gain_standard_error, np.std(of_groups, ddof=1) / np.sqrt(6), rtol=1e-9)


@pytest.mark.parametrize("constant", [0.1, 1.0 / 3.0, 0.7, 5.0, 1e9])
def test_constant_targets_are_fitted_by_plain_kernel_ridge_regression(constant):
    K, y = problem()
    for targets in (np.full(24, constant), constant + 1e-16 * constant * np.sign(y)):
        search = search_selfdistillation(K, targets, ridges=RIDGES, n_steps=5, fit_intercept=True)
        assert (search.best_n_steps, search.best_ridge, search.gain) == (1, RIDGES[-1], 0.0)


def test_points_that_are_all_the_same_are_fitted_by_plain_kernel_ridge_regression():
    for seed in range(20):
        _, y = problem(seed)
        search = search_selfdistillation(
            np.full((24, 24), 0.3), y, ridges=RIDGES, n_steps=5, fit_intercept=True, within_standard_errors=0.0
        )
        assert search.best_n_steps == 1
        np.testing.assert_allclose(search.held_out_predictions, (np.sum(y) - y) / 23.0, rtol=1e-12)


@pytest.mark.parametrize("unit", [1e-100, 1e-80, 1e80, 1e100])
def test_the_choice_does_not_depend_on_the_unit_of_the_targets(unit):
    K, y = problem(seed=26, n=40)
    ours, theirs = (search_selfdistillation(K, c * y, ridges=RIDGES, n_steps=6) for c in (unit, 1.0))
    assert (ours.best_n_steps, ours.best_ridge) == (theirs.best_n_steps, theirs.best_ridge)
    np.testing.assert_allclose(ours.best_label_weights, theirs.best_label_weights, rtol=1e-9)
    np.testing.assert_allclose(ours.gain_standard_error / unit**2, theirs.gain_standard_error, rtol=1e-9)
    assert theirs.best_n_steps == 2


def test_a_model_that_does_not_beat_plain_is_never_chosen_however_uncertain_its_difference_to_the_best():
    """Scores of 1, 2 and 3 fits: the second cannot be told from the third, nor is it better than the first."""
    losses = np.zeros((1, 4, 3))
    losses[0] = [[0.26, 2.0, 0.1], [0.26, -1.0, 0.1], [0.26, 2.0, 0.1], [0.26, -1.9, 0.1]]
    candidates = Candidates(np.zeros((3, 1, 4, 1)), np.zeros(1), np.full(4, 0.25), None, FREE, separate=False)
    vars(candidates)["losses"] = losses, losses
    scores = np.sum(losses, axis=1)
    np.testing.assert_allclose(scores, [[1.04, 1.1, 0.4]])
    assert candidates.fewest_fits(scores, np.zeros(3, dtype=int), 1.0) == 3
    assert candidates.fewest_fits(scores - [[0.0, 0.1, 0.0]], np.zeros(3, dtype=int), 1.0) == 2
