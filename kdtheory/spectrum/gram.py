"""From Gram matrices to spectra."""

from __future__ import annotations

from typing import Any

import numpy as np
from array_api_compat import array_namespace

from kdtheory._decomposition import eigenpairs, symmetrised
from kdtheory._thin_factor import eigh_of_factor
from kdtheory._typing import Array
from kdtheory._validation import require_array, require_ndim, require_representable
from kdtheory.spectrum.base import Spectrum
from kdtheory.spectrum.weighted import LowRankWeightedSpectrum, WeightedSpectrum


def symmetric_gram(K: Any, name: str = "K", *, overwrite: bool = False) -> Array:
    """Check a Gram matrix, and return the mean of it and its transpose: a new array, unless K may be overwritten."""
    gram = require_array(name, K)
    require_ndim(name, gram, 2)
    if gram.shape[0] != gram.shape[1]:
        raise ValueError(f"{name} must be square, got shape {tuple(gram.shape)}")
    return symmetrised(gram, name, overwrite)


def decompose_gram(
    gram: Array, sample_weight: Array | None = None, tolerance: float = 0.0, name: str = "K", scale: float = 0.0
) -> Spectrum:
    """Decompose a matrix from `symmetric_gram`, which may be overwritten, with checked sample weights if any."""
    if sample_weight is None:
        return Spectrum._trusted(**eigenpairs(gram, tolerance, name, scale))
    root = array_namespace(gram).sqrt(sample_weight)
    with np.errstate(over="ignore"):
        whitened = require_representable(root[:, None] * gram * root, f"the weighted entry of {name}")
        scale = scale * float(array_namespace(gram).max(sample_weight))
    return WeightedSpectrum._trusted(**eigenpairs(whitened, tolerance, name, scale), root_weight=root, gram=gram)


def decompose_factor(factor: np.ndarray, sample_weight: np.ndarray | None = None, *, scale: float = 0.0) -> Spectrum:
    """Decompose `F Fᵀ` for a factor (n, m) of numpy in Fortran order, which is overwritten, with weights > 0 if any.

    What is left of a factor whose rows were up to `√scale` long has their rounding errors.
    """
    rounding = scale * (len(factor) * float(np.finfo(factor.dtype).eps)) ** 2
    if sample_weight is None:
        eigenvalues, eigenvectors, _ = eigh_of_factor(factor)
        eigenvalues[eigenvalues <= rounding] = 0.0
        return Spectrum._trusted(eigenvalues=eigenvalues, eigenvectors=eigenvectors)
    root = np.sqrt(sample_weight)
    factor *= root[:, None]
    eigenvalues, eigenvectors, _ = eigh_of_factor(factor)
    eigenvalues[eigenvalues <= rounding * float(np.max(sample_weight))] = 0.0
    return LowRankWeightedSpectrum._trusted(eigenvalues=eigenvalues, eigenvectors=eigenvectors, root_weight=root)


def as_spectrum(K: Any, name: str = "K") -> Spectrum:
    """Return a `Spectrum` as it is, and decompose anything else as a Gram matrix.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    name : str, default "K"
        Name of the argument, for messages.

    Returns
    -------
    Spectrum

    Raises
    ------
    ValueError, TypeError
        When K is not a symmetric positive semi-definite matrix of finite real numbers.

    See Also
    --------
    Spectrum.from_gram : with sample weights and a tolerance.

    Notes
    -----
    Source: the spectral theorem. Cost: one eigendecomposition, O(n³). Twin: `scipy.linalg.eigh`.

    Examples
    --------
    >>> spectrum = as_spectrum([[2.0, 0.0], [0.0, 1.0]])
    >>> spectrum
    Spectrum(n_points=2, rank=2, d_max=2, d_min=1)
    >>> as_spectrum(spectrum) is spectrum
    True
    """
    return K if isinstance(K, Spectrum) else decompose_gram(symmetric_gram(K, name), name=name)
