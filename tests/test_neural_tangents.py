"""Conformance with `neural_tangents.predict.gradient_descent_mse`, on what it returned once (tests/frozen).

Its loss is `½‖f − y‖²/N` with N = n·k, the number of targets, and a step has the length of the learning rate: after t
steps, our time is `learning_rate·t/N`. Its kernel is n × n, the same for every output. The file was written by
`benchmarks/freeze_neural_tangents.py`, and names the versions.
"""

import json
from pathlib import Path

import numpy as np
import pytest

from kdtheory import flow_trajectories

FROZEN = json.loads((Path(__file__).parent / "frozen" / "neural_tangents_flow.json").read_text())
LEARNING_RATE = FROZEN["learning_rate"]
K, K_TEST, Y, T, TRAIN, TEST = (np.array(FROZEN[name]) for name in ("K", "K_test", "y", "t", "train", "test"))
TOLERANCE = 1e-10  # of the largest value at the same time; the condition number of K is below 1e3


@pytest.fixture
def teacher():
    return flow_trajectories(K, Y, times=LEARNING_RATE * T / Y.size, teacher_time=1.0).teacher


def assert_agree(ours, theirs):
    assert ours.shape == theirs.shape
    scale = np.abs(theirs).max(axis=(1, 2))
    assert np.all(np.abs(ours - theirs).max(axis=(1, 2)) <= TOLERANCE * scale)


def test_fitted_values_agree(teacher):
    assert_agree(teacher.fitted, TRAIN)


def test_predictions_agree(teacher):
    assert_agree(teacher.predict(K_TEST), TEST)


def test_the_case_has_a_beginning_a_middle_and_an_end():
    assert T[0] == 0.0
    assert not TRAIN[0].any()
    assert 0.01 < np.abs(TRAIN[1] - Y).max() < np.abs(Y).max()
    np.testing.assert_allclose(TRAIN[-1], Y, rtol=1e-12)
