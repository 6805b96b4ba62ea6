"""Intercepts and sample weights on spectra of low rank: those of the matrix multiplied out, without it."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from kdtheory import (
    Spectrum,
    effective_dof,
    gcv_score,
    leave_group_out_predictions,
    loo_predictions,
    search_selfdistillation,
)
from kdtheory.kernels import RBF

rng = np.random.default_rng(0)
X = rng.standard_normal((80, 2))
Y = rng.standard_normal((80, 2)) + 3.0
WEIGHTS = rng.uniform(0.2, 3.0, 80)
GROUPS = np.arange(80) % 5


def spectra(weights):
    nystrom = Spectrum.nystrom(RBF(gamma=0.5), X, 12, sample_weight=weights)
    low_rank = Spectrum.from_gram(Spectrum.nystrom(RBF(gamma=0.5), X, 12).gram_matrix(), tolerance=1e-9)
    return nystrom, low_rank if weights is None else low_rank.reweighted(weights)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize("number", [0, 1])
def test_held_out_predictions_and_degrees_of_freedom(monkeypatch, weights, number):
    spectrum = spectra(weights)[number]
    assert len(spectrum.eigenvalues) < 40
    K = Spectrum.from_gram(spectrum.gram_matrix(), weights)
    chain = {"ridge": 0.3, "n_steps": 3, "fit_intercept": True}
    expected = [
        loo_predictions(K, Y, label_weight=0.4, **chain),
        leave_group_out_predictions(K, Y, groups=GROUPS, label_weight=0.4, **chain),
        gcv_score(K, Y, label_weight=0.4, **chain),
        effective_dof(K, label_weight=0.4, **chain),
    ]
    search = {"ridges": [0.1, 1.0, 10.0], "n_steps": 4, "fit_intercept": True}
    best = search_selfdistillation(K, Y, **search)

    def refused(_):
        raise AssertionError("n × n")

    monkeypatch.setattr(type(spectrum), "gram_matrix", refused)
    found = [
        loo_predictions(spectrum, Y, label_weight=0.4, **chain),
        leave_group_out_predictions(spectrum, Y, groups=GROUPS, label_weight=0.4, **chain),
        gcv_score(spectrum, Y, label_weight=0.4, **chain),
        effective_dof(spectrum, label_weight=0.4, **chain),
    ]
    for ours, theirs in zip(found, expected, strict=True):
        assert_allclose(ours, theirs, rtol=1e-7, atol=1e-8)
    ours = search_selfdistillation(spectrum, Y, **search)
    assert_allclose(ours.scores, best.scores, rtol=1e-6)


def test_weights_multiply_and_zero_weights_still_count_as_none():
    nystrom = spectra(None)[0]
    twice = nystrom.reweighted(WEIGHTS).reweighted(2.0 / WEIGHTS)
    assert_allclose(twice.eigenvalues, 2.0 * nystrom.eigenvalues, rtol=1e-9)
    assert_allclose(twice.weights(), 2.0)
    assert_allclose(twice.gram_matrix(), nystrom.gram_matrix(), atol=1e-12)
    some = np.where(np.arange(80) < 10, 0.0, WEIGHTS)
    K = Spectrum.from_gram(nystrom.gram_matrix(), some)
    chain = {"ridge": 0.3, "n_steps": 2, "label_weight": 0.4, "fit_intercept": True}
    assert_allclose(
        loo_predictions(nystrom.reweighted(some), Y, **chain), loo_predictions(K, Y, **chain), rtol=1e-7, atol=1e-8
    )
