"""Public data sets: what is read from files, what is fetched, and what is refused."""

import hashlib
import json
import subprocess
import sys
from http.client import IncompleteRead
from urllib.error import URLError

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.utils import Bunch

from kdtheory import datasets

IMAGES = {
    "mnist": (datasets.load_mnist, (28, 28)),
    "fashion_mnist": (datasets.load_fashion_mnist, (28, 28)),
    "cifar10": (datasets.load_cifar10, (32, 32, 3)),
}
TABLES = {
    "uci_airfoil": (datasets.load_airfoil, (1503, 5)),
    "uci_concrete": (datasets.load_concrete, (1030, 8)),
    "uci_yacht": (datasets.load_yacht, (308, 6)),
}
LOADERS = {name: loader for name, (loader, _) in (IMAGES | TABLES).items()}
ON_OPENML = {
    "mnist": {"name": "mnist_784", "version": 1},
    "fashion_mnist": {"name": "Fashion-MNIST", "version": 1},
    "cifar10": {"name": "CIFAR_10", "version": 1},
    "uci_airfoil": {"data_id": 44957},
    "uci_concrete": {"data_id": 44959},
    "uci_yacht": {"name": "yacht_hydrodynamics", "version": 1},
}


def store(folder, name, monkeypatch, **arrays):
    """Write a file, and make its checksum the one that is asked for."""
    path = folder / f"{name}.npz"
    np.savez_compressed(path, **arrays)
    monkeypatch.setitem(datasets.SHA256, name, hashlib.sha256(path.read_bytes()).hexdigest())
    return path


def images(rng, shape, n_train=5, n_test=3):
    return {
        "x_train": rng.integers(0, 256, (n_train, *shape)).astype(np.uint8),
        "y_train": rng.integers(0, 10, n_train).astype(np.uint8),
        "x_test": rng.integers(0, 256, (n_test, *shape)).astype(np.uint8),
        "y_test": rng.integers(0, 10, n_test).astype(np.uint8),
    }


@pytest.fixture
def no_network(monkeypatch):
    def refuse(**_):
        raise AssertionError("tests fetch nothing")

    monkeypatch.setattr(datasets, "fetch_openml", refuse)


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.usefixtures("no_network")
def test_images_are_read_from_a_folder_as_they_are(name, tmp_path, monkeypatch):
    loader, shape = IMAGES[name]
    stored = images(np.random.default_rng(0), shape)
    store(tmp_path, name, monkeypatch, **stored, of_no_interest=np.zeros(2))
    for folder in (tmp_path, str(tmp_path)):
        found = loader(folder)
        assert sorted(found) == sorted(stored)
        for array in stored:
            np.testing.assert_array_equal(found[array], stored[array])
            assert found[array].dtype == np.uint8


@pytest.mark.parametrize("name", TABLES)
@pytest.mark.usefixtures("no_network")
def test_tables_are_read_from_a_folder_as_they_are(name, tmp_path, monkeypatch):
    X, y = np.random.default_rng(0).standard_normal((4, 2)), np.arange(4.0)
    store(tmp_path, name, monkeypatch, X=X, y=y, feature_names=np.array(["one", "two"]), target_name=np.array(["t"]))
    found = TABLES[name][0](tmp_path)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.y, y)
    assert found.feature_names == ["one", "two"]


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.usefixtures("no_network")
def test_files_that_are_missing_or_changed_or_lack_an_array_are_refused(name, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match=f"folder must hold {name}.npz, got '{tmp_path}'"):
        LOADERS[name](tmp_path)
    stored = {"x_train": np.zeros(1), "y_train": np.zeros(1), "x_test": np.zeros(1), "X": np.zeros(1), "y": np.zeros(1)}
    path = store(tmp_path, name, monkeypatch, **stored)
    lacking = "y_test" if name in IMAGES else "feature_names"
    with pytest.raises(ValueError, match=rf"{name}\.npz must hold the arrays .*, got none called {lacking}$"):
        LOADERS[name](tmp_path)
    path.write_bytes(path.read_bytes() + b"\0")
    changed = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(ValueError, match="is damaged, or another edition of the data") as info:
        LOADERS[name](tmp_path)
    assert f"must have the sha256 {datasets.SHA256[name]}, got {changed}" in str(info.value)
    assert f"{LOADERS[name].__name__}() without a folder fetches" in str(info.value)


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.usefixtures("no_network")
def test_files_and_folders_that_are_not_there_and_what_is_no_path_are_told_apart(name, tmp_path):
    (tmp_path / f"{name}.npz").touch()
    with pytest.raises(NotADirectoryError, match=f"must be the folder that holds {name}.npz, got the file '{tmp_path}"):
        LOADERS[name](tmp_path / f"{name}.npz")
    with pytest.raises(FileNotFoundError, match=f"folder must exist, got '{tmp_path}/none', which does not"):
        LOADERS[name](tmp_path / "none")
    for wrong in (3, b"folder", ["folder"]):
        with pytest.raises(TypeError, match="folder must be a path, got"):
            LOADERS[name](wrong)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    store(tmp_path, "mnist", monkeypatch, **images(np.random.default_rng(0), (28, 28)))
    assert datasets.load_mnist("~").x_train.shape == (5, 28, 28)


@pytest.mark.usefixtures("no_network")
def test_pickled_objects_are_not_loaded(tmp_path, monkeypatch):
    names = np.array([{"not": "text"}], dtype=object)
    store(tmp_path, "uci_yacht", monkeypatch, X=np.zeros((1, 1)), y=np.zeros(1), feature_names=names)
    with pytest.raises(ValueError, match="allow_pickle=False"):
        datasets.load_yacht(tmp_path)


@pytest.mark.parametrize("name", IMAGES)
def test_images_of_openml_are_split_and_shaped_as_those_of_the_files(name, monkeypatch):
    loader, shape = IMAGES[name]
    n_images = 60_000 if name == "cifar10" else 70_000
    planes = (3, 32, 32) if name == "cifar10" else shape  # OpenML has the colours one after the other
    data = np.broadcast_to((np.arange(np.prod(planes)) % 251).astype(np.uint8), (n_images, np.prod(planes)))
    target = np.array([str(number % 10) for number in range(n_images)], dtype=object)
    asked = {}
    monkeypatch.setattr(
        datasets, "fetch_openml", lambda **openml: asked.update(openml) or Bunch(data=data, target=target)
    )
    found = loader()
    assert asked == {**ON_OPENML[name], "as_frame": False, "cache": True}
    assert found.x_train.shape == (n_images - 10_000, *shape)
    assert found.x_test.shape == (10_000, *shape)
    assert found.x_train.dtype == found.y_train.dtype == np.uint8
    np.testing.assert_array_equal(found.y_train[:12], [*range(10), 0, 1])
    np.testing.assert_array_equal(found.y_test[:12], [*range(10), 0, 1])
    expected = data[0].reshape(planes)
    for row, column in ((0, 0), (3, 17), (27, 27)):
        pixel = expected[:, row, column] if name == "cifar10" else expected[row, column]
        np.testing.assert_array_equal(found.x_test[-1, row, column], pixel)


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_openml_have_the_form_of_those_of_the_files(name, monkeypatch):
    loader, shape = TABLES[name]
    rng = np.random.default_rng(1)
    sent = Bunch(
        data=rng.standard_normal(shape),
        target=rng.standard_normal(shape[0]),
        feature_names=[*map(str, range(shape[1]))],
    )
    asked = {}
    monkeypatch.setattr(datasets, "fetch_openml", lambda **openml: asked.update(openml) or sent)
    found = loader()
    assert asked == {**ON_OPENML[name], "as_frame": False, "cache": True}
    np.testing.assert_array_equal(found.X, sent.data)
    np.testing.assert_array_equal(found.y, sent.target)
    assert found.feature_names == sent.feature_names


@pytest.mark.parametrize("name", LOADERS)
@pytest.mark.parametrize(
    "failure",
    [URLError("no route to host"), TimeoutError("timed out"), IncompleteRead(b""), json.JSONDecodeError("odd", "", 0)],
    ids=lambda failure: type(failure).__name__,
)
def test_without_a_network_the_error_tells_to_give_a_folder(name, failure, monkeypatch):
    def fail(**_):
        raise failure

    monkeypatch.setattr(datasets, "fetch_openml", fail)
    with pytest.raises(ConnectionError, match=f"{name} could not be .*: pass the folder that holds {name}.npz") as info:
        LOADERS[name]()
    assert info.value.__cause__ is failure


@pytest.mark.parametrize("name", LOADERS)
def test_sets_of_another_shape_are_refused(name, monkeypatch):
    sent = Bunch(data=np.zeros((7, 2)), target=np.zeros(7), feature_names=["a", "b"])
    monkeypatch.setattr(datasets, "fetch_openml", lambda **_: sent)
    with pytest.raises(ValueError, match=rf"{name} of OpenML must have the shapes .*, got \(7, 2\) and \(7,\)"):
        LOADERS[name]()


def test_importing_needs_no_network():
    code = "import socket; socket.getaddrinfo = socket.create_connection = None; import kdtheory.datasets"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_pairs_of_digits_are_numbers_from_images_that_are_in_one_part_only():
    pairs = datasets.load_digit_pairs(n_train=300, n_validation=200, n_test=400, random_state=3)
    known, digits = load_digits(return_X_y=True)
    digit_of = {image.tobytes(): digit for image, digit in zip(known, digits, strict=True)}
    seen = {}
    for part, size in (("train", 300), ("validation", 200), ("test", 400)):
        x, y = pairs[f"x_{part}"], pairs[f"y_{part}"]
        assert x.shape == (size, 128)
        halves = [[np.ascontiguousarray(half).tobytes() for half in (row[:64], row[64:])] for row in x]
        np.testing.assert_array_equal([10 * digit_of[left] + digit_of[right] for left, right in halves], y)
        seen[part] = {half for pair in halves for half in pair}
    assert len(set.union(*seen.values())) == sum(map(len, seen.values()))
    again = datasets.load_digit_pairs(n_train=300, n_validation=200, n_test=400, random_state=3)
    np.testing.assert_array_equal(again.x_train, pairs.x_train)
    assert np.any(
        datasets.load_digit_pairs(n_train=300, n_validation=200, n_test=400, random_state=4).x_train != pairs.x_train
    )


def test_numbers_of_pairs_must_be_positive():
    with pytest.raises(ValueError, match="n_validation must be >= 1, got 0"):
        datasets.load_digit_pairs(n_validation=0)
    with pytest.raises(TypeError, match="n_test must be an integer, got 2.5"):
        datasets.load_digit_pairs(n_test=2.5)
