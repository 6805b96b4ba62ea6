"""What estimators cannot use is refused, each by its name."""

import re
import subprocess
import sys

import numpy as np
import pytest
import scipy.sparse
from sklearn.exceptions import NotFittedError
from sklearn.metrics.pairwise import rbf_kernel

from kdtheory.estimators import (
    GradientFlowRegressor,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
)
from tests.test_estimators import CLASSIFIERS, EVERY, data, labelled


@pytest.mark.parametrize("estimator", EVERY)
def test_predicting_before_fitting_is_refused(estimator):
    with pytest.raises(NotFittedError):
        estimator().predict([[1.0]])


BAD = [
    ({"kernel": "rbff"}, ValueError, "kernel must be a function, 'precomputed' or one of"),
    ({"kernel": 3}, ValueError, "kernel must be a function, 'precomputed' or one of"),
    ({"kernel": ["rbf"]}, ValueError, "kernel must be a function, 'precomputed' or one of"),
    ({"gamma": -1.0}, ValueError, "gamma must be >= 0, got -1.0"),
    ({"gamma": "scale"}, TypeError, "gamma must be a real number, got 'scale'"),
    ({"degree": -1}, ValueError, "degree must be >= 0, got -1"),
    ({"coef0": np.nan}, ValueError, "coef0 must be finite, got nan"),
    ({"kernel_params": [1]}, TypeError, "kernel_params must be None or a dict, got [1]"),
    ({"fit_intercept": "yes"}, TypeError, "fit_intercept must be True or False, got 'yes'"),
]
BAD_OF_PLAIN = [
    ({"ridge": -0.1}, ValueError, "ridge must be > 0, got -0.1"),
    ({"ridge": 0.0}, ValueError, "ridge must be > 0, got 0.0"),
    ({"ridge": None}, TypeError, "ridge must be a real number, got None"),
    ({"n_steps": 0}, ValueError, "n_steps must be >= 1, got 0"),
    ({"n_steps": 2.5}, TypeError, "n_steps must be an integer, got 2.5"),
    ({"label_weight": "loo"}, TypeError, "label_weight must be a real number, got 'loo'"),
    ({"label_weight": [0.1, 0.2]}, ValueError, "label_weight must be one number or n_steps - 1 = 1 of them, got 2"),
    ({"label_weight": [[0.1]]}, ValueError, "label_weight of two dimensions must have shape (n_steps - 1, n_outputs)"),
    ({"label_weight": np.inf}, ValueError, "label_weight must be finite, got inf"),
]
BAD_OF_FLOWS = [
    ({"time": -1.0}, ValueError, "time must be >= 0, got -1.0"),
    ({"times": []}, ValueError, "times must not be empty"),
    ({"times": [1.0, -1.0]}, ValueError, "times must be >= 0, got -1.0"),
    ({"times": [[1.0]]}, ValueError, "times must be 1-dimensional, got shape (1, 1)"),
    ({"validation_fraction": 0.0}, ValueError, "validation_fraction must be > 0, got 0.0"),
    ({"validation_fraction": 1.0}, ValueError, "validation_fraction must be < 1, got 1.0"),
    ({"cv": 1}, ValueError, "k-fold cross-validation requires at least one train/test split"),
]


@pytest.mark.parametrize(
    ("estimator", "parameters", "error", "message"),
    [
        *((estimator, *case) for estimator in EVERY for case in BAD),
        *((estimator, *case) for estimator in (SelfDistilledKernelRidge, CLASSIFIERS[0]) for case in BAD_OF_PLAIN),
        *((GradientFlowRegressor, *case) for case in BAD_OF_FLOWS),
    ],
)
def test_bad_parameters_are_refused_by_name(estimator, parameters, error, message):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    with pytest.raises(error, match=re.escape(message)):
        estimator(**parameters).fit(X, y)


@pytest.mark.parametrize("estimator", EVERY)
@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        (np.eye(30)[:, :20], "must be a square matrix for kernel='precomputed', got shape (30, 20)"),
        (np.eye(30) + np.triu(np.ones((30, 30))), "K must be symmetric"),
        (np.diag([*np.ones(28), -2.0, -1.0]), "K must be positive semi-definite"),
        (np.full((30, 30), np.nan), "Input X contains NaN"),
    ],
)
def test_bad_precomputed_kernels_are_refused(estimator, kernel, message):
    X, y = labelled(30) if estimator in CLASSIFIERS else data(30)
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator(kernel="precomputed").fit(kernel, y)
    model = estimator(kernel="precomputed").fit(rbf_kernel(X), y)
    with pytest.raises(ValueError, match="X has 20 features, but .* is expecting 30 features"):
        model.predict(np.ones((3, 20)))
    with pytest.raises(TypeError, match="[Ss]parse"):
        model.predict(scipy.sparse.csr_array(np.ones((3, 30))))


@pytest.mark.parametrize("estimator", EVERY)
@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (-np.ones(30), "sample_weight must be >= 0"),
        (np.zeros(30), "sample_weight must hold at least one weight > 0"),
        (np.ones(29), "sample_weight must have shape (30,)"),
        (np.full(30, np.nan), "sample_weight must be finite"),
    ],
)
def test_bad_sample_weights_are_refused(estimator, weights, message):
    X, y = labelled(30) if estimator in CLASSIFIERS else data(30)
    with pytest.raises(ValueError, match=re.escape(message)):
        estimator().fit(X, y, sample_weight=weights)


@pytest.mark.parametrize("estimator", CLASSIFIERS)
def test_one_class_is_refused(estimator):
    X, _ = data()
    with pytest.raises(ValueError, match=r"y must hold at least two classes, got one class \['a'\]"):
        estimator().fit(X, ["a"] * len(X))
    with pytest.raises(ValueError, match="Unknown label type: continuous"):
        estimator().fit(X, X[:, 0])


@pytest.mark.parametrize("estimator", [SelfDistilledKernelRidgeCV, SelfDistilledKernelClassifierCV])
def test_one_point_cannot_be_left_out(estimator):
    with pytest.raises(ValueError, match="Found array with 1 sample"):
        estimator().fit([[1.0]], [1])


def test_scikit_learn_is_asked_for_when_it_is_missing():
    code = "import sys; sys.modules['sklearn'] = None; import kdtheory.estimators"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert 'kdtheory.estimators needs scikit-learn: pip install "kdtheory[estimators]"' in result.stderr
