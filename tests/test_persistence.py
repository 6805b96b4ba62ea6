"""Saved estimators: the same after loading, in a fresh process too, and no code of any file is ever run."""

import json
import pickle
import subprocess
import sys
import zipfile

import numpy as np
import pytest
import scipy.sparse
import skops.io
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.model_selection import KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from kdtheory.estimators import (
    GradientFlowRegressor,
    SelfDistilledKernelClassifier,
    SelfDistilledKernelClassifierCV,
    SelfDistilledKernelRidge,
    SelfDistilledKernelRidgeCV,
    load,
    save,
)
from tests.test_estimators import CLASSIFIERS, EVERY, data, labelled

METHODS = ("predict", "decision_function", "predict_proba")


def fitted(estimator, **parameters):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    return estimator(**parameters).fit(X, y), X


def assert_equal(loaded, model, X):
    assert type(loaded) is type(model)
    assert str(loaded.get_params()) == str(model.get_params())
    for method in METHODS:
        if hasattr(model, method):
            loaded_values, values = getattr(loaded, method)(X), getattr(model, method)(X)
            if values.dtype.kind == "f":  # where arrays lie in memory decides how products are rounded
                np.testing.assert_allclose(loaded_values, values, rtol=1e-6, atol=1e-8)
            else:
                np.testing.assert_array_equal(loaded_values, values)


@pytest.mark.parametrize("estimator", EVERY)
def test_a_loaded_estimator_is_the_one_saved(estimator, tmp_path):
    model, X = fitted(estimator, gamma=2.0)
    save(model, tmp_path / "model.skops")
    loaded = load(str(tmp_path / "model.skops"))
    assert_equal(loaded, model, X)
    learned = {name for name in vars(model) if name.endswith("_") and name != "search_"}
    assert learned == {name for name in vars(loaded) if name.endswith("_")}
    if hasattr(model, "cv_results_"):
        assert loaded.cv_results_["params"] == model.cv_results_["params"]
        assert loaded.best_params_ == model.best_params_
        np.testing.assert_array_equal(loaded.loo_error_path_, model.loo_error_path_)


def test_sparse_precomputed_and_several_outputs_are_saved_too(tmp_path):
    X, y = data(n_outputs=2)
    models = [
        (SelfDistilledKernelRidgeCV(label_weight_per_target=True).fit(scipy.sparse.csr_array(X), y), X),
        (GradientFlowRegressor().fit(scipy.sparse.csc_matrix(X), y), X),
        (SelfDistilledKernelRidge(label_weight=np.array([[0.1, 0.2]])).fit(X, y), X),
        (SelfDistilledKernelRidge(kernel="precomputed").fit(rbf_kernel(X), y), rbf_kernel(X)),
        (GradientFlowRegressor(validation_fraction=0.2, random_state=np.random.RandomState(0)).fit(X, y), X),
        (SelfDistilledKernelRidgeCV(np.array([0.1, 1.0]), gammas=[0.1, 1.0], cv=4).fit(X, y), X),
    ]
    for model, points in models:
        save(model, tmp_path / "model.skops")
        loaded = load(tmp_path / "model.skops")
        np.testing.assert_allclose(loaded.predict(points), model.predict(points), rtol=1e-6, atol=1e-8)


def test_a_model_is_loaded_in_a_fresh_process(tmp_path):
    model, X = fitted(SelfDistilledKernelClassifierCV)
    save(model, tmp_path / "model.skops")
    code = (
        "import sys, numpy as np; from kdtheory.estimators import load\n"
        "np.save(sys.argv[3], load(sys.argv[1]).predict_proba(np.load(sys.argv[2])))"
    )
    np.save(tmp_path / "X.npy", X)
    arguments = [str(tmp_path / name) for name in ("model.skops", "X.npy", "P.npy")]
    subprocess.run([sys.executable, "-c", code, *arguments], check=True)
    np.testing.assert_allclose(np.load(tmp_path / "P.npy"), model.predict_proba(X), rtol=1e-6)


def test_only_fitted_estimators_of_this_package_are_saved(tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(NotFittedError):
        save(SelfDistilledKernelRidge(), path)
    with pytest.raises(TypeError, match="estimator must be one of .*, got Ridge"):
        save(Ridge().fit(*data()), path)

    class Derived(SelfDistilledKernelRidge):
        pass

    with pytest.raises(TypeError, match="estimator must be one of .*, got Derived"):
        save(Derived().fit(*data()), path)
    assert not path.exists()


def test_code_is_not_saved(tmp_path):
    path = tmp_path / "model.skops"
    with pytest.raises(ValueError, match="kernel must be a name for a model to be saved, got <function"):
        save(SelfDistilledKernelRidge(kernel=lambda a, b: float(a @ b)).fit(*data()), path)
    with pytest.raises(ValueError, match="cv must be made of numbers, names and arrays to be saved, got KFold"):
        save(SelfDistilledKernelRidgeCV(cv=KFold(4)).fit(*data()), path)
    with pytest.raises(ValueError, match="kernel_params must be made of numbers, names and arrays to be saved"):
        save(SelfDistilledKernelRidge(kernel_params={"f": print}).fit(*data()), path)
    assert not path.exists()


class Malicious:
    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


def edited(model, tmp_path, edit):
    """A saved model with another description."""
    path = tmp_path / "edited.skops"
    save(model, path)
    with zipfile.ZipFile(path) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(contents["schema.json"])
    edit(schema)
    contents["schema.json"] = json.dumps(schema).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return path


def test_a_renamed_pickle_is_refused_and_not_run(tmp_path):
    path, marker = tmp_path / "model.skops", tmp_path / "marker"
    path.write_bytes(pickle.dumps(Malicious(marker)))
    with pytest.raises(
        ValueError, match="model.skops must be .* got what is no zip archive at all .a pickle, perhaps.: BadZip"
    ):
        load(path)
    assert not marker.exists()
    pickle.loads(path.read_bytes()).close()
    assert marker.exists()


def attacks(marker):
    """Descriptions of objects that would write a file, as skops stores functions, partials, methods and types."""
    text = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
    arguments = [{**text, "content": json.dumps(each)} for each in (str(marker), "w")]
    node = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode", "content": arguments}
    empty = {"__class__": "dict", "__module__": "builtins", "__loader__": "DictNode", "content": {}}
    empty["key_types"] = {"__class__": "list", "__module__": "builtins", "__loader__": "ListNode", "content": []}
    function = {"__class__": "open", "__module__": "io", "__loader__": "FunctionNode"}
    partial = {"func": function, "args": node, "kwds": empty, "namespace": empty}
    return {
        "constructor": {**function, "__class__": "FileIO", "__loader__": "ConstructorFromReduceNode", "content": node},
        "function": function,
        "type": {**function, "__class__": "FileIO", "__loader__": "TypeNode"},
        "object": {**function, "__class__": "FileIO", "__loader__": "ObjectNode", "content": empty},
        "partial": {
            "__class__": "partial",
            "__module__": "functools",
            "__loader__": "PartialNode",
            "content": partial,
        },
        "operator": {
            "__class__": "call",
            "__module__": "operator",
            "__loader__": "OperatorFuncNode",
            "attrs": {**node, "content": [function, *arguments]},
        },
        "method": {
            "__class__": "str",
            "__module__": "builtins",
            "__loader__": "MethodNode",
            "content": {"obj": arguments[0], "func": "format"},
        },
        "array": {
            **function,
            "__class__": "FileIO",
            "__loader__": "NdArrayNode",
            "type": "numpy",
            "file": "schema.json",
        },
    }


@pytest.mark.parametrize("attack", sorted(attacks("")))
@pytest.mark.parametrize("where", ["parameter", "learned", "all"])
def test_objects_in_a_file_that_would_run_code_are_refused_and_not_run(attack, where, tmp_path):
    model, _ = fitted(SelfDistilledKernelRidge)
    marker = tmp_path / "marker"
    node = attacks(marker)[attack]

    def edit(schema):
        if where == "all":
            kept = {name: schema[name] for name in ("protocol", "_skops_version")}
            schema.clear()
            schema.update(node, **kept)
        else:
            schema["content"]["content"]["kernel" if where == "parameter" else "dual_coef_"] = node

    with pytest.raises(ValueError, match="edited.skops must be a file of kdtheory.estimators.save"):
        load(edited(model, tmp_path, edit))
    assert not marker.exists()


def test_other_estimators_and_other_contents_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    for other in (Ridge().fit(*data()), {"a": 1}, np.ones(3), [SelfDistilledKernelRidge()]):
        skops.io.dump(other, path)
        with pytest.raises(ValueError, match="it holds .*, and not one of"):
            load(path)
    skops.io.dump(SelfDistilledKernelClassifier(), path)
    with pytest.raises(ValueError, match="NotFittedError"):
        load(path)
    model, _ = fitted(SelfDistilledKernelRidge)
    model.predict = np.exp
    skops.io.dump(model, path)
    with pytest.raises(ValueError, match=r"it holds \['predict'\], which no"):
        load(path)
    changed = edited(fitted(SelfDistilledKernelRidge)[0], tmp_path, lambda schema: schema.update(__loader__="TypeNode"))
    with pytest.raises(ValueError, match="it holds .*, and not one of"):
        load(changed)


def test_files_that_are_cut_short_or_damaged_are_refused(tmp_path):
    model, _ = fitted(SelfDistilledKernelRidge)
    path = tmp_path / "model.skops"
    save(model, path)
    content = path.read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(
            ValueError, match="model.skops must be .*, got one that is cut short or damaged: BadZipFile"
        ):
            load(path)
    damaged = bytearray(content)
    damaged[len(content) // 3] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(ValueError, match="model.skops must be a file of kdtheory.estimators.save, got"):
        load(path)


def test_archives_of_others_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    for schema in (None, "", "[]", "{}", "null", '{"__class__": 1, "__module__": 2, "__loader__": 3}', "[" * 100_000):
        with zipfile.ZipFile(path, "w") as archive:
            if schema is None:
                archive.writestr("other.txt", "")
            else:
                archive.writestr("schema.json", schema)
        with pytest.raises(ValueError, match="model.skops must be a file of kdtheory.estimators.save, got"):
            load(path)
    np.savez(path.with_suffix(".npz"), a=np.ones(3))
    with pytest.raises(ValueError, match="must be a file of kdtheory.estimators.save, got"):
        load(path.with_suffix(".npz"))
    path.write_text("just text")
    with pytest.raises(ValueError, match="must be a file of .*, got what is no zip archive at all: BadZipFile"):
        load(path)


def test_a_missing_file_is_reported_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "nothing.skops")
    with pytest.raises(IsADirectoryError):
        load(tmp_path)


def test_a_flipped_byte_is_an_error_that_names_the_file_or_changes_nothing(tmp_path):
    model, X = fitted(SelfDistilledKernelRidge)
    path = tmp_path / "model.skops"
    save(model, path)
    content, expected = path.read_bytes(), model.predict(X)
    n_refused, n_errors = 0, 0
    for place in [*range(0, len(content) - 400, 97), *range(len(content) - 400, len(content))]:
        damaged = bytearray(content)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        try:
            np.testing.assert_allclose(load(path).predict(X), expected, rtol=1e-6, atol=1e-8)
        except ValueError as error:
            n_refused += "model.skops must be a file of kdtheory.estimators.save, got" in str(error)
            n_errors += 1
    assert n_refused == n_errors > 200


def changed(model, tmp_path, **attributes):
    """Write a fitted model whose attributes were set to something else, without the checks of `save`."""
    vars(model).update(attributes)
    skops.io.dump(model, tmp_path / "changed.skops")
    return tmp_path / "changed.skops"


NAN = float("nan")


@pytest.mark.parametrize("estimator", EVERY)
def test_pipelines_that_end_with_an_estimator_are_saved(estimator, tmp_path):
    X, y = labelled() if estimator in CLASSIFIERS else data()
    pipeline = make_pipeline(StandardScaler(), "passthrough", estimator()).fit(X, y)
    save(pipeline, tmp_path / "model.skops")
    loaded = load(tmp_path / "model.skops")
    assert [type(step) for _, step in loaded.steps] == [StandardScaler, str, estimator]
    np.testing.assert_array_equal(loaded.predict(X), pipeline.predict(X))


def pipeline_of(*steps, **parameters):
    return Pipeline([(f"step {n}", step) for n, step in enumerate(steps)], **parameters).fit(*data())


class Doubled(StandardScaler):
    pass


def test_pipelines_with_code_or_without_an_estimator_are_not_saved(tmp_path):
    path = tmp_path / "model.skops"
    for step in (FunctionTransformer(abs), Doubled()):
        with pytest.raises(ValueError, match="the step 'step 0' must be made of numbers, names and arrays"):
            save(pipeline_of(step, SelfDistilledKernelRidge()), path)
    with pytest.raises(TypeError, match="estimator must be one of .*, got Ridge"):
        save(pipeline_of(StandardScaler(), Ridge()), path)
    with pytest.raises(ValueError, match="kernel must be a name for a model to be saved"):
        save(pipeline_of(StandardScaler(), SelfDistilledKernelRidge(kernel=lambda a, b: float(a @ b))), path)
    with pytest.raises(ValueError, match="memory of the Pipeline must be None, got"):
        save(pipeline_of(SelfDistilledKernelRidge(), memory=str(tmp_path / "cache")), path)
    with pytest.raises(NotFittedError):
        save(make_pipeline(StandardScaler(), SelfDistilledKernelRidge()), path)
    assert not path.exists()


def test_files_of_pipelines_without_a_sound_estimator_at_the_end_are_refused(tmp_path):
    path = tmp_path / "model.skops"
    skops.io.dump(pipeline_of(StandardScaler(), Ridge()), path)
    with pytest.raises(ValueError, match="it holds Ridge, and not one of"):
        load(path)
    for attribute, message in (("predict", "which no Pipeline has"), ("memory", "memory of the Pipeline must be None")):
        with pytest.raises(ValueError, match=message):
            load(changed(pipeline_of(SelfDistilledKernelRidge()), tmp_path, **{attribute: "folder"}))
    pipeline = pipeline_of(StandardScaler(), SelfDistilledKernelRidge())
    pipeline[-1].intercept_ = NAN
    skops.io.dump(pipeline, path)
    with pytest.raises(ValueError, match="intercept_ must be made of finite real numbers, got nan"):
        load(path)


@pytest.mark.parametrize("attack", sorted(attacks("")))
@pytest.mark.parametrize("where", ["func", "step", "learned"])
def test_pipelines_that_would_run_code_are_refused_and_not_run(attack, where, tmp_path):
    marker = tmp_path / "marker"
    node = attacks(marker)[attack]

    def edit(schema):
        steps = schema["content"]["content"]["steps"]["content"]
        if where == "step":
            steps[0]["content"][1] = node
        else:
            number, name = (0, "func") if where == "func" else (1, "dual_coef_")
            steps[number]["content"][1]["content"]["content"][name] = node

    path = edited(pipeline_of(FunctionTransformer(), SelfDistilledKernelRidge()), tmp_path, edit)
    with pytest.raises(ValueError, match="edited.skops must be a file of kdtheory.estimators.save"):
        load(path)
    assert not marker.exists()
