"""The choice of a solver: by name, by size, refused where it cannot work, searched, cloned and saved."""

import json
import pickle
import re
import zipfile
from dataclasses import dataclass

import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from kdtheory.estimators import (
    Eigh,
    GradientFlowRegressor,
    Lanczos,
    Nystrom,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
    load,
    save,
    solvers,
)
from kdtheory.kernels import RBF, Linear, Matern
from tests.test_estimator_solvers import PLAIN, SHORT, points_of, scores
from tests.test_estimators import EVERY, data

AUTO = [
    (SelfDistilledKernelRidge(), Lanczos()),
    (SelfDistilledKernelClassifier(), Lanczos()),
    (GradientFlowRegressor(1.0), Lanczos()),
    (GradientFlowRegressor(times=[1.0]), Nystrom()),
    (SelfDistilledKernelRidgeCV([1.0]), Nystrom()),
    (SelfDistilledKernelClassifierCV([1.0]), Nystrom()),
    (SelfDistilledKernelRidge(kernel=Matern()), Lanczos()),
    (SelfDistilledKernelRidge(kernel="chi2"), Eigh()),
    (SelfDistilledKernelRidge(kernel="poly", degree=0), Eigh()),
    (SelfDistilledKernelRidge(kernel=lambda a, b: float(a @ b)), Eigh()),
]


@pytest.mark.parametrize(("model", "large"), AUTO)
def test_the_choice_depends_on_the_number_of_points_and_on_what_is_needed(monkeypatch, model, large):
    X, y = points_of(type(model))
    assert model.fit(X, y).solver_ == Eigh()
    monkeypatch.setattr(solvers, "_MOST_POINTS", 59)
    assert model.fit(X, y).solver_ == large
    monkeypatch.setattr(solvers, "_MOST_POINTS", 60)
    assert model.fit(X, y).solver_ == Eigh()
    monkeypatch.setattr(solvers, "machine_bytes", lambda: 8 * 8 * 60**2 - 1)
    assert model.fit(X, y).solver_ == large


def test_sparse_points_are_decomposed_whole(monkeypatch):
    monkeypatch.setattr(solvers, "_MOST_POINTS", 5)
    X, y = data()
    model = SelfDistilledKernelRidge().fit(scipy.sparse.csr_array(X), y)
    assert model.solver_ == Eigh()
    assert model.predict(scipy.sparse.csr_array(X)).shape == y.shape
    for parameters in ({"solver": "nystrom"}, {"solver": Lanczos()}, {"kernel": RBF()}):
        with pytest.raises(TypeError, match="[Ss]parse"):
            SelfDistilledKernelRidge(**parameters).fit(scipy.sparse.csr_array(X), y)
    model = SelfDistilledKernelRidge().fit(X, y)
    assert model.solver_ == Lanczos()
    with pytest.raises(TypeError, match="[Ss]parse"):
        model.predict(scipy.sparse.csr_array(X))


def test_verbose_says_what_was_chosen(capsys):
    X, y = data()
    SelfDistilledKernelRidgeCV([1.0], verbose=True).fit(X, y)
    assert "solver='auto': Eigh() for 40 points" in capsys.readouterr().out
    SelfDistilledKernelRidgeCV([1.0], verbose=True, solver="nystrom").fit(X, y)
    SelfDistilledKernelRidgeCV([1.0]).fit(X, y)
    assert capsys.readouterr().out == ""


def test_a_container_may_have_less_memory_than_the_machine(monkeypatch, tmp_path):
    machine = solvers.machine_bytes()
    first, second = tmp_path / "memory.max", tmp_path / "memory.limit_in_bytes"
    monkeypatch.setattr(solvers, "_LIMITS", (str(first), str(second)))
    first.write_text("max\n")
    assert solvers.machine_bytes() >= machine
    second.write_text(f"{2**29}\n")
    assert solvers.machine_bytes() == 2**29


def test_the_memory_of_the_machine_is_known_or_a_usual_one(monkeypatch):
    assert 2**28 < solvers.machine_bytes() < 2**50
    monkeypatch.setattr(solvers, "_LIMITS", ())
    monkeypatch.delattr(solvers.os, "sysconf")
    assert solvers.machine_bytes() == 2**33
    monkeypatch.setattr(solvers.os, "sysconf", lambda _: -1, raising=False)
    assert solvers.machine_bytes() == 2**33


BAD = [
    ("svd", ValueError, "solver must be one of ['auto', 'eigh', 'nystrom', 'lanczos'], or an Eigh, Nystrom or Lanczos"),
    (None, ValueError, "solver must be one of"),
    (Nystrom, ValueError, "solver must be one of"),
    (["eigh"], ValueError, "solver must be one of"),
]


@pytest.mark.parametrize(("solver", "error", "message"), BAD)
@pytest.mark.parametrize("estimator", EVERY)
def test_unknown_solvers_are_refused(estimator, solver, error, message):
    with pytest.raises(error, match=re.escape(message)):
        estimator(solver=solver).fit(*points_of(estimator))


BAD_PARAMETERS = [
    (Nystrom, {"n_components": 0}, ValueError, "n_components must be >= 1, got 0"),
    (Nystrom, {"n_components": 2.5}, TypeError, "n_components must be an integer, got 2.5"),
    (Nystrom, {"pivots": "first"}, ValueError, "pivots must be one of ('rpcholesky', 'uniform', 'kmeans++'), got"),
    (Nystrom, {"pivots": [1, 2]}, ValueError, "pivots must be one of ('rpcholesky', 'uniform', 'kmeans++'), got"),
    (Nystrom, {"random_state": -1}, ValueError, "random_state must be >= 0, got -1"),
    (Nystrom, {"random_state": None}, TypeError, "random_state must be an integer, got None"),
    (Nystrom, {"max_bytes": 0}, ValueError, "max_bytes must be >= 1, got 0"),
    (Lanczos, {"n_iterations": 0}, ValueError, "n_iterations must be >= 1, got 0"),
    (Lanczos, {"tolerance": 0.0}, ValueError, "tolerance must be > 0, got 0.0"),
    (Lanczos, {"tolerance": "small"}, TypeError, "tolerance must be a real number, got 'small'"),
]


@pytest.mark.parametrize(("solver", "parameters", "error", "message"), BAD_PARAMETERS)
def test_bad_parameters_of_solvers_are_refused_when_they_are_made(solver, parameters, error, message):
    with pytest.raises(error, match=re.escape(message)):
        solver(**parameters)


@pytest.mark.parametrize("solver", ["nystrom", Lanczos()])
@pytest.mark.parametrize(
    "parameters",
    [
        {"kernel": "sigmoid"},
        {"kernel": "chi2"},
        {"kernel": "additive_chi2"},
        {"kernel": lambda a, b: float(a @ b)},
        {"kernel": "poly", "degree": 1.5},
        {"kernel": "poly", "degree": 0},
    ],
)
def test_kernels_without_a_counterpart_need_the_whole_decomposition(solver, parameters):
    with pytest.raises(
        ValueError, match=r"kernel must be one of \['cosine', .*\], of an integer degree, or a Kernel of"
    ):
        SelfDistilledKernelRidge(solver=solver, **parameters).fit(*data())
    with pytest.raises(ValueError, match="kernel must be one of"):
        SelfDistilledKernelRidge(solver=solver, kernel="precomputed").fit(np.eye(3), np.ones(3))


@pytest.mark.parametrize(
    "estimator", [SelfDistilledKernelRidgeCV, SelfDistilledKernelClassifierCV, GradientFlowRegressor]
)
def test_lanczos_is_refused_where_held_out_errors_are_needed(estimator):
    with pytest.raises(ValueError, match="solver must be 'auto', 'eigh' or 'nystrom' for .*, got 'lanczos'"):
        estimator(solver="lanczos").fit(*points_of(estimator))


@pytest.mark.parametrize("solver", ["nystrom", "lanczos"])
@pytest.mark.parametrize("estimator", PLAIN)
def test_other_bad_input_is_refused_by_name(estimator, solver):
    X, y = points_of(estimator)
    model = estimator(**PLAIN[estimator], solver=solver)
    for parameters, error, message in [
        ({"gamma": 0.0}, ValueError, "gamma must be > 0, got 0.0"),
        ({"fit_intercept": "yes"}, TypeError, "fit_intercept must be True or False, got 'yes'"),
        ({"kernel": "rbff"}, ValueError, "or a Kernel of kdtheory.kernels, got 'rbff'"),
    ]:
        with pytest.raises(error, match=re.escape(message)):
            clone(model).set_params(**parameters).fit(X, y)
    for weights, message in [
        (-np.ones(60), "sample_weight must be >= 0"),
        (np.zeros(60), "sample_weight must hold at least one weight > 0"),
        (np.ones(59), "sample_weight must have shape (60,)"),
    ]:
        with pytest.raises(ValueError, match=re.escape(message)):
            clone(model).fit(X, y, weights)
    if hasattr(model, "ridge"):
        with pytest.raises(ValueError, match="ridge must be > 0, got 0"):
            clone(model).set_params(ridge=0).fit(X, y)
    with pytest.raises(ValueError, match="max_bytes must be >= "):
        clone(model).set_params(solver=Nystrom(max_bytes=10)).fit(X, y)


@pytest.mark.parametrize("estimator", EVERY)
def test_solvers_are_searched_cloned_pickled_and_shown(estimator):
    X, y = points_of(estimator)
    grid = {"solver": ["eigh", "nystrom", Nystrom(2), Nystrom(30, random_state=1)]}
    model = estimator(**SHORT[estimator], gamma=5.0)
    search = GridSearchCV(model, grid, cv=3).fit(X, y)
    assert np.argmin(search.cv_results_["mean_test_score"]) == 2
    assert search.best_score_ > 0.3
    model.set_params(solver=Nystrom(30)).fit(X, y)
    for other in (clone(model).fit(X, y), pickle.loads(pickle.dumps(model))):
        assert other.solver_ == model.solver_ == Nystrom(30)
        np.testing.assert_allclose(scores(other, X), scores(model, X), rtol=1e-9)
    assert " ".join(repr(estimator(solver=Nystrom(30), kernel=RBF(0.1))).split()) == (
        f"{estimator.__name__}(kernel=RBF(gamma=0.1), solver=Nystrom(n_components=30))"
    )


def test_solvers_are_values():
    assert repr([Eigh(), Nystrom(), Lanczos(), Nystrom(5, "uniform", 1, 10**6), Lanczos(7, 1e-3)]) == (
        "[Eigh(), Nystrom(), Lanczos(), Nystrom(n_components=5, pivots='uniform', random_state=1, max_bytes=1000000),"
        " Lanczos(n_iterations=7, tolerance=0.001)]"
    )
    assert Nystrom(5) == Nystrom(5) != Nystrom(6)
    assert len({Eigh(), Eigh(), Lanczos()}) == 2
    with pytest.raises(AttributeError):
        Nystrom().n_components = 3


@pytest.mark.parametrize("estimator", EVERY)
def test_models_of_every_solver_are_saved(estimator, tmp_path):
    X, y = points_of(estimator)
    parameters = {**SHORT[estimator], **({"cv": 4} if estimator is GradientFlowRegressor else {})}
    models = [
        estimator(**parameters, solver="nystrom"),
        estimator(**parameters, kernel="laplacian", gamma=2.0, solver=Nystrom(7, "uniform", 3, 10**9)),
        estimator(**parameters, kernel=Matern(2.5, length_scale=0.7), solver=Eigh()),
        *([estimator(**PLAIN[estimator], solver=Lanczos(200, 1e-9), kernel=RBF(3.0))] if estimator in PLAIN else []),
    ]
    for model in models:
        save(model.fit(X, y), tmp_path / "model.skops")
        loaded = load(tmp_path / "model.skops")
        assert str(loaded.get_params()) == str(model.get_params())
        assert loaded.solver_ == model.solver_
        assert loaded.kernel == model.kernel
        np.testing.assert_allclose(scores(loaded, X), scores(model, X), rtol=1e-6, atol=1e-8)
        np.testing.assert_array_equal(loaded.X_fit_, model.X_fit_)


def remade(value, **attributes):
    """Make a frozen object with other attributes, without the checks."""
    vars(value).update(attributes)
    return value


EDITS = [
    ({"solver": "svd"}, "solver must be one of"),
    ({"solver": remade(Nystrom(5), n_components=0)}, "n_components must be >= 1, got 0"),
    ({"solver": remade(Nystrom(5), color="red")}, "solver must have the attributes"),
    ({"solver_": remade(Lanczos(), tolerance=-1.0)}, "tolerance must be > 0, got -1.0"),
    ({"solver_": "nystrom"}, "solver_ must be an Eigh, Nystrom or Lanczos, got 'nystrom'"),
    ({"kernel": remade(RBF(1.0), gamma=-1.0)}, "gamma must be > 0, got -1.0"),
    ({"kernel": remade(Linear(), gamma=1.0)}, "kernel must have the attributes []"),
]


@pytest.mark.parametrize(("changes", "message"), EDITS)
def test_edited_solvers_and_kernels_are_refused(changes, message, tmp_path):
    X, y = data()
    model = SelfDistilledKernelRidge(solver=Nystrom(5)).fit(X - 3.0, y)
    vars(model).update(changes)
    skops.io.dump(model, tmp_path / "changed.skops")
    with pytest.raises(ValueError, match=re.escape(message)):
        load(tmp_path / "changed.skops")


@dataclass(frozen=True)
class Doubled(RBF):
    pass


def test_kernels_of_other_packages_are_not_saved(tmp_path):
    model = SelfDistilledKernelRidge(kernel=Doubled()).fit(*data())
    with pytest.raises(ValueError, match="kernel must be made of numbers, names and arrays to be saved, got Doubled"):
        save(model, tmp_path / "model.skops")


def test_solvers_with_code_in_them_are_refused(tmp_path):
    save(SelfDistilledKernelRidge(solver=Nystrom(5)).fit(*data()), tmp_path / "model.skops")
    with zipfile.ZipFile(tmp_path / "model.skops") as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    schema["content"]["content"]["solver"]["__class__"] = "Popen"
    schema["content"]["content"]["solver"]["__module__"] = "subprocess"
    contents["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(tmp_path / "model.skops", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    with pytest.raises(ValueError, match="model.skops must be a file of kdtheory.estimators.save"):
        load(tmp_path / "model.skops")
