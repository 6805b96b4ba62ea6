"""Published numbers and claims beside what is found: differences, tolerances and verdicts."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdtheory.reproduced import Reproduced, claimed, judge, sampled

SOURCE = "Someone (2020), Table 1"


@given(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3), st.floats(0.0, 1e3))
def test_a_number_is_met_where_it_is_within_its_tolerance(here, printed, tolerance):
    row = Reproduced("a number", here, repr(printed), SOURCE, tolerance=tolerance)
    assert row.difference == here - printed
    assert row.is_met == (abs(here - printed) <= tolerance)
    assert row.verdict == ("met" if row.is_met else "not met")
    assert row.as_record()["difference"] == row.difference


@pytest.mark.parametrize("published", ["> 0", "about equal", "0.5"])
def test_nothing_is_required_without_a_tolerance(published):
    row = Reproduced("a number", 0.7, published, SOURCE, error=0.1)
    assert row.is_met
    assert row.verdict == ""
    assert (row.difference is None) == (published != "0.5")


@given(st.lists(st.floats(-1.0, 1.0), min_size=2, max_size=9))
def test_a_verdict_is_that_of_students_test_of_one_sample(values):
    if np.ptp(values) < 1e-3:
        return
    p = stats.ttest_1samp(values, 0.0).pvalue
    if abs(p - 0.05) < 1e-9:
        return
    expected = "undecided" if p > 0.05 else "reproduced" if np.mean(values) > 0.0 else "contradicted"
    assert judge(values) == expected


@pytest.mark.parametrize(
    ("published", "verdict"),
    [("> 1", "reproduced"), ("> 1.5", "contradicted"), ("< 1", "contradicted"), ("< 1.5, by eye", "reproduced")],
)
def test_claims_are_inequalities_of_a_mean(published, verdict):
    row = claimed("slope", [1.2, 1.21, 1.22], published, SOURCE)
    assert row.verdict == verdict
    np.testing.assert_allclose([row.here, row.error], [1.21, 0.01 / np.sqrt(3)])
    assert row.is_met
    assert claimed("slope", [1.0, 1.4], "> 1", SOURCE).verdict == "undecided"


def test_means_over_trials_may_differ_by_a_wide_interval_of_students_t_and_rounding():
    trials = np.array([0.1, 0.3])
    reach = 1.0 / np.tan(np.pi * stats.norm.sf(4.0))  # of one degree of freedom, Cauchy's
    row = sampled("a gain", trials, "0.35", SOURCE, published_trials=8)
    error = stats.sem(trials)
    np.testing.assert_allclose(row.error, error)
    np.testing.assert_allclose(row.tolerance, reach * error * np.sqrt(1.0 + 2 / 8) + 0.005)
    np.testing.assert_allclose(sampled("a count", trials, "1e-06", SOURCE).tolerance, reach * error * np.sqrt(1.02))


@pytest.mark.parametrize("n_trials", [3, 20])
def test_means_of_the_same_trials_are_hardly_ever_refused_and_others_are(n_trials):
    rng = np.random.default_rng(0)
    other = sampled("a mean", rng.standard_normal(20), "3.0", SOURCE)
    assert not other.is_met
    met = [
        sampled("a mean", rng.standard_normal(n_trials), f"{np.mean(rng.standard_normal(100)):.6f}", SOURCE).is_met
        for _ in range(300)
    ]
    assert np.mean(met) > 0.99


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Reproduced("a", float("nan"), "1", SOURCE), "here must be finite, got nan"),
        (lambda: Reproduced("a", 1.0, "1", SOURCE, error=-1.0), "error must be >= 0, got -1.0"),
        (lambda: Reproduced("a", 1.0, "1", SOURCE, tolerance=-1.0), "tolerance must be >= 0, got -1.0"),
        (lambda: Reproduced("a", 1.0, "high", SOURCE, tolerance=1.0), "published must be a number .* got 'high'"),
        (lambda: Reproduced("a", 1.0, "nan", SOURCE, tolerance=1.0), "published must be a number .* got 'nan'"),
        (lambda: claimed("a", [1.0, 2.0], "1", SOURCE), "published must begin with an inequality, .* got '1'"),
        (lambda: claimed("a", [1.0], "> 1", SOURCE), "trials must be of 2 trials or more, for a standard error, got 1"),
        (lambda: sampled("a", [1.0, float("inf")], "1", SOURCE), "trials must be finite"),
        (lambda: sampled("a", [1.0, 2.0], "1", SOURCE, published_trials=0), "published_trials must be >= 1, got 0"),
        (lambda: judge([1.0, 2.0], level=2.0), "level must be <= 1, got 2.0"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make, message):
    with pytest.raises(ValueError, match=message):
        make()
