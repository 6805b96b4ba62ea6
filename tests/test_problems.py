"""Simulated problems: their Bayes probabilities are those that the labels are drawn with."""

import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import expit
from scipy.stats import multivariate_normal, norm
from sklearn.metrics import roc_auc_score

from kdtheory.problems import GaussianClasses, SlabClasses

PROBLEMS = [
    GaussianClasses(0.3),
    GaussianClasses(1.0),
    GaussianClasses(0.5, n_features=1),
    SlabClasses(),
    SlabClasses(3),
]


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_labels_are_drawn_with_the_bayes_probabilities(problem):
    X, y, p = problem.sample(100_000, random_state=1)
    np.testing.assert_allclose(p, np.column_stack([1.0 - p[:, 1], p[:, 1]]), atol=1e-15)
    np.testing.assert_allclose(p[:, 1], expit(problem.log_odds(X)), rtol=1e-12)
    edges = np.quantile(p[:, 1], np.linspace(0.0, 1.0, 11)[1:-1])
    bins = np.digitize(p[:, 1], edges)
    for number in range(10):
        inside = bins == number
        spread = np.sqrt(np.mean(p[inside, 0] * p[inside, 1]) / inside.sum())
        assert abs(np.mean(y[inside]) - np.mean(p[inside, 1])) <= 4.5 * spread + 1e-4


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_the_oracle_ranks_as_well_as_its_own_probabilities(problem):
    _, y, p = problem.sample(200_000, random_state=2)
    assert roc_auc_score(y, p[:, 1]) == pytest.approx(problem.oracle_auc, abs=0.004)


@pytest.mark.parametrize("n_features", [1, 2, 5])
def test_the_oracle_of_the_slab_is_a_double_integral(n_features):
    def positive(share):  # where so much of the distribution of ‖x‖∞ lies below
        return expit(2.0 * (norm.ppf(0.5 + 0.5 * share ** (1.0 / n_features)) - 0.5))

    prior = quad(positive, 0.0, 1.0)[0]
    ranked = quad(lambda share: positive(share) * quad(lambda u: 1.0 - positive(u), 0.0, share)[0], 0.0, 1.0)[0]
    assert SlabClasses(n_features).oracle_auc == pytest.approx(ranked / (prior * (1.0 - prior)), abs=1e-6)


def test_the_auc_of_weights_does_not_depend_on_their_scale():
    problem = GaussianClasses(0.3)
    for scale in (1e-300, 1.0, 1e300):
        assert problem.auc(np.full(10, scale)) == pytest.approx(problem.oracle_auc, rel=1e-12)
        assert problem.auc(np.full(10, -scale)) == pytest.approx(1.0 - problem.oracle_auc, rel=1e-12)
    assert problem.auc(np.zeros(10)) == 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: GaussianClasses(0.3).auc(np.ones(3)),
            r"weights must have shape (10,), one for each feature, got (3,)",
        ),
        (lambda: GaussianClasses(0.3).auc(np.full(10, np.nan)), "weights must be finite"),
        (lambda: GaussianClasses(0.3).auc(np.ones((10, 2))), "weights must be 1-dimensional"),
        (lambda: GaussianClasses(0.3).log_odds(np.ones((2, 3))), "X must have 10 columns"),
        (
            lambda: SlabClasses().log_odds(np.ones((2, 3))),
            "X must have 2 columns, one for each feature, got shape (2, 3)",
        ),
        (lambda: SlabClasses().sample(5).head(-1), "n_points must be >= 1, got -1"),
    ],
)
def test_what_does_not_fit_a_problem_is_refused(call, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        call()


def test_bayes_probabilities_of_gaussian_classes_follow_from_their_densities():
    problem = GaussianClasses(0.4, n_features=3)
    X, _, p = problem.sample(50, random_state=0)
    one, zero = (multivariate_normal(np.full(3, sign * 0.4), np.eye(3)).pdf(X) for sign in (1, -1))
    np.testing.assert_allclose(p, np.column_stack([zero, one]) / (zero + one)[:, None], rtol=1e-10)


def test_points_of_gaussian_classes_have_their_means_and_an_identity_covariance():
    problem = GaussianClasses(0.7, n_features=4)
    X, y, _ = problem.sample(100_000, random_state=3)
    for label, sign in ((0, -1), (1, 1)):
        np.testing.assert_allclose(np.mean(X[y == label], axis=0), sign * 0.7, atol=0.02)
        np.testing.assert_allclose(np.cov(X[y == label].T), np.eye(4), atol=0.03)
    assert abs(np.mean(y) - 0.5) < 0.01


def test_means_of_one_hardly_overlap_as_the_paper_prints_them():
    """Menon et al. (2020), section 5.1: no gain of distillation can be seen there."""
    assert GaussianClasses(1.0).oracle_auc == pytest.approx(0.999996, abs=1e-6)
    assert GaussianClasses(0.3).oracle_auc == pytest.approx(0.910, abs=5e-4)
    assert GaussianClasses(0.0).oracle_auc == 0.5


def test_the_auc_of_a_linear_score_is_that_on_many_points():
    problem, rng = GaussianClasses(0.3), np.random.default_rng(4)
    X, y, _ = problem.sample(200_000, rng)
    for weights in rng.standard_normal((5, 10)) + 0.3:
        assert problem.auc(weights) == pytest.approx(roc_auc_score(y, X @ weights), abs=0.005)
    assert problem.auc(3.0 * problem.weights) == pytest.approx(problem.oracle_auc, rel=1e-12)
    assert problem.auc(-problem.weights) == pytest.approx(1.0 - problem.oracle_auc, rel=1e-9)
    assert problem.auc(np.zeros(10)) == 0.5


def test_probabilities_keep_their_digits_where_they_are_small():
    X, _, p = GaussianClasses(1.0, n_features=40).sample(200, random_state=0)
    log_odds = GaussianClasses(1.0, n_features=40).log_odds(X)
    assert p.min() < 1e-16
    np.testing.assert_allclose(p.min(axis=1), np.exp(-np.abs(log_odds)), rtol=1e-6)


def test_the_middle_of_the_slab_is_at_half():
    problem = SlabClasses()
    np.testing.assert_allclose(problem.log_odds(np.array([[0.5, -0.1], [-1.5, 1.0], [0.0, 0.0]])), [0.0, 2.0, -1.0])


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
def test_samples_are_those_of_their_seed_and_begin_with_their_head(problem):
    sample = problem.sample(20, random_state=5)
    for again, other in zip(sample, problem.sample(20, np.random.default_rng(5)), strict=True):
        np.testing.assert_array_equal(again, other)
    for part, whole in zip(sample.head(7), sample, strict=True):
        np.testing.assert_array_equal(part, whole[:7])
    assert not np.array_equal(sample.X, problem.sample(20, random_state=6).X)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: GaussianClasses(-0.1), ValueError, "mean must be >= 0, got -0.1"),
        (lambda: GaussianClasses(float("nan")), ValueError, "mean must be"),
        (lambda: GaussianClasses(1.0, n_features=0), ValueError, "n_features must be >= 1, got 0"),
        (lambda: SlabClasses(n_features=1.5), TypeError, "n_features must be"),
        (lambda: SlabClasses().sample(0), ValueError, "n_points must be >= 1, got 0"),
        (lambda: GaussianClasses(1.0).sample(5, random_state="0"), TypeError, "random_state must be"),
    ],
)
def test_wrong_problems_are_named(make, error, message):
    with pytest.raises(error, match=re.escape(message)):
        make()
