"""The searches of the CV estimators: against refits of every candidate and fold, and against the core."""

import importlib.util
import re

import numpy as np
import pandas as pd
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import (
    GridSearchCV,
    KFold,
    LeaveOneOut,
    RepeatedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
    cross_val_predict,
)

from kdtheory import (
    FreeWeights,
    MonotoneWeights,
    Spectrum,
    UnitIntervalWeights,
    loo_predictions,
    search_selfdistillation,
)
from kdtheory.estimators import (
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
)
from tests.test_estimators import data, labelled

SEARCHES = [SelfDistilledKernelRidgeCV, SelfDistilledKernelClassifierCV]
RIDGES = np.geomspace(1e-2, 30.0, 7)
RULES = {"loo": FreeWeights(), "monotone": MonotoneWeights(), "unit-interval": UnitIntervalWeights()}
FOLDS = KFold(4, shuffle=True, random_state=0)


def wiggly(n=60, n_outputs=None, seed=7):
    """A kernel that is too narrow for noisy data, where distillation helps."""
    rng = np.random.default_rng(seed)
    X = np.linspace(0.0, 1.0, n)[:, None]
    signal = np.sin(15.0 * X[:, 0])
    noise = 0.3 * rng.standard_normal((n, n_outputs) if n_outputs else n)
    return X, (np.outer(signal, np.linspace(1.0, 2.0, n_outputs)) if n_outputs else signal) + noise


def points(estimator):
    return labelled() if estimator is SelfDistilledKernelClassifierCV else data()


@pytest.mark.parametrize("cv", [None, FOLDS, 5])
def test_errors_of_plain_kernel_ridge_are_those_of_a_grid_search(cv):
    X, y = data()
    model = SelfDistilledKernelRidgeCV(RIDGES, cv=cv, gamma=2.0, fit_intercept=False).fit(X, y)
    for ridge, error in zip(RIDGES, model.loo_error_path_[:, 0], strict=True):
        refitted = cross_val_predict(KernelRidge(alpha=ridge, kernel="rbf", gamma=2.0), X, y, cv=cv or LeaveOneOut())
        assert error == pytest.approx(np.mean((refitted - y) ** 2), rel=1e-8)


@pytest.mark.parametrize("n_outputs", [None, 2])
@pytest.mark.parametrize("cv", [None, FOLDS])
def test_the_error_of_the_chosen_model_is_that_of_refits_without_what_is_left_out(cv, n_outputs):
    X, y = wiggly(n_outputs=n_outputs)
    model = SelfDistilledKernelRidgeCV(RIDGES, cv=cv, gamma=1000.0, n_steps=4).fit(X, y)
    assert model.best_params_["n_steps"] > 1
    chosen = SelfDistilledKernelRidge(gamma=1000.0, **model.best_params_)
    refitted = cross_val_predict(chosen, X, y, cv=cv or LeaveOneOut())
    assert -model.best_score_ == pytest.approx(np.mean((refitted - y) ** 2), rel=1e-7)
    np.testing.assert_allclose(model.search_.held_out_predictions, refitted, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(model.predict(X + 0.01), chosen.fit(X, y).predict(X + 0.01), rtol=1e-8)


@pytest.mark.parametrize(("cv", "gammas"), [(None, [30.0, 100.0]), (None, [100.0, 30.0]), (FOLDS, [10.0, 300.0])])
def test_the_gain_is_a_paired_difference_to_the_best_plain_model_of_any_gamma(cv, gammas):
    X, y = wiggly()
    model = SelfDistilledKernelRidgeCV(RIDGES, label_weight="loo", cv=cv, gammas=gammas, n_steps=4).fit(X, y)
    plain = GridSearchCV(
        SelfDistilledKernelRidge(n_steps=1),
        {"ridge": RIDGES, "gamma": gammas},
        cv=cv or LeaveOneOut(),
        scoring="neg_mean_squared_error",
    ).fit(X, y)
    assert plain.best_params_["gamma"] != model.best_params_["gamma"]
    assert model.distillation_gain_ == pytest.approx(model.best_score_ - plain.best_score_, rel=1e-6)
    assert model.distillation_gain_ > 0.0
    refitted = [
        cross_val_predict(SelfDistilledKernelRidge(**each), X, y, cv=cv or LeaveOneOut())
        for each in ({"n_steps": 1, **plain.best_params_}, model.best_params_)
    ]
    differences = (refitted[0] - y) ** 2 - (refitted[1] - y) ** 2
    if cv is not None:
        differences = np.array([np.mean(differences[left_out]) for _, left_out in cv.split(X)])
    expected = np.std(differences, ddof=1) / np.sqrt(len(differences))
    assert model.distillation_gain_se_ == pytest.approx(expected, rel=1e-5)


def test_predictions_of_other_targets_cannot_be_compared():
    X, y = wiggly()
    search = SelfDistilledKernelRidgeCV(RIDGES, n_steps=2).fit(X, y).search_
    assert search.gain_over(search.held_out_predictions) == (0.0, 0.0)
    assert search.gain_over(search.plain_held_out_predictions) == pytest.approx(
        (search.gain, search.gain_standard_error)
    )
    with pytest.raises(ValueError, match=r"predictions must have the shape of y, \(60,\), got \(59,\)"):
        search.gain_over(y[1:])


def test_plain_kernel_ridge_is_chosen_where_distillation_does_not_help():
    model = SelfDistilledKernelRidgeCV(RIDGES, gamma=30.0, n_steps=4).fit(*wiggly())
    assert (model.best_params_["n_steps"], model.best_params_["label_weight"]) == (1, 0.0)
    assert (model.distillation_gain_, model.distillation_gain_se_) == (0.0, 0.0)
    assert model.best_score_ == pytest.approx(-np.min(model.loo_error_path_[:, 0]))


@pytest.mark.parametrize("label_weight", ["monotone", "loo", "unit-interval", 0.3, [0.0, 0.5, 1.5]])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_search_is_that_of_the_core(label_weight, weighted):
    X, y = wiggly()
    weights = np.random.default_rng(1).uniform(0.2, 2.0, len(y)) if weighted else None
    model = SelfDistilledKernelRidgeCV(RIDGES, label_weight=label_weight, gamma=100.0, n_steps=3).fit(X, y, weights)
    found = search_selfdistillation(
        Spectrum.from_gram(rbf_kernel(X, gamma=100.0), weights),
        y,
        ridges=RIDGES,
        n_steps=3,
        label_weights=RULES[label_weight] if isinstance(label_weight, str) else np.atleast_1d(label_weight),
        fit_intercept=True,
    )
    np.testing.assert_allclose(model.loo_error_path_, found.errors, rtol=1e-7)
    assert model.best_params_["ridge"] == found.best_ridge
    assert model.best_score_ == pytest.approx(-found.best_error)
    chosen = np.atleast_1d(model.best_params_["label_weight"])
    if label_weight == "unit-interval":
        assert np.all((chosen >= 0.0) & (chosen <= 1.0))
    if not isinstance(label_weight, str) and model.best_params_["n_steps"] > 1:
        assert set(chosen) <= set(np.atleast_1d(label_weight))


def test_outputs_can_have_label_weights_of_their_own():
    X, y = wiggly(n_outputs=2)
    shared, own = (
        SelfDistilledKernelRidgeCV(RIDGES, gamma=1000.0, n_steps=3, label_weight_per_target=each).fit(X, y)
        for each in (False, True)
    )
    assert np.all(own.loo_error_path_ <= shared.loo_error_path_ * (1.0 + 1e-9))
    assert own.best_params_["n_steps"] > 1
    assert np.shape(own.best_params_["label_weight"]) == (own.best_params_["n_steps"] - 1, 2)
    again = SelfDistilledKernelRidge(gamma=1000.0, **own.best_params_).fit(X, y)
    np.testing.assert_allclose(own.predict(X), again.predict(X), rtol=1e-8)
    alone = SelfDistilledKernelRidgeCV(RIDGES, gamma=1000.0, n_steps=3, label_weight_per_target=True).fit(X, y[:, 0])
    assert np.ndim(alone.best_params_["label_weight"]) <= 1


@pytest.mark.parametrize("gammas", [None, [0.5, 2.0]])
@pytest.mark.parametrize("estimator", SEARCHES)
def test_the_results_make_a_data_frame_with_one_row_for_each_candidate(estimator, gammas):
    X, y = points(estimator)
    model = estimator(RIDGES, gammas=gammas, n_steps=3).fit(X, y)
    frame = pd.DataFrame(model.cv_results_)
    assert len(frame) == len(RIDGES) * 3 * (2 if gammas else 1)
    assert set(model.best_params_) == {"ridge", "n_steps", "label_weight", *(["gamma"] if gammas else [])}
    row = frame.loc[model.best_index_]
    assert row.params == model.best_params_
    assert row.mean_test_score == pytest.approx(model.best_score_)
    for name, value in row.params.items():
        assert row[f"param_{name}"] == value
    assert np.all(frame.selection_score <= frame.mean_test_score + 1e-12)
    assert frame.loc[frame.rank_test_score == 1].selection_score.item() == frame.selection_score.max()
    in_order = frame if gammas is None else frame[frame.param_gamma == model.best_params_["gamma"]]
    np.testing.assert_allclose(-in_order.mean_test_score.to_numpy().reshape(-1, 3), model.loo_error_path_, rtol=1e-12)


def test_every_row_of_the_results_makes_the_model_that_it_scores():
    X, y = data()
    model = SelfDistilledKernelRidgeCV(RIDGES, gammas=[0.5, 2.0], n_steps=3).fit(X, y)
    for row, parameters in enumerate(model.cv_results_["params"]):
        label_weights = np.atleast_1d(parameters["label_weight"])[: parameters["n_steps"] - 1]
        held_out = loo_predictions(
            rbf_kernel(X, gamma=parameters["gamma"]),
            y,
            ridge=parameters["ridge"],
            n_steps=parameters["n_steps"],
            label_weight=label_weights,
            fit_intercept=True,
        )
        assert -model.cv_results_["mean_test_score"][row] == pytest.approx(np.mean((y - held_out[-1]) ** 2))


def test_the_chosen_gamma_is_the_one_that_predicts():
    X, y = data()
    model = SelfDistilledKernelRidgeCV(RIDGES, gammas=[1e-3, 2.0, 1e3], n_steps=2).fit(X, y)
    assert model.best_params_["gamma"] == 2.0
    alone = SelfDistilledKernelRidgeCV(RIDGES, gamma=2.0, n_steps=2).fit(X, y)
    np.testing.assert_array_equal(model.predict(X + 0.1), alone.predict(X + 0.1))
    assert SelfDistilledKernelRidge(**model.best_params_).fit(X, y).predict(X) == pytest.approx(model.predict(X))


def test_default_ridges_scale_with_the_centred_kernel():
    X, y = data()
    small, large = (SelfDistilledKernelRidgeCV(kernel="linear").fit(scale * X + 7.0, y) for scale in (1.0, 100.0))
    np.testing.assert_allclose(large.ridges_, 1e4 * small.ridges_, rtol=1e-9)
    np.testing.assert_allclose(small.ridges_[-1], 1e2 * np.mean(np.sum((X - X.mean(axis=0)) ** 2, axis=1)), rtol=1e-9)
    same = SelfDistilledKernelRidgeCV(n_steps=2).fit(np.full((6, 2), 0.1), y[:6])
    np.testing.assert_allclose(same.predict([[0.1, 0.1]]), np.mean(y[:6]))


@pytest.mark.parametrize("cv", [None, 4])
@pytest.mark.parametrize("n_classes", [2, 3])
def test_held_out_accuracy_is_that_of_refits(cv, n_classes):
    X, y = labelled(n_classes=n_classes)
    model = SelfDistilledKernelClassifierCV(RIDGES, gamma=3.0, n_steps=3, cv=cv).fit(X, y)
    chosen = SelfDistilledKernelClassifier(gamma=3.0, **model.best_params_)
    refitted = cross_val_predict(chosen, X, y, cv=LeaveOneOut() if cv is None else StratifiedKFold(cv))
    assert model.held_out_accuracy_ == pytest.approx(np.mean(refitted == y))


def test_the_search_is_not_pickled_with_its_matrices():
    X, y = data()
    model = SelfDistilledKernelRidgeCV().fit(X, y)
    assert "search_" not in model.__getstate__()
    assert model.search_.n_steps == 10


def test_verbose_shows_a_bar_and_asks_for_tqdm_when_it_is_missing(capsys, monkeypatch):
    X, y = data()
    model = SelfDistilledKernelRidgeCV(gammas=[0.5, 1.0, 2.0], verbose=True)
    model.fit(X, y)
    assert "3/3" in capsys.readouterr().err
    SelfDistilledKernelRidgeCV(gammas=[0.5, 1.0, 2.0]).fit(X, y)
    assert capsys.readouterr().err == ""
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else find_spec(name))
    with pytest.raises(
        ModuleNotFoundError, match=re.escape('verbose=True needs tqdm: pip install "kdtheory[estimators]"')
    ):
        model.fit(X, y)


@pytest.mark.parametrize("estimator", SEARCHES)
@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"ridges": []}, ValueError, "ridges must not be empty"),
        ({"ridges": [1.0, -1.0]}, ValueError, "ridges must be > 0, got -1.0"),
        ({"ridges": [[1.0]]}, ValueError, "ridges must be 1-dimensional, got shape (1, 1)"),
        ({"ridges": [np.nan]}, ValueError, "ridges must be finite"),
        ({"n_steps": 0}, ValueError, "n_steps must be >= 1, got 0"),
        ({"n_steps": "ten"}, TypeError, "n_steps must be an integer, got 'ten'"),
        (
            {"label_weight": "best"},
            ValueError,
            "label_weight must be one of ['loo', 'monotone', 'unit-interval'], or one or more numbers",
        ),
        ({"label_weight": []}, ValueError, "label_weight must not be empty"),
        ({"gammas": []}, ValueError, "gammas must not be empty"),
        ({"gammas": [-1.0]}, ValueError, "gammas must be >= 0, got -1.0"),
        ({"gammas": [1.0], "kernel": "linear"}, ValueError, "gammas must be None for a kernel without gamma"),
        ({"gammas": [1.0], "kernel": "precomputed"}, ValueError, "gammas must be None for a kernel without gamma"),
        ({"verbose": "yes"}, TypeError, "verbose must be True, False or an integer, got 'yes'"),
        ({"cv": 1}, ValueError, "k-fold cross-validation requires at least one train/test split"),
        ({"cv": 1000}, ValueError, "n_splits=1000"),
        ({"cv": ShuffleSplit(3, random_state=0)}, ValueError, "cv must leave out every point exactly once"),
        ({"cv": TimeSeriesSplit(3)}, ValueError, "cv must leave out every point exactly once"),
        ({"cv": RepeatedKFold(n_splits=3, random_state=0)}, ValueError, "cv must leave out every point exactly once"),
        ({"cv": [(np.arange(10, 60), np.arange(10))]}, ValueError, "cv must leave out every point exactly once"),
    ],
)
def test_bad_parameters_of_a_search_are_refused_by_name(estimator, parameters, error, message):
    X, y = points(estimator)
    X = np.abs(X)
    if parameters.get("kernel") == "precomputed":
        X = rbf_kernel(X)
    with pytest.raises(error, match=re.escape(message)):
        estimator(**parameters).fit(X, y)


def test_label_weights_for_each_target_are_switched_by_a_bool():
    X, y = data()
    with pytest.raises(TypeError, match="label_weight_per_target must be True or False, got 'yes'"):
        SelfDistilledKernelRidgeCV(label_weight_per_target="yes").fit(X, y)


def test_default_ridges_count_sample_weights_as_copies():
    X, y = wiggly()
    copies = np.arange(60) % 3
    weighted = SelfDistilledKernelRidgeCV(n_steps=1).fit(X, y, sample_weight=copies)
    repeated = SelfDistilledKernelRidgeCV(n_steps=1).fit(np.repeat(X, copies, axis=0), np.repeat(y, copies))
    np.testing.assert_allclose(weighted.ridges_, repeated.ridges_, rtol=1e-12)


def test_the_accuracy_on_held_out_points_has_their_weights():
    X, y = labelled()
    weight = np.random.default_rng(0).uniform(0.0, 3.0, len(y))
    model = SelfDistilledKernelClassifierCV(RIDGES, n_steps=2).fit(X, y, sample_weight=weight)
    predicted = model.classes_[np.argmax(model.search_.held_out_predictions, axis=1)]
    assert 0.0 < np.mean(predicted == y) < 1.0
    assert model.held_out_accuracy_ == pytest.approx(np.average(predicted == y, weights=weight))
    assert model.held_out_accuracy_ != pytest.approx(np.mean(predicted == y), rel=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.7, 1.0])
def test_points_that_are_all_the_same_get_the_plain_model(value):
    for seed in range(10):
        y = np.random.default_rng(seed).standard_normal(40)
        model = SelfDistilledKernelRidgeCV().fit(np.full((40, 3), value), y)
        assert model.best_params_["n_steps"] == 1
        np.testing.assert_allclose(model.predict([[value] * 3]), np.mean(y), atol=1e-9)
