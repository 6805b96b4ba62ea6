"""Random variants of images, for `TrainingPlan(augment=...)`: pure functions of a key and one image, channels last."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_positive_integer, require_share
from kdtheory.nets.plan import Augmentation


@dataclass(frozen=True)
class RandomCrop:
    """Pad an image on all sides, and cut one of its own size out of that.

    Parameters
    ----------
    padding : int, default 4
        Pixels on each side.
    mode : {"zero", "reflect"}, default "zero"
        What they are filled with: zeros, or the image reflected at its border pixels, which it must be larger than.

    Raises
    ------
    ValueError, TypeError
        For another mode or padding; and for an image that is no larger than what is to be reflected.

    Notes
    -----
    With 4 pixels of zeros and `RandomFlip`, this is the standard augmentation for CIFAR of He et al. (2016).

    See Also
    --------
    torchvision.transforms.RandomCrop : the same for images of PyTorch.

    Examples
    --------
    >>> image = jnp.arange(4.0).reshape(2, 2)
    >>> RandomCrop(padding=1)(jax.random.key(0), image).shape
    (2, 2)
    """

    padding: int = 4
    mode: Literal["zero", "reflect"] = "zero"

    def __post_init__(self) -> None:
        require_positive_integer("padding", self.padding)
        if self.mode not in ("zero", "reflect"):
            raise ValueError(f"mode must be 'zero' or 'reflect', got {self.mode!r}")

    def __call__(self, key: Array, image: Array) -> Array:
        """Give a random variant of an image (h, w) or (h, w, c)."""
        _require_image(image)
        if self.mode == "reflect" and self.padding >= min(image.shape[:2]):
            raise ValueError(f"padding must be < {min(image.shape[:2])} to reflect such an image, got {self.padding}")
        widths = [(self.padding, self.padding)] * 2 + [(0, 0)] * (image.ndim - 2)
        padded = jnp.pad(image, widths, mode="constant" if self.mode == "zero" else "reflect")
        corner = jax.random.randint(key, (2,), 0, 2 * self.padding + 1)
        return jax.lax.dynamic_slice(padded, [*corner, 0][: image.ndim], image.shape)


@dataclass(frozen=True)
class RandomFlip:
    """Turn left and right around.

    Parameters
    ----------
    probability : float, default 0.5

    Raises
    ------
    ValueError, TypeError
        For a probability outside [0, 1].

    See Also
    --------
    torchvision.transforms.RandomHorizontalFlip : the same for images of PyTorch.

    Examples
    --------
    >>> RandomFlip(probability=1.0)(jax.random.key(0), jnp.array([[1.0, 2.0]])).tolist()
    [[2.0, 1.0]]
    """

    probability: float = 0.5

    def __post_init__(self) -> None:
        require_share("probability", self.probability)

    def __call__(self, key: Array, image: Array) -> Array:
        """Give a random variant of an image (h, w) or (h, w, c)."""
        _require_image(image)
        return jnp.where(jax.random.bernoulli(key, self.probability), image[:, ::-1], image)


@dataclass(frozen=True)
class Sequential:
    """Augmentations one after the other, each with a key of its own.

    Parameters
    ----------
    *augmentations : callable
        Functions of a key and a point.

    Raises
    ------
    TypeError
        For what is not a function.

    Examples
    --------
    >>> augment = Sequential(RandomCrop(padding=4), RandomFlip())
    >>> augment(jax.random.key(0), jnp.ones((32, 32, 3))).shape
    (32, 32, 3)
    """

    augmentations: tuple[Augmentation, ...]

    def __init__(self, *augmentations: Augmentation) -> None:
        for augmentation in augmentations:
            if not callable(augmentation):
                raise TypeError(f"augmentations must be functions of a key and a point, got {augmentation!r}")
        object.__setattr__(self, "augmentations", augmentations)

    def __call__(self, key: Array, point: Array) -> Array:
        """Give a random variant of a point."""
        for i, augmentation in enumerate(self.augmentations):
            point = augmentation(jax.random.fold_in(key, i), point)
        return point


def _require_image(image: Array) -> None:
    if image.ndim not in (2, 3):
        raise ValueError(f"image must have shape (h, w) or (h, w, c), got {image.shape}")
