"""Bias, variance and risk of any filter, and its unbiased estimate from data.

The design is fixed: `y = signal + noise` at the given points, with independent noise of variance `noise_variance`,
and filters that do not depend on y. All risks are means over points and outputs.

On a spectrum with sample weights w the noise at point i has the variance `noise_variance/w_i`, errors at the training
points are multiplied by w, and points of weight 0 are left out of means and counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, SupportsFloat, TypeAlias

import numpy as np
from array_api_compat import array_namespace

from kdtheory._components import Components
from kdtheory._interop import to_numpy
from kdtheory._typing import Array
from kdtheory._validation import (
    require_array,
    require_nonnegative,
    require_representable,
)
from kdtheory.filters import Filter, Modes, Ridge
from kdtheory.spectral_fit import SpectralFit, evaluate
from kdtheory.spectrum import Spectrum, as_spectrum

Models: TypeAlias = Filter | Sequence[Filter] | SpectralFit
"""What has a risk: a filter, a sequence of filters, or fitted models such as a path or a trajectory."""


class Risk(NamedTuple):
    """Expected squared error against the signal, in its two parts; made by `in_sample_risk` and `out_of_sample_risk`.

    The axes count the models.

    Attributes
    ----------
    squared_bias : array
        Squared distance of the expected model from the signal, meaned over the points.
    variance : array
        Variance of the model over the noise, meaned over the points.
    """

    squared_bias: Array
    variance: Array

    @property
    def total(self) -> Array:
        """Squared bias plus variance."""
        return self.squared_bias + self.variance


class DegreesOfFreedom(NamedTuple):
    """Three traces of the hat matrix H, which agree where H is a projection; made by `degrees_of_freedom`.

    The axes count the models.
    """

    fit: Array
    """`tr H`, what a model spends on its covariance with the data."""
    residual: Array
    """`tr(2H − HHᵀ)`: the squared residuals have the expectation `noise_variance·(n − residual)` without a signal."""
    variance: Array
    """`tr HHᵀ`, the variance of the fitted values in units of the noise."""


def degrees_of_freedom(K: Any, models: Models) -> DegreesOfFreedom:
    """Degrees of freedom of models.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    models : Filter, sequence of Filter, or SpectralFit
        Models on that spectrum.

    Returns
    -------
    DegreesOfFreedom
        `fit = Σ b`, `residual = Σ (2b − b²)` and `variance = Σ b²` for the shrinkage b.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a trace is beyond the floating-point range.

    Notes
    -----
    Source: Hastie & Tibshirani (1990), "Generalized Additive Models", who use all three.

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> [round(float(dof), 3) for dof in degrees_of_freedom([[1.0, 0.0], [0.0, 3.0]], Ridge(1.0))]
    [1.25, 1.688, 0.812]
    """
    modes = _modes(models, as_spectrum(K))
    xp, b = array_namespace(modes.shrinkage), modes.shrinkage
    with np.errstate(over="ignore"):
        return DegreesOfFreedom(
            *(
                require_representable(xp.sum(values, axis=-1), "the degrees of freedom")
                for values in (b, b * (1.0 + modes.residual), b * b)
            )
        )


def in_sample_risk(K: Any, signal: Any, models: Models, *, noise_variance: SupportsFloat) -> Risk:
    """Return the expected squared error of models at the training points, for a known signal.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    signal : array of shape (n,) or (n, k)
        Noise-free targets.
    models : Filter, sequence of Filter, or SpectralFit
        Models on that spectrum; fitted ones enter with their filters alone.
    noise_variance : float
        Variance of the noise on every target, >= 0; with sample weights w, `noise_variance/w_i` at point i.

    Returns
    -------
    Risk
        `squared_bias` and `variance`, each of the shape of the leading axes of the models.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a risk is beyond the floating-point range.

    Notes
    -----
    With the components θ of the signal and the shrinkage b, the sums over all directions are `Σ (1 − b)²θ²` and
    `noise_variance·Σ b²`. With sample weights the mean is that of w times the squared error, over the points of weight
    > 0. Cost: `O(n·r)` for θ after the decomposition, then `O(r)` for each model. Source: classical.

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> in_sample_risk([[1.0]], [2.0], [Ridge(1.0), Ridge(3.0)], noise_variance=1.0).total
    array([1.25  , 2.3125])
    """
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    components = Components.of(K, "signal", signal)
    modes = _modes(models, components.spectrum)
    xp = array_namespace(modes.shrinkage)
    with np.errstate(over="ignore", invalid="ignore"):
        squared_bias = xp.sum(modes.residual**2 * components.energy, axis=-1) + components.outside
        variance = sigma2 * components.n_outputs * xp.sum(modes.shrinkage**2, axis=-1)
    return Risk(
        require_representable(squared_bias / components.size, "the squared bias"),
        require_representable(variance / components.size, "the variance"),
    )


def out_of_sample_risk(
    K: Any, signal: Any, models: Models, *, noise_variance: SupportsFloat, K_test: Any, signal_test: Any
) -> Risk:
    """Return the expected squared error of models at new points, for a known signal.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    signal : array of shape (n,) or (n, k)
        Noise-free targets.
    models : Filter, sequence of Filter, or SpectralFit
        Models on that spectrum.
    noise_variance : float
        Variance of the noise on every training target, >= 0; with sample weights w, `noise_variance/w_i` at point i.
    K_test : array of shape (m, n)
        Kernel values between the m new points and the n training points.
    signal_test : array of shape (m,) or (m, k)
        Noise-free targets at the new points.

    Returns
    -------
    Risk
        Against the noise-free targets, every new point counting alike; add the noise variance for the error against
        noisy ones.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When a risk is beyond the floating-point range.

    Notes
    -----
    Cost: `O(m·n·r)` once, then `O(m·r·k)` for each model. Source: classical.

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> test = {"K_test": [[0.5]], "signal_test": [1.0]}
    >>> out_of_sample_risk([[1.0]], [2.0], Ridge(1.0), noise_variance=1.0, **test)
    Risk(squared_bias=np.float64(0.25), variance=np.float64(0.0625))
    """
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    components = Components.of(K, "signal", signal)
    spectrum, d = components.spectrum, components.spectrum.eigenvalues
    cross = require_array("K_test", K_test, like=d)
    cross = spectrum.require_cross("K_test", cross)
    truth = require_array("signal_test", signal_test, like=d)
    expected = (cross.shape[0], *components.coordinates.shape[1:])
    if tuple(truth.shape) != expected:
        raise ValueError(
            f"signal_test must have shape {expected}, the rows of K_test and the outputs of signal, got"
            f" {tuple(truth.shape)}"
        )
    coefficient = _modes(models, spectrum).coefficient
    xp = array_namespace(d)
    leverages = spectrum.coordinates(cross.T).T  # row i maps dual components to the prediction at point i
    # As in predictions: a zero eigenvalue may have a huge coefficient, which must not meet rounding.
    rounding = spectrum.n_points * xp.finfo(d.dtype).eps * xp.sum(xp.abs(leverages), axis=1, keepdims=True)
    leverages = xp.where((d == 0.0) & (xp.abs(leverages) <= rounding), xp.zeros_like(leverages), leverages)
    m, n_outputs = cross.shape[0], components.n_outputs
    truth, theta = xp.reshape(truth, (m, n_outputs)), xp.reshape(components.coordinates, (-1, n_outputs))
    with np.errstate(over="ignore", invalid="ignore"):
        error = xp.matmul(leverages, coefficient[..., None] * theta) - truth
        squared_bias = xp.sum(error**2, axis=(-2, -1)) / (m * n_outputs)
        variance = sigma2 * xp.sum((xp.sqrt(xp.sum(leverages**2, axis=0)) * coefficient) ** 2, axis=-1) / m
    return Risk(
        require_representable(squared_bias, "the squared bias"), require_representable(variance, "the variance")
    )


def sure(K: Any, y: Any, models: Models, *, noise_variance: SupportsFloat) -> Array:
    """Stein's unbiased estimate of the in-sample risk, from the targets alone.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Noisy targets.
    models : Filter, sequence of Filter, or SpectralFit
        Models on that spectrum.
    noise_variance : float
        Variance of the noise on every target, >= 0; with sample weights w, `noise_variance/w_i` at point i.

    Returns
    -------
    array
        Estimate for every model, which may be negative. Its expectation over the noise is `in_sample_risk(...).total`.

    Raises
    ------
    ValueError, TypeError
        For bad input, naming the argument, the rule and the value.
    OverflowError
        When an estimate is beyond the floating-point range.

    Notes
    -----
    `mean (y − fitted)² + 2·noise_variance·tr(H)/n − noise_variance`, also known as Mallows' Cp. It is unbiased for
    filters that are fixed beforehand; for the one that it is used to choose, it is optimistic. Source: Stein (1981).

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> sure([[1.0]], [2.0], Ridge(1.0), noise_variance=1.0)
    np.float64(1.0)
    """
    sigma2 = require_nonnegative("noise_variance", noise_variance)
    components = Components.of(K, "y", y)
    modes = _modes(models, components.spectrum)
    xp = array_namespace(modes.shrinkage)
    with np.errstate(over="ignore", invalid="ignore"):
        residual = (xp.sum(modes.residual**2 * components.energy, axis=-1) + components.outside) / components.size
        spent = 2.0 * xp.sum(modes.shrinkage, axis=-1) / components.spectrum.n_weighed
        return require_representable(residual + sigma2 * (spent - 1.0), "the risk estimate")


def estimate_noise_variance(K: Any, y: Any, model: Filter | None = None) -> float:
    """Noise variance from the residuals of one model that has little bias.

    Parameters
    ----------
    K : array of shape (n, n), or Spectrum
        Gram matrix, or its decomposition.
    y : array of shape (n,) or (n, k)
        Noisy targets.
    model : Filter, optional
        A model that fits the signal well but leaves degrees of freedom. Default: kernel ridge regression with the ridge
        of least generalised cross-validation.

    Returns
    -------
    float
        `‖y − fitted‖²/(n − tr(2H − HHᵀ))`, per output; with sample weights, the variance at weight 1. Unbiased where a
        fixed model has no bias, too large otherwise. Where K can follow the noise the data hardly tell the two apart:
        compare the estimates of several models, and repeated measurements if there are any.

    Raises
    ------
    ValueError
        When the model leaves no degrees of freedom, or the input is bad.

    Notes
    -----
    Cost: `O(n·r)` after the decomposition. Source: Wahba (1990); Hastie & Tibshirani (1990), section 3.9.

    Examples
    --------
    >>> from kdtheory import Ridge
    >>> estimate_noise_variance([[1.0, 0.0], [0.0, 0.0]], [1.0, 2.0], Ridge(1.0))
    3.4
    """
    components = Components.of(K, "y", y)
    if model is None:
        model = Ridge(_cross_validated_ridge(components))
    elif not isinstance(model, Filter):
        raise TypeError(f"model must be a Filter, got {model!r}")
    modes = _modes(model, components.spectrum)
    xp = array_namespace(modes.shrinkage)
    n_points, n_modes = components.spectrum.n_weighed, modes.shrinkage.shape[0]
    with np.errstate(over="ignore", invalid="ignore"):
        left = float(xp.sum(modes.residual**2)) + n_points - n_modes
        squares = float(xp.sum(modes.residual**2 * components.energy)) + components.outside
    if not left > n_points * xp.finfo(modes.shrinkage.dtype).eps:
        raise ValueError(f"model must leave degrees of freedom for the noise, got {model!r}, which fits every target")
    return float(require_representable(np.asarray(squares / components.n_outputs / left), "the noise variance"))


def _cross_validated_ridge(components: Components) -> float:
    """Ridge of least `‖y − fitted‖²/(n − tr H)²`, from a grid over the range of the eigenvalues."""
    observed = components.sequence_model(0.0)
    d = observed.eigenvalues
    if len(d) == 0:
        return 1.0
    ridges = np.geomspace(max(d[-1], 1e-12 * d[0]), 10.0 * d[0], 200)
    missing = ridges[:, None] / (d + ridges[:, None])
    left = np.sum(missing, axis=1) + observed.n_points - len(d)
    return float(ridges[np.argmin((missing**2 @ observed.energy + observed.outside) / left**2)])


def _require_same_eigenvalues(fitted: Array, eigenvalues: Array) -> None:
    """Refuse models on eigenvalues that differ by more than a decomposition's rounding."""
    eps = max(float(array_namespace(d).finfo(d.dtype).eps) for d in (fitted, eigenvalues))
    theirs, ours = to_numpy(fitted), to_numpy(eigenvalues)
    differ = np.abs(theirs - ours) > _SAME_SPECTRUM * len(ours) * eps * ours[0]
    if np.any(differ):
        first = int(np.argmax(differ))
        raise ValueError(
            f"models must be fitted on the spectrum of K, got models on the eigenvalue {float(theirs[first])!r} where K"
            f" has {float(ours[first])!r}"
        )


_SAME_SPECTRUM = 1e3
"""How much two decompositions of one Gram matrix may differ, in units of `n·eps·d_max`."""


def _modes(models: Models, spectrum: Spectrum) -> Modes:
    """Modes of filters on a spectrum; fitted models must be on the same."""
    d = spectrum.eigenvalues
    if not isinstance(models, SpectralFit):
        modes = evaluate(models, d, "models")
    elif models.shrinkage.shape[-1] == d.shape[0]:
        _require_same_eigenvalues(models.spectrum.eigenvalues, d)
        modes = models.modes
    else:
        raise ValueError(
            f"models must be fitted on the spectrum of K, which has {d.shape[0]} modes, got models with"
            f" {models.shrinkage.shape[-1]}"
        )
    return Modes(*(require_representable(values, "a filter value") for values in modes))
