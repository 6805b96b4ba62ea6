"""Networks and trainings in files: arrays and text, nothing that runs when it is read, never half written."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

_FORMAT = "kdtheory training 1"

PathLike = str | os.PathLike[str]
Tree = TypeVar("Tree")


def save_network(path: PathLike, model: Any, state: Any = None) -> None:
    """Write the arrays of a network.

    Parameters
    ----------
    path : str or path-like
        File, replaced at once when all is written.
    model : pytree
        A network.
    state : pytree, optional
        Its state, if it has one.

    Raises
    ------
    OSError
        For a folder that cannot be written to.
    TypeError
        For a model without arrays, such as a `Snapshot`, whose model and state are saved.

    See Also
    --------
    equinox.tree_serialise_leaves : the same without names and shapes of what is in the file.

    Examples
    --------
    >>> import jax
    >>> from kdtheory.nets import MultilayerPerceptron, load_network
    >>> model = MultilayerPerceptron(2, 2, width=3, key=jax.random.key(0))
    >>> save_network("network.safetensors", model)
    >>> again = load_network("network.safetensors", model)
    >>> bool((again.layers[0].weight == model.layers[0].weight).all())
    True
    """
    if not _arrays("model", model):
        raise TypeError(
            f"model must hold arrays, got {type(model).__name__}: of what `train` returns, save its model and its state"
        )
    write(path, {"model": model, "state": state}, {})


def load_network(path: PathLike, model: Tree, state: Any = None) -> Tree | tuple[Tree, Any]:
    """Read the arrays of a network into one of the same architecture.

    Parameters
    ----------
    path : str or path-like
        File that `save_network` or a training wrote.
    model : pytree
        A network of the architecture, with whatever weights.
    state : pytree, optional
        Its state, if it has one.

    Returns
    -------
    model, or model and state
        As they were saved.

    Raises
    ------
    FileNotFoundError
        For a missing file.
    ValueError
        For a file that is none of ours, cut short, or of another architecture: the message names the first array that
        does not fit.

    Examples
    --------
    >>> import jax, tempfile, pathlib
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> one, other = (MultilayerPerceptron(2, 2, width=3, key=jax.random.key(seed)) for seed in (0, 1))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_network(pathlib.Path(folder) / "one.safetensors", one)
    ...     again = load_network(pathlib.Path(folder) / "one.safetensors", other)
    >>> bool((again.layers[0].weight == one.layers[0].weight).all())
    True
    """
    trees = read(path, {"model": model, "state": state})
    return trees["model"] if state is None else (trees["model"], trees["state"])


def write(path: PathLike, trees: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write the arrays of named trees and a description, and only then replace the file."""
    arrays = {name: np.asarray(leaf, order="C") for tree, value in trees.items() for name, leaf in _arrays(tree, value)}
    with replacing(path) as unfinished, unfinished.open("wb") as file:
        file.write(save(arrays, metadata={"format": _FORMAT, "about": json.dumps(dict(about))}))
        file.flush()
        os.fsync(file.fileno())  # else a machine that stops could keep the new name and lose what it names


@contextlib.contextmanager
def replacing(path: PathLike) -> Iterator[Path]:
    """Give a path to write to, which replaces the file once that is done."""
    path = Path(path)
    unfinished = path.with_name(path.name + ".unfinished")
    try:
        yield unfinished
        unfinished.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise


def read(path: PathLike, trees: Mapping[str, Any], *, name: str = "path") -> dict[str, Any]:
    """Read named trees of the shapes of `trees`; errors call the argument `name`."""
    with _opened(path, name) as file:
        held = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    given = f"{name} must hold the architecture that is given, got {str(path)!r}"
    return {tree: _filled(given, tree, value, held) for tree, value in trees.items()}


def read_about(path: PathLike, *, name: str = "path") -> dict[str, Any]:
    """Read the description in a file."""
    with _opened(path, name) as file:
        about: dict[str, Any] = json.loads(file.metadata()["about"])
        return about


def held_arrays(path: PathLike, prefix: str) -> dict[str, np.ndarray]:
    """Arrays of a file whose names begin with the prefix, by the rest of their names."""
    with _opened(path, "path") as file:
        names = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118
        return {key.removeprefix(prefix): file.get_tensor(key) for key in names}


@contextlib.contextmanager
def _opened(path: PathLike, name: str) -> Iterator[Any]:
    if not Path(path).is_file():
        raise FileNotFoundError(f"{name} must be a file, got {str(path)!r}")
    try:
        with safe_open(path, framework="numpy") as file:
            found = (file.metadata() or {}).get("format")
            if found != _FORMAT:
                raise ValueError(f"{name} must be a file of a training, got {str(path)!r} of format {found!r}")
            yield file
    except SafetensorError as error:
        raise ValueError(f"{name} must be a whole file of a training, got {str(path)!r}: {error}") from error


def _arrays(tree: str, value: Any) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_flatten_with_path(value)[0]
    return [(tree + jax.tree_util.keystr(path), leaf) for path, leaf in leaves if _is_array(leaf)]


def _filled(given: str, tree: str, value: Any, held: Mapping[str, np.ndarray]) -> Any:
    expected = dict(_arrays(tree, value))
    for name, leaf in expected.items():
        if name not in held:
            raise ValueError(f"{given} without {name}")
        if held[name].shape != leaf.shape or held[name].dtype != leaf.dtype:
            raise ValueError(
                f"{given} with {name} of {held[name].dtype}{list(held[name].shape)} for {leaf.dtype}{list(leaf.shape)}"
            )
    for name in sorted(held):
        if _of_tree(name, tree) and name not in expected:
            raise ValueError(f"{given} with {name} too")
    leaves, structure = jax.tree_util.tree_flatten_with_path(value)
    return jax.tree.unflatten(
        structure,
        [jnp.asarray(held[tree + jax.tree_util.keystr(where)]) if _is_array(leaf) else leaf for where, leaf in leaves],
    )


def _of_tree(name: str, tree: str) -> bool:
    return name == tree or (name.startswith(tree) and name[len(tree)] in ".[<")


def _is_array(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)
