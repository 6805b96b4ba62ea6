"""Loss surfaces: the loss of networks on a plane of their parameters."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import numpy as np
from tqdm import tqdm

from kdtheory._validation import (
    require_nonnegative_integer,
    require_positive_integer,
    require_vector,
)
from kdtheory.nets import _training_data
from kdtheory.nets._mean_loss import MeanLoss, model_and_state
from kdtheory.nets._steps import has_convolution
from kdtheory.nets.losses import DistillationLoss
from kdtheory.nets.models import split

_AT_ONCE = 16
"""Networks whose losses are computed together."""

_COLLINEAR = 1e-5
"""Three networks span no plane where one is closer to the line through the others than this share of its distance."""

_MARGIN = 0.25
"""Share of the extent of three networks that a surface goes beyond them."""

_MOST_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane in the space of a network's parameters; made by `random_plane` and `plane_through`.

    Attributes
    ----------
    model : equinox module
        The network at the origin.
    state : pytree or None
        Its own, if it has one.
    origin : array of shape (p,)
        Its trainable parameters, one after another.
    directions : array of shape (2, p)
    points : array of shape (m, 2)
        Coordinates of the networks that the plane was made from, the origin first.
    """

    model: Any = field(repr=False)
    state: Any = field(repr=False)
    origin: np.ndarray = field(repr=False)
    directions: np.ndarray = field(repr=False)
    points: np.ndarray

    def at(self, x: float, y: float) -> np.ndarray:
        """Give the parameters at a place.

        Parameters
        ----------
        x, y : float

        Returns
        -------
        array of shape (p,)
        """
        return self.origin + x * self.directions[0] + y * self.directions[1]


@dataclass(frozen=True, eq=False)
class LossSurface:
    """The loss on a plane; made by `loss_surface`.

    Attributes
    ----------
    x : array of shape (m,)
    y : array of shape (l,)
    losses : array of shape (l, m)
    accuracies : array of shape (l, m) or None
        Shares of points whose top class is that of the targets; None for one output.
    agreements : array of shape (l, m) or None
        Shares of points whose top class is the teacher's, if there is one.
    points : array of shape (n, 2)
        Coordinates of the networks that the plane was made from.
    """

    x: np.ndarray
    y: np.ndarray
    losses: np.ndarray = field(repr=False)
    accuracies: np.ndarray | None = field(repr=False)
    agreements: np.ndarray | None = field(repr=False)
    points: np.ndarray


def random_plane(
    model: Any, seed: int, *, state: Any = None, normalise: Literal["filter", "layer"] = "filter"
) -> Plane:
    """Take a plane through a network in two random directions, of its own scale.

    Parameters
    ----------
    model : equinox module or Snapshot
    seed : int
    state : pytree, optional
        Of a network that has one.
    normalise : {"filter", "layer"}, default "filter"
        What of a direction is as long as the same of the network: every filter of a convolution and every row of a
        matrix, that is the weights of one unit; or every array of weights.

    Returns
    -------
    Plane

    Raises
    ------
    ValueError, TypeError
        For another `normalise`, and a model with nothing to train.

    Notes
    -----
    Directions are normal and almost orthogonal. Biases, and the scales and shifts of normalisation, all arrays with one
    number for a unit, stay as they are. A step of 1 changes weights by as much as their own length, so surfaces of
    networks of different scale can be compared. Source: Li, Xu, Taylor, Studer & Goldstein (2018), section 4, with
    their option "ignore biases and batch normalisation".

    Examples
    --------
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> plane = random_plane(MultilayerPerceptron(2, 3, width=4, key=jax.random.key(0)), 0)
    >>> rows = plane.directions[0][:8].reshape(4, 2)
    >>> bool(np.allclose(np.linalg.norm(rows, axis=1), np.linalg.norm(plane.origin[:8].reshape(4, 2), axis=1)))
    True
    """
    if normalise not in ("filter", "layer"):
        raise ValueError(f"normalise must be 'filter' or 'layer', got {normalise!r}")
    rng = np.random.default_rng(require_nonnegative_integer("seed", seed))
    model, state = model_and_state(model, state)
    arrays = _arrays(model)
    directions = [np.concatenate([_scaled(rng, each, normalise).ravel() for each in arrays]) for _ in range(2)]
    return Plane(model, state, _vector(arrays), np.stack(directions), np.zeros((1, 2)))


def plane_through(origin: Any, one: Any, other: Any, *, state: Any = None) -> Plane:
    """Take the plane through three networks of one architecture.

    Parameters
    ----------
    origin, one, other : equinox module or Snapshot
        Such as the teacher, a student before its training, and after it.
    state : pytree, optional
        Of the first network, if it has one and is no snapshot.

    Returns
    -------
    Plane
        Directions are orthonormal, so distances on it are those of parameters; the first one points from the origin to
        `one`.

    Raises
    ------
    ValueError
        For networks of different architecture, two that are equal, and three on one line.

    Notes
    -----
    With batch normalisation, the whole surface has the running statistics of the first network. Source: Stanton et al.
    (2021), figure 6(c); Garipov et al. (2018).

    Examples
    --------
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> networks = [MultilayerPerceptron(2, 3, width=4, key=jax.random.key(seed)) for seed in range(3)]
    >>> plane_through(*networks).points.shape
    (3, 2)
    """
    model, state = model_and_state(origin, state)
    arrays = _arrays(model)
    start = _vector(arrays)
    away = []
    for name, network in (("one", one), ("other", other)):
        others = _arrays(model_and_state(network, None)[0])
        shapes = [each.shape for each in arrays], [each.shape for each in others]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name} must have the architecture of origin, with arrays {shapes[0]}, got {shapes[1]}")
        away.append(_vector(others) - start)
    length = float(np.linalg.norm(away[0]))
    if length == 0.0:
        raise ValueError("one must have other parameters than origin, got the same")
    first = away[0] / length
    along = float(first @ away[1])
    rest = away[1] - along * first
    rest -= (first @ rest) * first
    height = float(np.linalg.norm(rest))
    if height <= _COLLINEAR * float(np.linalg.norm(away[1])):
        raise ValueError(
            f"origin, one and other must not lie on a line, got one at {length:.3g} and other at {along:.3g}"
        )
    points = np.array([[0.0, 0.0], [length, 0.0], [along, height]])
    return Plane(model, state, start, np.stack([first, rest / height]), points)


def loss_surface(
    plane: Plane,
    X: Any,
    y: Any,
    *,
    loss: DistillationLoss | None = None,
    teacher: Any = None,
    label_weight: float | None = None,
    across: Any = None,
    up: Any = None,
    batch_size: int | None = None,
    progress: bool = False,
) -> LossSurface:
    """Compute the mean loss over points on a grid of networks.

    Parameters
    ----------
    plane : Plane
    X, y, loss, teacher, label_weight
        As for `LossHessian`.
    across, up : array of shape (m,) and (l,), optional
        Coordinates along the first and the second direction. Default: 41 from -1 to 1; or, for a plane through three
        networks, over their extent and a quarter more on every side.
    batch_size : int, optional
        Points that are worked at once. Default: as many as memory for work allows.
    progress : bool, default False
        Show a bar on standard error.

    Returns
    -------
    LossSurface

    Raises
    ------
    ValueError, TypeError
        As for `LossHessian`; jumps in the network are no error here.
    FloatingPointError
        When a loss overflows; the place is named.

    Notes
    -----
    Source: Li, Xu, Taylor, Studer & Goldstein (2018), "Visualizing the loss landscape of neural nets".

    One function is compiled for 16 networks at a time; on a CPU convolutions take one by one. Dropout is off, and
    batch normalisation has the running statistics of the network at the origin.

    Examples
    --------
    >>> from kdtheory.nets import MultilayerPerceptron
    >>> plane = random_plane(MultilayerPerceptron(2, 3, width=4, key=jax.random.key(0)), 0)
    >>> surface = loss_surface(plane, [[0.0, 1.0], [1.0, 0.0]], [0, 2], across=[-1.0, 0.0, 1.0], up=[0.0, 0.5])
    >>> surface.losses.shape
    (2, 3)
    """
    mean_loss = MeanLoss.of(plane.model, X, y, loss=loss, teacher=teacher, label_weight=label_weight, state=plane.state)
    x, upward = (
        _default(plane, axis) if given is None else np.asarray(require_vector(name, given))
        for axis, (name, given) in enumerate((("across", across), ("up", up)))
    )
    alone = jax.default_backend() == "cpu" and has_convolution(mean_loss.model, mean_loss.points, mean_loss.state)
    together = 1 if alone else _AT_ONCE
    if batch_size is None:
        of_point = 2 * together * mean_loss.numbers_of_point() * mean_loss.dtype.itemsize
        size = max(1, min(len(mean_loss), _MOST_BYTES // of_point))
    else:
        size = require_positive_integer("batch_size", batch_size)
        if size > len(mean_loss):
            raise ValueError(f"batch_size must be <= {len(mean_loss)}, the number of points, got {size}")
    batches = mean_loss.batches(size)
    places = list(itertools.product(upward.tolist(), x.tolist()))
    found = np.empty((len(places), 3))
    for start in tqdm(range(0, len(places), together), disable=not progress, unit="block"):
        some = places[start : start + together]
        vectors = np.stack([plane.at(b, a) for a, b in some + some[-1:] * (together - len(some))])
        found[start : start + together] = mean_loss.values(batches, vectors)[: len(some)]
        for (a, b), value in zip(some, found[start : start + together, 0], strict=True):
            if not np.isfinite(value):
                raise FloatingPointError(f"the loss must be finite, got {value} at ({b}, {a}): take a smaller range")
    losses, right, same = np.moveaxis(found.reshape(len(upward), len(x), 3), 2, 0)
    return LossSurface(
        x,
        upward,
        losses,
        right if mean_loss.has_labels and mean_loss.n_outputs > 1 else None,
        same if mean_loss.has_teacher and mean_loss.n_outputs > 1 else None,
        plane.points,
    )


def _arrays(model: Any) -> list[np.ndarray]:
    _training_data.trained_dtype(model)
    return [np.asarray(leaf, dtype=np.float64) for leaf in jax.tree.leaves(split(model)[0])]


def _vector(arrays: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([each.ravel() for each in arrays])


def _scaled(rng: np.random.Generator, weights: np.ndarray, normalise: str) -> np.ndarray:
    """Random numbers as long as the weights, in every filter or as a whole; zeros for one number in each filter."""
    drawn = rng.standard_normal(weights.shape)
    if weights.ndim < 2 or weights.size == len(weights):
        return np.zeros(weights.shape)
    axes = tuple(range(1 if normalise == "filter" else 0, weights.ndim))
    lengths, wanted = (np.sqrt(np.sum(each**2, axis=axes, keepdims=True)) for each in (drawn, weights))
    return np.asarray(drawn * (wanted / lengths))


def _default(plane: Plane, axis: int) -> np.ndarray:
    if len(plane.points) == 1:
        return np.linspace(-1.0, 1.0, 41)
    low, high = float(plane.points[:, axis].min()), float(plane.points[:, axis].max())
    margin = _MARGIN * (high - low)
    return np.linspace(low - margin, high + margin, 41)
