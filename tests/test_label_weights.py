"""Label weights: the affine combinations behind them, and the best ones."""

import warnings

import mpmath
import numpy as np
import pytest
import scipy.optimize
from hypothesis import assume, given
from hypothesis import strategies as st

from kdtheory import (
    LabelWeightWarning,
    UnreachableCombinationError,
    combination_from_label_weights,
    estimate_label_weight,
    greedy_label_weights,
    joint_label_weights,
    label_weights_from_combination,
    selfdistill_closed_form,
)
from kdtheory.problems import sine_problem
from tests.strategies import problems, real_weights, unit_weights


def predictions(problem, label_weights):
    path = selfdistill_closed_form(
        problem.K, problem.y, ridge=problem.ridge, n_steps=len(label_weights) + 1, label_weight=label_weights
    )
    return path.predict(problem.K_test)


def losses(problem, label_weights):
    errors = predictions(problem, label_weights) - problem.y_test
    return np.sum(errors**2, axis=tuple(range(1, errors.ndim)))


def best(choose, problem, n_steps, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LabelWeightWarning)
        return choose(
            problem.K,
            problem.y,
            ridge=problem.ridge,
            n_steps=n_steps,
            K_val=problem.K_test,
            y_val=problem.y_test,
            **options,
        )


def size(problem):
    return np.sum(problem.y_test**2)


def rounding(problem, label_weights):
    """What the rounding of such weights may add to the length of a validation error."""
    path = selfdistill_closed_form(problem.K, problem.y, ridge=problem.ridge, n_steps=len(label_weights) + 1)
    terms = np.abs(path.dual_coef).reshape(path.n_steps, -1).sum(axis=1) * np.abs(problem.K_test).max()
    terms_of_combination = np.sum(np.abs(combination_from_label_weights(label_weights)) * terms)
    return 1e-15 * problem.y_test.size * len(problem.y) * terms_of_combination + 1e-6 * np.sqrt(size(problem))


@given(problems(), st.lists(real_weights, max_size=6))
def test_the_last_step_is_the_combination_of_the_pure_models(problem, weights):
    combination = combination_from_label_weights(weights)
    pure = predictions(problem, [0.0] * len(weights))
    expected = np.tensordot(combination, pure, axes=1)
    scale = np.abs(combination).sum() * (1 + np.abs(pure).max())
    np.testing.assert_allclose(predictions(problem, weights)[-1], expected, rtol=0, atol=1e-12 * scale)
    assert combination.sum() == pytest.approx(1.0, abs=1e-12 * np.abs(combination).sum())


@given(st.lists(st.floats(-3, 4).filter(lambda weight: abs(weight - 1) > 1e-3), max_size=8))
def test_weights_survive_the_way_to_the_combination_and_back(weights):
    combination = combination_from_label_weights(weights)
    assume(np.all(np.abs(np.cumsum(combination[::-1])[::-1]) > 1e-9 * np.abs(combination).sum()))
    np.testing.assert_allclose(label_weights_from_combination(combination), weights, rtol=1e-5, atol=1e-5)


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=8))
def test_combinations_survive_the_way_to_the_weights_and_back(sizes):
    combination = np.array(sizes) / np.sum(sizes)
    weights = label_weights_from_combination(combination)
    assert np.all((weights >= 0) & (weights <= 1))
    np.testing.assert_allclose(combination_from_label_weights(weights), combination, rtol=1e-13, atol=1e-15)


@given(st.lists(unit_weights, max_size=8))
def test_weights_in_the_unit_interval_are_combinations_in_the_simplex(weights):
    combination = combination_from_label_weights(weights)
    assert np.all(combination >= 0)
    assert combination.sum() == pytest.approx(1.0)


def test_weights_without_influence_are_one():
    np.testing.assert_array_equal(label_weights_from_combination([1.0, 0.0, 0.0]), [1.0, 1.0])
    np.testing.assert_array_equal(label_weights_from_combination([1.0]), [])


@pytest.mark.parametrize("combination", [[1.0, 1.0, -1.0], [1.0, 0.1, 0.2, -0.3]])
def test_an_unreachable_combination_is_refused(combination):
    with pytest.raises(UnreachableCombinationError, match="combination must not have a tail sum of 0"):
        label_weights_from_combination(combination)


def test_the_refusal_of_an_unreachable_combination_shows_where_it_breaks():
    with pytest.raises(UnreachableCombinationError, match=r"got \[0\.25, -0\.25\]"):
        label_weights_from_combination([0.5, 0.5, 0.25, -0.25])


def test_a_combination_must_sum_to_one():
    with pytest.raises(ValueError, match=r"combination must sum to 1, got the sum 1\.5"):
        label_weights_from_combination([0.5, 1.0])


@given(problems(), st.integers(2, 6))
def test_greedy_is_never_above_plain_ridge_and_joint_never_above_greedy(problem, n_steps):
    greedy, joint = best(greedy_label_weights, problem, n_steps), best(joint_label_weights, problem, n_steps)
    of_greedy, of_joint = np.sqrt(losses(problem, greedy)), np.sqrt(losses(problem, joint))
    assert np.all(of_greedy <= of_greedy[0] + rounding(problem, greedy))
    assert of_joint[-1] <= of_greedy.min() + rounding(problem, greedy) + rounding(problem, joint)


@given(problems(), st.booleans())
def test_joint_loss_never_rises_with_the_number_of_steps(problem, unit_interval):
    weights = [best(joint_label_weights, problem, n_steps, unit_interval=unit_interval) for n_steps in range(1, 6)]
    reached = np.array([np.sqrt(losses(problem, of_steps)[-1]) for of_steps in weights])
    allowed = np.array([rounding(problem, of_steps) for of_steps in weights])
    assert np.all(np.diff(reached) <= allowed[1:] + allowed[:-1])


def test_nearly_equal_eigenvalues_are_told_apart_by_large_weights():
    """Two levels a thousandth apart and two validation points: three fits reach both, more add nothing."""
    rng = np.random.default_rng(3)
    for _ in range(20):
        basis = np.linalg.qr(rng.standard_normal((4, 4)))[0]
        d = np.array([1.001, 1.0, 1.0, 0.0])
        K, K_val = basis * d @ basis.T, rng.standard_normal((2, 4)) * np.sqrt(d) @ basis.T
        setting = {"ridge": 0.01, "K_val": K_val, "y_val": rng.standard_normal(2)}
        y, reached = rng.standard_normal(4), []
        for n_steps in range(1, 7):
            weights = joint_label_weights((K + K.T) / 2, y, n_steps=n_steps, **setting)
            path = selfdistill_closed_form((K + K.T) / 2, y, ridge=0.01, n_steps=n_steps, label_weight=weights)
            reached.append(np.linalg.norm(path.predict(setting["K_val"])[-1] - setting["y_val"]))
        assert np.all(np.diff(reached) <= 1e-4 * reached[0])
        assert reached[2] <= 1e-4 * reached[0]


@given(problems(), st.lists(real_weights, min_size=1, max_size=5))
def test_no_other_weights_beat_the_joint_ones(problem, others):
    weights = best(joint_label_weights, problem, len(others) + 1)
    reached, others_reach = np.sqrt(losses(problem, weights)[-1]), np.sqrt(losses(problem, others)[-1])
    assert reached <= others_reach + rounding(problem, weights) + rounding(problem, others)


@given(problems(), st.lists(unit_weights, min_size=1, max_size=5))
def test_no_other_weights_in_the_unit_interval_beat_the_joint_ones_there(problem, others):
    weights = best(joint_label_weights, problem, len(others) + 1, unit_interval=True)
    assert np.all((weights >= 0) & (weights <= 1))
    assert losses(problem, weights)[-1] <= losses(problem, others)[-1] + 1e-9 * size(problem)


@given(problems(min_size=3, low=1e-1, outputs=False))
def test_the_joint_residual_is_orthogonal_to_every_direction(problem):
    """The first-order condition of the equality-constrained least-squares problem."""
    weights = best(joint_label_weights, problem, 3)
    assume(np.abs(weights).max() < 1e6)
    pure = predictions(problem, [0.0, 0.0])
    residual = problem.y_test - predictions(problem, weights)[-1]
    for direction in (pure[1] - pure[0], pure[2] - pure[0]):
        norms = np.linalg.norm(direction) * np.linalg.norm(problem.y_test)
        assert abs(residual @ direction) <= 1e-6 * norms + 1e-12


@given(problems(min_size=2, low=1e-1, outputs=True))
def test_a_general_optimiser_finds_nothing_better_in_the_unit_interval(problem):
    ours = losses(problem, best(joint_label_weights, problem, 3, unit_interval=True))[-1]
    theirs = min(
        scipy.optimize.minimize(lambda w: losses(problem, list(w))[-1], start, bounds=[(0, 1)] * 2).fun
        for start in ([0.5, 0.5], [0.1, 0.9], [0.9, 0.1])
    )
    assert ours <= theirs + 1e-9 * size(problem)


def exact_optimum(n_steps):
    """Least squares over all combinations of the pure models of the sine problem, with 300 digits."""
    problem = sine_problem()
    with mpmath.workdps(300):
        system = mpmath.matrix(problem.K.tolist()) + mpmath.mpf(problem.ridge) * mpmath.eye(11)
        K, K_val = mpmath.matrix(problem.K.tolist()), mpmath.matrix(problem.K_val.tolist())
        target, pure = mpmath.matrix(problem.y.tolist()), []
        for _ in range(n_steps):
            dual = mpmath.lu_solve(system, target)
            target = K * dual
            pure.append(K_val * dual)
        error = mpmath.matrix(problem.y_val.tolist()) - pure[0]
        steps = mpmath.matrix(101, n_steps - 1)
        for j in range(n_steps - 1):
            steps[:, j] = pure[j + 1] - pure[0]
        solution = mpmath.lu_solve(steps.T * steps, steps.T * error)
        return float(mpmath.norm(error - steps * solution) ** 2)


@pytest.mark.parametrize("n_steps", [2, 4, 6, 8, 10, 11, 12])
def test_joint_weights_reach_the_exact_optimum_of_the_sine(n_steps):
    """At twelve steps, where the optimum is all but zero, the rounding of weights of 10^11 shows."""
    problem = sine_problem()
    setting = {"ridge": problem.ridge, "n_steps": n_steps}
    weights = joint_label_weights(problem.K, problem.y, K_val=problem.K_val, y_val=problem.y_val, **setting)
    path = selfdistill_closed_form(problem.K, problem.y, **setting, label_weight=weights)
    reached = 101 * problem.losses(path.predict(problem.K_val))[-1]
    assert reached == pytest.approx(exact_optimum(n_steps), rel=1e-3, abs=1e-2 if n_steps == 12 else 0.0)


@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
@pytest.mark.parametrize("unit_interval", [False, True])
@pytest.mark.parametrize("exponent", [-170, 170])
def test_the_unit_of_the_targets_does_not_matter(choose, unit_interval, exponent):
    rng = np.random.default_rng(0)
    K = np.diag([3.0, 1.0, 0.3])
    y, K_val, y_val = rng.standard_normal(3), rng.standard_normal((4, 3)), rng.standard_normal(4)
    setting = {"ridge": 0.5, "n_steps": 3, "K_val": K_val, "unit_interval": unit_interval}
    unit = 10.0**exponent
    ours = choose(K, unit * y, y_val=unit * y_val, **setting)
    np.testing.assert_allclose(ours, choose(K, y, y_val=y_val, **setting), rtol=1e-9)


def test_the_weights_are_chosen_for_the_predictions_that_the_path_makes():
    """A K_val that no kernel makes, or tiny eigenvalues set to zero, reach beyond the range of K: so do predictions."""
    rng = np.random.default_rng(0)
    K, y = np.diag([1.0, 0.5, 0.0]), rng.standard_normal(3)
    setting = {"ridge": 0.1, "n_steps": 2}
    K_val, y_val = rng.standard_normal((4, 3)), rng.standard_normal(4)
    weight = float(greedy_label_weights(K, y, K_val=K_val, y_val=y_val, **setting)[0])

    def loss(label_weight):
        path = selfdistill_closed_form(K, y, **setting, label_weight=label_weight)
        return np.sum((path.predict(K_val)[-1] - y_val) ** 2)

    assert loss(weight) == pytest.approx(scipy.optimize.minimize_scalar(loss).fun)
    joint = joint_label_weights(K, y, K_val=K_val, y_val=y_val, **setting)
    np.testing.assert_allclose(joint, [weight], rtol=1e-9)


def test_greedy_can_be_stuck_at_ridge_for_ever_where_joint_reaches_the_best_filter():
    """Two levels, the noise on the larger one; the penalty is the best for plain ridge."""
    d, theta, noise = np.array([2.0] * 9 + [1.0]), np.array([0.0] * 9 + [10.0]), 1.0

    # In expectation over the noise the loss is quadratic in the filter; rows with these weights and targets realise it.
    scale = np.sqrt(theta**2 + noise)
    wiener = theta**2 / (theta**2 + noise)
    K_val, y_val, y = np.diag(scale * d), scale * wiener, np.ones(10)

    def risk(ridge):
        return np.sum((scale * (d / (d + ridge) - wiener)) ** 2)

    ridge = scipy.optimize.minimize_scalar(risk, bounds=(1e-6, 10), method="bounded", options={"xatol": 1e-14}).x
    setting = {"ridge": ridge, "K_val": K_val, "y_val": y_val}

    def loss(n_steps, weights):
        path = selfdistill_closed_form(np.diag(d), y, ridge=ridge, n_steps=n_steps, label_weight=weights)
        return np.sum((path.predict(K_val)[-1] - y_val) ** 2)

    greedy = greedy_label_weights(np.diag(d), y, n_steps=10, **setting)
    assert np.abs(greedy - 1).max() < 1e-5
    assert loss(10, greedy) == pytest.approx(risk(ridge), rel=1e-9)
    joint = joint_label_weights(np.diag(d), y, n_steps=3, **setting)
    assert loss(3, joint) < 1e-18 * risk(ridge)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_an_unreachable_best_combination_is_approached_with_a_warning(scale):
    """Pure predictions that make (1, 1, -1) the only best combination."""
    d, ridge = np.array([3.0, 1.0, 0.5]), 1.0
    a = d / (d + ridge)
    y_val = scale * (a + a**2 - a**3)
    K_val = scale * np.diag(d)
    with pytest.warns(LabelWeightWarning, match="no finite label weights reach the best combination"):
        weights = joint_label_weights(np.diag(d), np.ones(3), ridge=ridge, n_steps=3, K_val=K_val, y_val=y_val)
    assert np.all(np.isfinite(weights))
    path = selfdistill_closed_form(np.diag(d), np.ones(3), ridge=ridge, n_steps=3, label_weight=weights)
    np.testing.assert_allclose(path.predict(K_val)[-1], y_val, rtol=2e-7)


@pytest.mark.parametrize("choose", [greedy_label_weights, joint_label_weights])
@pytest.mark.parametrize("unit_interval", [False, True])
class TestBothChoices:
    def test_one_step_has_no_weights(self, choose, unit_interval):
        weights = choose([[1.0]], [1.0], ridge=1.0, n_steps=1, K_val=[[1.0]], y_val=[0.5], unit_interval=unit_interval)
        assert weights.shape == (0,)

    @pytest.mark.filterwarnings("ignore::kdtheory.LabelWeightWarning")
    def test_a_kernel_of_zeros_gives_finite_weights(self, choose, unit_interval):
        zero = np.zeros((2, 2))
        weights = choose(
            zero, [1.0, 2.0], ridge=1.0, n_steps=4, K_val=zero, y_val=[1.0, 1.0], unit_interval=unit_interval
        )
        np.testing.assert_array_equal(weights, [1.0, 1.0, 1.0])

    @pytest.mark.filterwarnings("ignore::kdtheory.LabelWeightWarning")
    def test_a_perfect_first_fit_keeps_it(self, choose, unit_interval):
        weights = choose(
            np.eye(2), [1.0, 2.0], ridge=1.0, n_steps=3, K_val=np.eye(2), y_val=[0.5, 1.0], unit_interval=unit_interval
        )
        np.testing.assert_allclose(weights[-1], 1.0)

    @pytest.mark.filterwarnings("ignore::kdtheory.LabelWeightWarning")
    @pytest.mark.parametrize("miss", [5e-324, 1e-300, 1e-17])
    def test_a_first_fit_that_misses_by_next_to_nothing_is_no_obstacle(self, choose, unit_interval, miss):
        """In units of that miss, what the steps change would overflow."""
        setting = {"ridge": 1.0, "n_steps": 3, "K_val": [[0.0, 0.0], [0.5, 0.5]], "unit_interval": unit_interval}
        weights = choose(np.eye(2), [1.0, 1.0], y_val=[miss, 0.5], **setting)
        assert weights.shape == (2,)
        path = selfdistill_closed_form(np.eye(2), [1.0, 1.0], ridge=1.0, n_steps=3, label_weight=weights)
        np.testing.assert_allclose(path.predict(setting["K_val"])[-1], [0.0, 0.5], atol=1e-15)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"y_val": [1.0, 2.0]}, r"y_val must have shape \(1,\), .* got \(2,\)"),
            ({"y_val": [[1.0]]}, r"y_val must have shape \(1,\), .* got \(1, 1\)"),
            ({"y_val": [np.nan]}, "y_val must be finite, got nan at index 0"),
            ({"K_val": [[1.0, 2.0]]}, r"K_val must have 1 columns, .* got shape \(1, 2\)"),
            ({"K_val": [1.0]}, r"K_val must be 2-dimensional, got shape \(1,\)"),
            ({"ridge": 0.0}, "ridge must be > 0, got 0.0"),
            ({"n_steps": 0}, "n_steps must be >= 1, got 0"),
        ],
    )
    def test_bad_input_is_refused(self, choose, unit_interval, change, message):
        setting = {"ridge": 1.0, "n_steps": 2, "K_val": [[1.0]], "y_val": [0.5], "unit_interval": unit_interval}
        with pytest.raises(ValueError, match=message):
            choose([[1.0]], [1.0], **(setting | change))


class TestEstimates:
    """From the predictions of two networks at validation points: `α·first + (1 − α)·pure_student`."""

    first, pure = np.array([[0.5, 0.5], [0.2, 0.1]]), np.array([[0.9, 0.1], [0.7, 0.3]])

    def test_the_weight_of_a_mixture_is_found(self):
        for weight in (-0.5, 0.0, 0.3, 1.0, 2.0):
            y_val = weight * self.first + (1 - weight) * self.pure
            assert estimate_label_weight(self.first, self.pure, y_val) == pytest.approx(weight, rel=1e-12, abs=1e-14)

    def test_it_is_that_of_least_squares(self):
        y_val = np.array([[1.0, 0.0], [0.0, 1.0]])
        step, error = (self.first - self.pure).ravel(), (y_val - self.pure).ravel()
        expected = np.linalg.lstsq(step[:, None], error, rcond=None)[0][0]
        assert estimate_label_weight(self.first, self.pure, y_val) == pytest.approx(expected, rel=1e-12)

    def test_equal_predictions_keep_the_labels_with_a_warning(self):
        with pytest.warns(LabelWeightWarning, match="the same for every label weight; it is set to 1"):
            assert estimate_label_weight([0.5, 0.5], [0.5, 0.5], [1.0, 0.0]) == 1.0

    @pytest.mark.parametrize("name", ["first", "pure_student"])
    def test_shapes_are_named(self, name):
        predictions = {"first": self.first, "pure_student": self.pure, name: np.ones(2)}
        with pytest.raises(ValueError, match=rf"^{name} must have shape \(2, 2\), that of y_val, got \(2,\)"):
            estimate_label_weight(**predictions, y_val=np.ones((2, 2)))
