"""Saved estimators that were edited, or cannot be used again, are refused with what is wrong."""

import re

import numpy as np
import pytest
import scipy.sparse

from kdtheory.estimators import (
    GradientFlowRegressor,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
    load,
    save,
)
from tests.test_persistence import NAN, changed, edited, fitted

PARTS = ["ridges", "dual_coef_", "X_fit_", "intercept_", "n_features_in_", "best_params_", "classes_"]


@pytest.mark.parametrize("name", [*PARTS, "inverse_temperature_"])
def test_files_without_a_part_of_the_model_are_refused(name, tmp_path):
    model, _ = fitted(SelfDistilledKernelClassifierCV)

    def edit(schema):
        del schema["content"]["content"][name]

    with pytest.raises(ValueError, match="must be a file of kdtheory.estimators.save, got"):
        load(edited(model, tmp_path, edit))


CHANGES = [
    ("intercept_", NAN, "intercept_ must be made of finite real numbers, got nan"),
    ("intercept_", [0.0, 1.0], "intercept_ must be an array, got"),
    ("intercept_", np.zeros(2), "intercept_ must have shape (), got (2,)"),
    ("intercept_", "1", "intercept_ must be an array, got '1'"),
    ("dual_coef_", np.zeros(3), "X_fit_ must have shape (3, 3), got"),
    ("dual_coef_", np.zeros((40, 1, 1)), "dual_coef_ must have one or two dimensions, got shape (40, 1, 1)"),
    ("dual_coef_", np.full(40, np.inf), "dual_coef_ must be made of finite real numbers"),
    ("dual_coef_", np.array(["a"] * 40), "dual_coef_ must be made of finite real numbers"),
    ("dual_coef_", [0.0] * 40, "dual_coef_ must be an array"),
    ("X_fit_", np.zeros((40, 2)), "X_fit_ must have shape (40, 3), got (40, 2)"),
    ("X_fit_", np.full((40, 3), NAN), "X_fit_ must be made of finite real numbers"),
    ("X_fit_", scipy.sparse.csr_array(np.full((40, 3), NAN)), "X_fit_ must be made of finite real numbers"),
    ("X_fit_", scipy.sparse.csr_array((40, 2)), "X_fit_ must have shape (40, 3), got (40, 2)"),
    ("X_fit_", None, "X_fit_ must be an array, got None"),
    ("n_features_in_", "2", "n_features_in_ must be an integer, got '2'"),
    ("n_features_in_", 7, "X_fit_ must have shape (40, 7)"),
    ("kernel", np.vecdot, "kernel must be a name or a Kernel of kdtheory.kernels, got <ufunc"),
    ("kernel", "precomputed", "dual_coef_ must have shape (3,), got (40,)"),
    ("kernel", "no kernel", "kernel must be a function, 'precomputed' or one of"),
    ("gamma", "x", "gamma must be a real number, got 'x'"),
    ("degree", -1, "degree must be >= 0, got -1"),
    ("coef0", None, "coef0 must be a real number, got None"),
    ("fit_intercept", "yes", "fit_intercept must be"),
]
OF_SEARCH = [
    ("ridges", "x", "ridges must hold real numbers"),
    ("gammas", [[1.0]], "gammas must"),
    ("cv", "x", "cv"),
    ("verbose", 2, "verbose must be"),
    ("n_steps", 0, "n_steps must be >= 1, got 0"),
    ("label_weight", "all", "label_weight must be one of"),
    ("best_params_", {"ridge": 1.0, "label_weight": 0.0}, "best_params_ must hold ridge, n_steps, label_weight"),
    ("best_params_", {"ridge": 1.0, "n_steps": 1, "label_weight": 0.0, "a": 1}, "best_params_ must hold ridge"),
    ("best_params_", {"ridge": 1.0, "n_steps": 1, "label_weight": 0.0, "gamma": "x"}, "gamma must be a real number"),
    ("best_params_", {"ridge": 1.0, "n_steps": 3, "label_weight": [NAN, 0.0]}, "label_weight must be made of finite"),
    ("best_params_", {"ridge": "x", "n_steps": 1, "label_weight": 0.0}, "ridge must be a real number, got 'x'"),
]
OF_FLOW = [("time", -1.0, "time must be >= 0, got -1.0"), ("random_state", "x", "'x' cannot be used to seed")]
OF_CLASSIFIER = [
    ("classes_", np.arange(5), "classes_ must have shape"),
    ("classes_", [0, 1, 2], "classes_ must be an array"),
    ("inverse_temperature_", NAN, "inverse_temperature_ must be finite, got nan"),
]
CASES = [
    *[(SelfDistilledKernelRidge, *each) for each in [*CHANGES, ("label_weight", NAN, "label_weight must be made of")]],
    *[(SelfDistilledKernelRidgeCV, *each) for each in [*CHANGES, *OF_SEARCH]],
    *[(GradientFlowRegressor, *each) for each in OF_FLOW],
    *[(SelfDistilledKernelClassifierCV, *each) for each in OF_CLASSIFIER],
]


@pytest.mark.parametrize(("estimator", "name", "value", "message"), CASES)
def test_edited_files_are_refused_with_what_is_wrong(estimator, name, value, message, tmp_path):
    model, _ = fitted(estimator)
    with pytest.raises(ValueError, match=re.escape(message)):
        load(changed(model, tmp_path, **{name: value}))


def test_sparse_points_whose_indices_point_outside_are_refused(tmp_path):
    model, X = fitted(SelfDistilledKernelRidge)
    points = scipy.sparse.csr_array(X)
    points.indices[-1] = 10**6
    with pytest.raises(ValueError, match="indices"):
        load(changed(model, tmp_path, X_fit_=points))


def test_models_whose_predictions_overflow_or_fail_are_refused(tmp_path):
    model, X = fitted(SelfDistilledKernelRidge, kernel="polynomial")
    with pytest.raises(ValueError, match="predictions must be made of finite real numbers"):
        load(changed(model, tmp_path, coef0=1e200))
    model, _ = fitted(SelfDistilledKernelRidge)
    with pytest.raises(ValueError, match="[Nn]egative"):
        load(changed(model, tmp_path, kernel="chi2", X_fit_=-np.abs(X)))


def test_what_would_be_refused_when_loaded_is_not_saved(tmp_path):
    model, _ = fitted(SelfDistilledKernelRidge)
    model.intercept_ = NAN
    with pytest.raises(ValueError, match="intercept_ must be made of finite real numbers, got nan"):
        save(model, tmp_path / "model.skops")
    assert not (tmp_path / "model.skops").exists()
