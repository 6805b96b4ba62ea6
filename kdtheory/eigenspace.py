"""Weights of networks along the eigendirections of data: how far each has come, and whether a student lags behind.

Arrays of numpy in and out, so that weights of any library will do. Source: Nagarajan et al. (2023), appendix D.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from kdtheory._validation import (
    require_array,
    require_generator,
    require_labels,
    require_ndim,
    require_nonnegative_integer,
    require_positive_integer,
)

__all__ = [
    "DataDirections",
    "accuracies_by_directions",
    "data_directions",
    "exaggerations",
    "filters_as_matrix",
    "image_patches",
]

_LEVELS = 201


@dataclass(frozen=True)
class DataDirections:
    """Eigendirections of the second moments of data; made by `data_directions`.

    Attributes
    ----------
    eigenvalues : array of shape (r,)
        Of `XᵀX/n`, descending, without those within rounding of zero.
    vectors : array of shape (p, r)
        In columns, orthonormal.
    """

    eigenvalues: np.ndarray
    vectors: np.ndarray

    def components(self, weights: Any) -> np.ndarray:
        """Lengths of weights along every direction.

        Parameters
        ----------
        weights : array of shape (..., p, h)
            Matrices that data are multiplied with, `x @ W`; leading axes are moments of a training, for example.

        Returns
        -------
        array of shape (..., r)
            `‖Wᵀ v_k‖₂`.

        Raises
        ------
        ValueError
            For weights of another p.
        """
        W = self._weights(weights)
        return np.sqrt(np.sum(np.square(np.swapaxes(W, -1, -2) @ self.vectors), axis=-2))

    def keep_top(self, weights: Any, n_kept: int) -> np.ndarray:
        """Weights without what is along the directions behind the first ones.

        Parameters
        ----------
        weights : array of shape (..., p, h)
        n_kept : int
            Directions to keep, from 0 to r.

        Returns
        -------
        array of the shape of weights
            `V_k V_kᵀ W`.

        Raises
        ------
        ValueError, TypeError
            For weights of another p, and more than r directions.
        """
        W, n_kept = self._weights(weights), require_nonnegative_integer("n_kept", n_kept)
        if n_kept > len(self.eigenvalues):
            raise ValueError(f"n_kept must be <= {len(self.eigenvalues)}, the number of directions, got {n_kept}")
        top = self.vectors[:, :n_kept]
        return np.asarray(top @ (top.T @ W))

    def _weights(self, weights: Any) -> np.ndarray:
        W = np.asarray(require_array("weights", weights), dtype=float)
        if W.ndim < 2 or W.shape[-2] != len(self.vectors):
            raise ValueError(f"weights must have shape (..., {len(self.vectors)}, h), got {W.shape}")
        return W


def data_directions(features: Any) -> DataDirections:
    """Eigendirections of data, from the largest eigenvalue down.

    Parameters
    ----------
    features : array of shape (n, p)
        What a layer's weights are multiplied with: pixels, random features, `image_patches`, or a hidden
        representation. They are not centred, as in the theory.

    Returns
    -------
    DataDirections

    Raises
    ------
    ValueError
        For features that are not finite or all zero.

    See Also
    --------
    sklearn.decomposition.PCA : of centred data.

    Notes
    -----
    Source: Nagarajan et al. (2023), appendix D.

    Cost: `n·p·min(n, p)`, by a singular value decomposition, which does not square the condition of the data.

    Examples
    --------
    >>> found = data_directions([[3.0, 0.0], [0.0, 1.0], [-3.0, 0.0]])
    >>> found.eigenvalues
    array([6.        , 0.33333333])
    >>> found.components([[2.0, 0.0], [0.0, 5.0]])
    array([2., 5.])
    """
    X = np.asarray(require_array("features", features), dtype=float)
    require_ndim("features", X, 2)
    largest = float(np.max(np.abs(X)))
    if largest == 0.0:
        raise ValueError("features must not all be zero")
    singular, rows = np.linalg.svd(X / largest, full_matrices=False)[1:]
    rank = int(np.count_nonzero(singular > max(X.shape) * np.finfo(float).eps * singular[0]))
    scale = largest / np.sqrt(len(X))
    return DataDirections((scale * singular[:rank]) ** 2, rows[:rank].T.copy())


def image_patches(images: Any, size: int, n_patches: int, *, random_state: Any = None) -> np.ndarray:
    """Random patches of images, as a convolution meets them.

    Parameters
    ----------
    images : array of shape (n, h, w) or (n, h, w, c)
    size : int
        Height and width of a patch.
    n_patches : int
        Drawn with replacement, uniformly over images and places inside them.
    random_state : int, Generator or None

    Returns
    -------
    array of shape (n_patches, size·size·c)
        The order of entries is that of `filters_as_matrix`.

    Raises
    ------
    ValueError, TypeError
        For images of another shape, and patches that are larger than they.

    Examples
    --------
    >>> image_patches(np.arange(4.0).reshape(1, 2, 2), 2, 1, random_state=0)
    array([[0., 1., 2., 3.]])
    """
    X = np.asarray(require_array("images", images))
    require_ndim("images", X, 3, 4)
    size, n_patches = require_positive_integer("size", size), require_positive_integer("n_patches", n_patches)
    if size > min(X.shape[1:3]):
        raise ValueError(f"size must be <= {min(X.shape[1:3])}, as high and wide as the images, got {size}")
    rng = require_generator("random_state", random_state)
    which = rng.integers(0, len(X), n_patches)
    top, left = (rng.integers(0, extent - size + 1, n_patches) for extent in X.shape[1:3])
    windows = np.lib.stride_tricks.sliding_window_view(X, (size, size), axis=(1, 2))
    patches = windows[which, top, left]
    if X.ndim == 4:
        patches = np.moveaxis(patches, 1, -1)
    return np.ascontiguousarray(patches).reshape(n_patches, -1)


def filters_as_matrix(filters: Any) -> np.ndarray:
    """Lay out the filters of a convolution as the matrix that patches are multiplied with.

    Parameters
    ----------
    filters : array of shape (..., outputs, channels, height, width)
        As equinox and PyTorch have them; leading axes are moments of a training, for example.

    Returns
    -------
    array of shape (..., height·width·channels, outputs)

    Raises
    ------
    ValueError
        For fewer than four axes.

    Examples
    --------
    >>> filters_as_matrix(np.ones((5, 3, 2, 2))).shape
    (12, 5)
    """
    W = np.asarray(require_array("filters", filters))
    if W.ndim < 4:
        raise ValueError(f"filters must have shape (..., outputs, channels, height, width), got {W.shape}")
    moved = np.moveaxis(W, (-4, -3), (-1, -2))  # (..., height, width, channels, outputs)
    return moved.reshape(*W.shape[:-4], -1, W.shape[-4])


def exaggerations(teacher: Any, student: Any, pairs: Any) -> np.ndarray:
    """How much more a student is biased towards the higher one of two directions than its teacher, for many pairs.

    Where both have come equally far along the higher direction, how much less far the student has come along the lower
    one: the mean over all points of the way that both went.

    Parameters
    ----------
    teacher : array of shape (m, r)
        Components along r directions at m moments of the training, from its first to its last.
    student : array of shape (l, r)
        The same of the student, which starts where the teacher started.
    pairs : array of shape (q, 2) of int
        Indices of a higher and a lower direction each.

    Returns
    -------
    array of shape (q,)
        In units of the teacher's whole way along the lower direction. Positive: the student's curve is the more convex
        one, it turns more sharply; 0: there is no difference; negative: the teacher's is.

    Raises
    ------
    ValueError, TypeError
        For components of other shapes, pairs out of range, a student that starts elsewhere, a direction along which the
        teacher ends where it started, and a student that makes no way along the higher one.

    See Also
    --------
    kdtheory.exaggeration_ratios : the theorem's ratio for two eigenvalues.

    Notes
    -----
    With progress `(c(t) − c(0))/(c(T) − c(0))`, in the teacher's units for both, and the first moment at which a curve
    reaches a level of progress along the higher direction, between moments by straight lines. Theorem 4.1 says that it
    is positive for gradient flow on the squared loss, whatever the pair; for networks it is a finding, see "in all but
    one case" in appendix D.2. Source: Nagarajan et al. (2023), D.3, which judges curves by eye.

    Examples
    --------
    >>> teacher = np.array([[0.0, 0.0], [0.5, 0.4], [1.0, 1.0]])
    >>> student = np.array([[0.0, 0.0], [0.5, 0.2], [1.0, 0.8]])
    >>> exaggerations(teacher, student, [[0, 1]]).round(3)
    array([0.15])
    """
    curves = []
    for name, value in (("teacher", teacher), ("student", student)):
        curve = np.asarray(require_array(name, value), dtype=float)
        require_ndim(name, curve, 2)
        if len(curve) < 2:
            raise ValueError(f"{name} must have two moments or more, got {len(curve)}")
        curves.append(curve)
    ours, theirs = curves
    n_directions = ours.shape[1]
    if theirs.shape[1] != n_directions:
        raise ValueError(f"student must have {n_directions} directions, as the teacher, got {theirs.shape[1]}")
    indices = np.asarray(pairs)
    if indices.ndim != 2 or indices.shape[1] != 2 or not np.issubdtype(indices.dtype, np.integer):
        raise ValueError(f"pairs must be integers of shape (q, 2), got {indices.dtype} of shape {indices.shape}")
    if indices.size and not (indices.min() >= 0 and indices.max() < n_directions):
        raise ValueError(f"pairs must hold indices from 0 to {n_directions - 1}, got {indices.tolist()}")
    start, way = ours[0], ours[-1] - ours[0]
    extent = np.max(np.abs(ours), axis=0)
    for index in np.unique(indices):
        if abs(way[index]) <= 1e-12 * extent[index]:
            raise ValueError(f"teacher must end elsewhere than it starts, got no way along direction {index}")
        if abs(theirs[0, index] - start[index]) > 1e-5 * abs(way[index]):
            raise ValueError(f"student must start where the teacher starts, got {theirs[0, index]} along {index}")
    return np.array([_exaggeration(ours, theirs, start, way, higher, lower) for higher, lower in indices])


def _exaggeration(
    teacher: np.ndarray, student: np.ndarray, start: np.ndarray, way: np.ndarray, higher: int, lower: int
) -> float:
    taught, learnt = (
        ((curve[:, [higher, lower]] - start[[higher, lower]]) / way[[higher, lower]]) for curve in (teacher, student)
    )
    end = min(float(np.max(learnt[:, 0])), 1.0)
    if end <= 0.0:
        raise ValueError(f"student must make some way along direction {higher}, got none")
    levels = np.linspace(0.0, end, _LEVELS)
    difference = _at_levels(taught, levels) - _at_levels(learnt, levels)
    return float(np.trapezoid(difference, levels) / end)


def _at_levels(curve: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Second coordinate where the first one reaches each level for the first time."""
    reached = np.maximum.accumulate(curve[:, 0])
    after = np.minimum(np.searchsorted(reached, levels, side="left"), len(curve) - 1)
    before = np.maximum(after - 1, 0)
    step = curve[after, 0] - curve[before, 0]
    share = np.divide(levels - curve[before, 0], step, out=np.zeros_like(levels), where=step > 0.0)
    return np.asarray(curve[before, 1] + np.clip(share, 0.0, 1.0) * (curve[after, 1] - curve[before, 1]))


def accuracies_by_directions(
    features: Any, labels: Any, weights: Any, directions: DataDirections, n_kept: Any
) -> np.ndarray:
    """Accuracy of a linear model when weights are kept along the top directions only.

    Parameters
    ----------
    features : array of shape (n, p)
    labels : array of shape (n,) of int
        From 0 to h - 1.
    weights : array of shape (p, h)
    directions : DataDirections
    n_kept : sequence of int
        Numbers of directions to keep.

    Returns
    -------
    array of shape (len(n_kept),)

    Raises
    ------
    ValueError, TypeError
        For other shapes, labels out of range, and more directions than there are.

    Notes
    -----
    Source: Nagarajan et al. (2023), Figure 17: mislabelled points need the bottom directions, clean ones do not.

    Examples
    --------
    >>> X = np.array([[2.0, 0.0], [-2.0, 0.1]])
    >>> accuracies_by_directions(X, [0, 1], np.array([[1.0, -1.0], [0.0, 0.0]]), data_directions(X), [0, 1])
    array([0.5, 1. ])
    """
    X, W = (
        np.asarray(require_array(name, each), dtype=float)
        for name, each in (("features", features), ("weights", weights))
    )
    require_ndim("features", X, 2)
    require_ndim("weights", W, 2)
    wanted = require_labels("labels", labels, len(X), W.shape[1])
    return np.array([np.mean(np.argmax(X @ directions.keep_top(W, kept), axis=1) == wanted) for kept in n_kept])
