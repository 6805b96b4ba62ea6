"""Images that only a teacher can label, for distillation: mixtures, noise, and images of another origin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_array, require_real, require_share
from kdtheory.nets._variants import BatchAugmentation


class Mixup(eqx.Module, BatchAugmentation):
    """Mix every point of a batch with another one: `λ·x + (1 − λ)·x′` with λ drawn uniformly from [0, 1].

    Notes
    -----
    Points are paired by a random permutation of the batch, so that one may meet itself. Stanton et al. (2021), appendix
    A.1: only inputs are mixed, and the teacher is asked about the mixture. The original mixup of labels, with λ from a
    beta distribution, is another thing.

    Examples
    --------
    >>> mixed = Mixup().of_batch(jax.random.key(0), jnp.array([[0.0], [1.0]]))
    >>> bool(jnp.all((mixed >= 0.0) & (mixed <= 1.0)))
    True
    """

    keeps_label: ClassVar[bool] = False

    def of_batch(self, key: Array, points: Array) -> Array:
        """Give mixtures of the points of a batch.

        Parameters
        ----------
        key : JAX key
        points : array of shape (b, ...)

        Returns
        -------
        array of the same shape
        """
        of_pairs, of_shares = jax.random.split(key)
        others = points[jax.random.permutation(of_pairs, len(points))]
        shares = jax.random.uniform(of_shares, (len(points),), dtype=points.dtype)
        share = shares.reshape(-1, *[1] * (points.ndim - 1))
        return share * points + (1.0 - share) * others


class UniformNoise(eqx.Module):
    """Replace an image by noise, independent and uniform in every pixel.

    Parameters
    ----------
    probability : float, default 0.2
        Of each image, at every step; as in Stanton et al. (2021), appendix A.1.
    low, high : float, default 0.0, 1.0
        Range of the values.

    Raises
    ------
    ValueError, TypeError
        For a probability outside [0, 1], and a range that is empty; in training, for images with values out of it.

    Examples
    --------
    >>> UniformNoise(probability=0.0)(jax.random.key(0), jnp.array([[0.5]])).tolist()
    [[0.5]]
    """

    probability: float = eqx.field(static=True, default=0.2)
    low: float = eqx.field(static=True, default=0.0)
    high: float = eqx.field(static=True, default=1.0)
    keeps_label: ClassVar[bool] = False

    def __check_init__(self) -> None:
        require_share("probability", self.probability)
        if not require_real("low", self.low) < require_real("high", self.high):
            raise ValueError(f"low must be < high = {self.high!r}, got {self.low!r}")

    @property
    def value_range(self) -> tuple[float, float]:
        """Range of the values, which images must keep to."""
        return self.low, self.high

    def __call__(self, key: Array, image: Array) -> Array:
        """Give the image, or noise of its shape."""
        of_choice, of_noise = jax.random.split(key)
        noise = jax.random.uniform(of_noise, image.shape, image.dtype, self.low, self.high)
        return jnp.where(jax.random.bernoulli(of_choice, self.probability), noise, image)


class Replacement(eqx.Module):
    """Replace an image by one of another origin: out of the domain, without a label, or from a generator.

    Parameters
    ----------
    source : array of shape (m, ...), or callable
        Images of the shape and the range of those for training, one of which is drawn; or a function of a key that
        JAX can trace and that makes one, such as a generative network.
    probability : float, default 0.2
        Of each image, at every step. Stanton et al. (2021), appendix A.1, give one generated image for four real ones.

    Raises
    ------
    ValueError, TypeError
        For a probability outside [0, 1], and images that are not finite; in training, for images of another shape, or
        on another scale than those that they replace.

    Notes
    -----
    The number of images in a step stays what it is. A generator that JAX cannot trace makes an array beforehand, which
    is given here, or put beside the points: `train(..., np.concatenate([X, images]), None, teacher=teacher)`.

    Examples
    --------
    >>> Replacement(jnp.ones((1, 2)), probability=1.0)(jax.random.key(0), jnp.zeros(2)).tolist()
    [1.0, 1.0]
    >>> generator = lambda key: jax.random.normal(key, (2,))
    >>> Replacement(generator, probability=0.0)(jax.random.key(0), jnp.zeros(2)).tolist()
    [0.0, 0.0]
    """

    source: Any
    probability: float = eqx.field(static=True)
    keeps_label: ClassVar[bool] = False

    def __init__(self, source: Array | Callable[[Array], Array], *, probability: float = 0.2) -> None:
        self.probability = require_share("probability", probability)
        if callable(source):
            self.source = source
            return
        images = jnp.asarray(require_array("source", source))
        if images.ndim < 2 or not len(images):
            raise ValueError(f"source must have shape (m, ...) with an image in each row, got {images.shape}")
        self.source = images

    @property
    def source_range(self) -> tuple[float, float] | None:
        """Range of the values of the images, which are to be like those that they replace; None for a function."""
        return None if callable(self.source) else (float(self.source.min()), float(self.source.max()))

    def __call__(self, key: Array, image: Array) -> Array:
        """Give the image, or another one of its shape."""
        of_choice, of_image = jax.random.split(key)
        if callable(self.source):
            other = self.source(of_image)
        else:
            other = self.source[jax.random.randint(of_image, (), 0, len(self.source))]
        if other.shape != image.shape:
            raise ValueError(f"source must give images of shape {image.shape}, got {other.shape}")
        return jnp.where(jax.random.bernoulli(of_choice, self.probability), other.astype(image.dtype), image)
