"""Calibration of predictions from logits: against loops over the bins, netcal and torchmetrics."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from kdtheory.fidelity import (
    expected_calibration_error,
    reliability_diagram,
)
from tests.logits import models, seeds


def loop_calibration(logits, labels, n_bins):
    """Counts, confidences, accuracies and both errors, one bin and one point after the other."""
    p = scipy.special.softmax(logits, axis=1)
    rows = []
    for m in range(n_bins):
        inside = [i for i in range(len(p)) if m / n_bins < max(p[i]) <= (m + 1) / n_bins]
        right = [float(np.argmax(p[i]) == labels[i]) for i in inside]
        sure = [max(p[i]) for i in inside]
        rows.append((len(inside), sum(sure) / max(1, len(inside)), sum(right) / max(1, len(inside))))
    counts, confidences, accuracies = (np.array(column) for column in zip(*rows, strict=True))
    gaps = np.abs(accuracies - confidences)
    return counts, confidences, accuracies, np.sum(counts * gaps) / len(p), np.max(gaps)


@given(seeds, st.integers(1, 30), st.sampled_from([0.5, 3.0, 10.0]))
def test_calibration_is_that_of_a_loop_over_the_bins(seed, n_bins, scale):
    logits, _, labels = models(seed, scale=scale)
    diagram = reliability_diagram(logits, labels, n_bins)
    counts, confidences, accuracies, expected, maximum = loop_calibration(logits, labels, n_bins)
    np.testing.assert_array_equal(diagram.counts, counts)
    np.testing.assert_allclose(diagram.edges, np.linspace(0.0, 1.0, n_bins + 1), rtol=1e-15)
    np.testing.assert_allclose(diagram.mean_confidences, confidences, rtol=1e-12)
    np.testing.assert_allclose(diagram.accuracies, accuracies, rtol=1e-12)
    np.testing.assert_allclose(diagram.gaps, accuracies - confidences, rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(diagram.expected_error, expected, rtol=1e-12)
    np.testing.assert_allclose(diagram.maximum_error, maximum, rtol=1e-12)
    assert expected_calibration_error(logits, labels, n_bins) == diagram.expected_error
    assert diagram.expected_error <= diagram.maximum_error * (1.0 + 1e-14)


@pytest.mark.parametrize(
    ("scale", "n_bins", "expected", "maximum"),
    [
        (0.7, 15, 0.407735175486503, 0.5129273142043513),
        (3.0, 10, 0.17166085865816977, 0.48289064378757107),
        (12.0, 7, 0.18727776359161014, 0.5915230950350834),
    ],
)
def test_calibration_is_that_of_netcal_and_torchmetrics(scale, n_bins, expected, maximum):
    """`ECE` and `MCE` of netcal 1.4.0; torchmetrics 1.9.0, computing in double precision, gives the same numbers."""
    i, j = np.arange(300)[:, None], np.arange(5)
    logits = scale * np.sin(1.0 + 0.7 * i + 1.9 * j + 0.013 * i * j)
    labels = np.where(np.arange(300) % 3 > 0, np.argmax(logits, axis=1), np.arange(300) ** 2 % 5)
    diagram = reliability_diagram(logits, labels, n_bins)
    assert diagram.expected_error == pytest.approx(expected, rel=1e-13)
    assert diagram.maximum_error == pytest.approx(maximum, rel=1e-13)


def test_a_bin_has_its_upper_edge():
    np.testing.assert_array_equal(reliability_diagram([[0.0, 0.0]], [0], 2).counts, [1, 0])
    np.testing.assert_array_equal(reliability_diagram([[0.0, 1000.0]], [0], 2).counts, [0, 1])
    np.testing.assert_array_equal(reliability_diagram(np.zeros((1, 4)), [0], 4).counts, [1, 0, 0, 0])


def test_the_calibration_error_of_sure_and_right_predictions_keeps_its_digits():
    assert expected_calibration_error([[0.0, 100.0]], [1]) == pytest.approx(np.exp(-100.0), rel=1e-14, abs=0.0)
    assert expected_calibration_error([[0.0, 100.0]], [0]) == 1.0
    assert expected_calibration_error([[0.0, 400.0]], [1], temperature=4.0) == pytest.approx(
        np.exp(-100.0), rel=1e-14, abs=0.0
    )


@given(seeds, st.integers(1, 20))
def test_calibration_errors_lie_between_0_and_1_and_know_no_order(seed, n_bins):
    logits, _, labels = models(seed, n=30)
    error = expected_calibration_error(logits, labels, n_bins)
    assert 0.0 <= error <= 1.0
    order = np.random.default_rng(seed).permutation(30)
    assert expected_calibration_error(logits[order], labels[order], n_bins) == pytest.approx(error, rel=1e-12)
    assert expected_calibration_error(logits[:, ::-1], 3 - labels, n_bins) == pytest.approx(error, rel=1e-12)
