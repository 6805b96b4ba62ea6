"""Random variants of images that keep their label, for `TrainingPlan(augment=...)`: of a key and one image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import dm_pix
import equinox as eqx
import jax
import jax.numpy as jnp

from kdtheory._typing import Array
from kdtheory._validation import require_nonnegative, require_positive_integer, require_share
from kdtheory.nets._variants import BatchAugmentation, keeps_label, vary
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

    See Also
    --------
    torchvision.transforms.RandomCrop : the same for images of PyTorch.

    Notes
    -----
    With 4 pixels of zeros and `RandomFlip`, this is the standard augmentation for CIFAR of He et al. (2016).

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
    """Turn left and right around, or top and bottom.

    Parameters
    ----------
    probability : float, default 0.5
    axis : {"horizontal", "vertical"}, default "horizontal"
        Along which pixels are turned around.

    Raises
    ------
    ValueError, TypeError
        For a probability outside [0, 1], and another axis.

    See Also
    --------
    torchvision.transforms.RandomHorizontalFlip, torchvision.transforms.RandomVerticalFlip : for images of PyTorch.

    Examples
    --------
    >>> RandomFlip(probability=1.0)(jax.random.key(0), jnp.array([[1.0, 2.0]])).tolist()
    [[2.0, 1.0]]
    """

    probability: float = 0.5
    axis: Literal["horizontal", "vertical"] = "horizontal"

    def __post_init__(self) -> None:
        require_share("probability", self.probability)
        if self.axis not in ("horizontal", "vertical"):
            raise ValueError(f"axis must be 'horizontal' or 'vertical', got {self.axis!r}")

    def __call__(self, key: Array, image: Array) -> Array:
        """Give a random variant of an image (h, w) or (h, w, c)."""
        _require_image(image)
        turned = image[:, ::-1] if self.axis == "horizontal" else image[::-1]
        return jnp.where(jax.random.bernoulli(key, self.probability), turned, image)


@dataclass(frozen=True)
class RandomRotation:
    """Turn an image around its centre by an angle that is drawn uniformly.

    Parameters
    ----------
    degrees : float, default 20.0
        Largest angle, in either direction.

    Raises
    ------
    ValueError, TypeError
        For an angle that is negative or not finite.

    See Also
    --------
    torchvision.transforms.RandomRotation : the same for images of PyTorch, by default to the nearest pixel.

    Notes
    -----
    By dm-pix: linear between pixels, and zeros where nothing was. Stanton et al. (2021), appendix A.1, turn by 20.

    Examples
    --------
    >>> RandomRotation(degrees=0.0)(jax.random.key(0), jnp.array([[1.0, 2.0]])).tolist()
    [[1.0, 2.0]]
    """

    degrees: float = 20.0

    def __post_init__(self) -> None:
        require_nonnegative("degrees", self.degrees)

    def __call__(self, key: Array, image: Array) -> Array:
        """Give a random variant of an image (h, w) or (h, w, c)."""
        _require_image(image)
        largest = math.radians(self.degrees)
        angle: Any = jax.random.uniform(key, minval=-largest, maxval=largest)
        with_channels = image.reshape(*image.shape[:2], -1)
        framed = jnp.pad(with_channels, ((1, 1), (1, 1), (0, 0)))  # or nothing would lie between border and zeros
        turned = dm_pix.rotate(framed, angle, order=1, mode="constant", cval=0.0)[1:-1, 1:-1]
        return turned.reshape(image.shape).astype(image.dtype)


@dataclass(frozen=True)
class ColorJitter:
    """Change brightness and contrast, and of colour images saturation and hue, each by a random amount.

    Parameters
    ----------
    brightness : float, default 0.2
        Largest number that is added to all values, or taken from them.
    contrast, saturation : float, default 0.2
        The factor is drawn from 1 − this to 1 + this, so at most 1.
    hue : float, default 0.2
        Largest turn of the hue, in full turns: at most 0.5.

    Raises
    ------
    ValueError, TypeError
        For amounts out of these ranges; in training, for images with values outside [0, 1].

    See Also
    --------
    torchvision.transforms.ColorJitter : the same for images of PyTorch, with a factor for the brightness.

    Notes
    -----
    By dm-pix, in this order; then values are cut off at 0 and 1. Grey images, (h, w) or of one channel, have neither
    saturation nor hue. The amounts are those of Stanton et al. (2021), appendix A.1, whose brightness is a factor.

    Examples
    --------
    >>> unchanged = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.0, hue=0.0)
    >>> unchanged(jax.random.key(0), jnp.array([[0.25, 0.5]])).tolist()
    [[0.25, 0.5]]
    """

    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.2
    value_range: ClassVar[tuple[float, float]] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("brightness", "contrast", "saturation"):
            require_share(name, getattr(self, name))
        if require_nonnegative("hue", self.hue) > 0.5:
            raise ValueError(f"hue must be at most 0.5, half a turn, got {self.hue!r}")

    def __call__(self, key: Array, image: Array) -> Array:
        """Give a random variant of an image (h, w), (h, w, 1) or (h, w, 3)."""
        _require_image(image)
        channels = image.reshape(*image.shape[:2], -1)
        if channels.shape[2] not in (1, 3):
            raise ValueError(f"image must be grey or of three colours, got shape {image.shape}")
        amounts = jax.random.uniform(key, (4,), dtype=image.dtype, minval=-1.0, maxval=1.0)
        changed = dm_pix.adjust_brightness(channels, self.brightness * amounts[0])
        changed = dm_pix.adjust_contrast(changed, 1.0 + self.contrast * amounts[1])
        if channels.shape[2] == 3:
            changed = jnp.clip(changed, 0.0, 1.0)  # hues are those of colours that can be
            changed = dm_pix.adjust_saturation(changed, 1.0 + self.saturation * amounts[2])
            changed = dm_pix.adjust_hue(changed, self.hue * amounts[3])
        return jnp.clip(changed, 0.0, 1.0).reshape(image.shape).astype(image.dtype)


class Sequential(eqx.Module, BatchAugmentation):
    """Augmentations one after the other, each with a key of its own.

    Parameters
    ----------
    *augmentations : callable
        Functions of a key and a point, or what needs a whole batch, such as `Mixup`.

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
        self.augmentations = augmentations

    @property
    def keeps_label(self) -> bool:  # type: ignore[override]
        """Whether all of them keep it."""
        return all(keeps_label(each) for each in self.augmentations)

    @property
    def parts(self) -> tuple[Augmentation, ...]:
        """All of them."""
        return self.augmentations

    def of_batch(self, key: Array, points: Array) -> Array:
        """Give random variants of the points of a batch.

        Parameters
        ----------
        key : JAX key
        points : array of shape (b, ...)

        Returns
        -------
        array of shape (b, ...)
        """
        if not any(isinstance(each, BatchAugmentation) for each in self.augmentations):
            return jax.vmap(self)(jax.random.split(key, len(points)), points)
        for i, augmentation in enumerate(self.augmentations):
            points = vary(augmentation, jax.random.fold_in(key, i), points)
        return points

    def __call__(self, key: Array, point: Array) -> Array:
        """Give a random variant of a point, where none needs a batch."""
        for i, augmentation in enumerate(self.augmentations):
            point = augmentation(jax.random.fold_in(key, i), point)
        return point


def _require_image(image: Array) -> None:
    if image.ndim not in (2, 3):
        raise ValueError(f"image must have shape (h, w) or (h, w, c), got {image.shape}")
