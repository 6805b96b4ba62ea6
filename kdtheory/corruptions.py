"""Corruptions of images at five severities, in the manner of ImageNet-C, for tests of robustness.

Parameters are those of CIFAR-10-C (Hendrycks and Dietterich 2019), unless `corrupt` says so. Lengths in pixels are for
images of up to 32 pixels of height, and grow with the height of larger ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, SupportsIndex

import numpy as np
from scipy import ndimage

from kdtheory._validation import first_index, require_nonnegative_integer, require_positive_integer

__all__ = ["CORRUPTIONS", "corrupt"]

_BLOCK = 2**19
"""Numbers in the images that are worked on at once."""

_SMALLEST = 8
"""Height and width of the smallest images that the severities tell apart."""

_HEIGHT = 32.0
"""Of the images whose parameters are published."""


def corrupt(
    images: Any, kind: str, severity: SupportsIndex, *, seed: SupportsIndex = 0, first: SupportsIndex = 0
) -> np.ndarray:
    """Corrupt images, at one of five severities.

    Parameters
    ----------
    images : array of shape (n, h, w) or (n, h, w, c)
        Floats in [0, 1], channels last, of 8 × 8 pixels or more.
    kind : str
        One of `CORRUPTIONS`.
    severity : int
        1 to 5.
    seed : int, default 0
        Of the noise. Severities have the same noise, more of it; kinds have different noise.
    first : int, default 0
        Number of the first image in its data set. Each number has its own noise: a data set in batches, each with the
        number that it starts with, is corrupted as if it were whole.

    Returns
    -------
    array of that shape and dtype
        In [0, 1].

    Raises
    ------
    ValueError, TypeError
        For images that are no floats in [0, 1], such as bytes from 0 to 255, or too small; unknown kinds; severities
        out of range; and "saturate" of images that are not of three colours.

    Notes
    -----
    Blurs see an image reflected at its edges; where pixels are moved, those at the edge go on beyond it. Parameters for
    the severities 1 to 5:

    - gaussian_noise: standard deviation .04, .06, .08, .09, .1
    - shot_noise: Poisson counts, of mean 500, 250, 100, 75, 50 at white
    - impulse_noise: share .01, .02, .03, .05, .07 of the values set to 0 or 1
    - gaussian_blur: standard deviation .4, .6, .7, .8, 1 pixels
    - defocus_blur: discs of radius .3, .4, .5, 1, 1.5 pixels, with soft edges
    - motion_blur: half a Gaussian of 1, 1.5, 2, 2, 2.5 pixels, up to 45° from level; 3 and 4 hardly differ
    - fog: a fractal of weight .2, .5, .75, 1, 1.5, ever rougher
    - brightness: .05, .1, .15, .2, .3 more on the largest channel, with hue and saturation kept
    - contrast: .75, .5, .4, .3, .15 of the distance from the mean of each channel
    - saturate: the saturation times .3, .1, 1.5, 2, 2.5, plus 0, 0, 0, .1, .2: paler first, then more colourful; grey
      stays grey

    Four have parameters of their own. CIFAR-10-C knows no rotations and translations, its elastic transforms change an
    image less with every severity, and its pixels of severity 1 can change a small image more than those of severity 2.

    - pixelate: averages over .9, .7, .55, .4, .25 as many rows and columns
    - elastic: smooth random shifts, with root mean square .8, 1.6, 2.4, 3.2, 4 % of the height
    - rotation: by 6, 12, 18, 24, 30 degrees to either side
    - translation: by 3, 6, 9, 12, 15 % of the height in any direction

    Cost: O(1) for each value; about a second for 10,000 images of 28 × 28. Source: Hendrycks and Dietterich (2019),
    section 3, and their `make_cifar_c.py`. Twin: packages `imagecorruptions` and `imagenet_c`, which need OpenCV.

    Examples
    --------
    >>> image = np.full((1, 8, 8), 0.5)
    >>> corrupt(image, "brightness", 3)[0, 0, 0]
    np.float64(0.65)
    >>> noisy = corrupt(image, "gaussian_noise", 5, seed=1)
    >>> bool(np.all(noisy == corrupt(image, "gaussian_noise", 5, seed=1)))
    True
    """
    array = _require_images(images)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ValueError(f"kind must be one of {', '.join(_KINDS)}, got {kind!r}")
    level = require_positive_integer("severity", severity)
    if level > 5:
        raise ValueError(f"severity must be <= 5, got {severity!r}")
    key, start = require_nonnegative_integer("seed", seed), require_nonnegative_integer("first", first)
    if kind == "saturate" and (array.ndim == 3 or array.shape[-1] != 3):
        raise ValueError(f"images must have 3 channels for kind 'saturate', got shape {array.shape}")

    colour = array if array.ndim == 4 else array[..., None]
    result = np.empty_like(colour)
    size = max(1, _BLOCK // int(np.prod(colour.shape[1:])))
    stream = list(_KINDS).index(kind)
    for begin in range(0, len(colour), size):
        block = colour[begin : begin + size].astype(np.float64)
        noise = _Noise(key, stream, start + begin, len(block))
        result[begin : begin + size] = np.clip(_KINDS[kind](block, level - 1, noise), 0.0, 1.0)
    return result.reshape(array.shape)


class _Noise:
    """Random numbers for a block of images, from one generator for each image."""

    def __init__(self, seed: int, stream: int, first: int, count: int) -> None:
        self._generators = [
            np.random.Generator(np.random.Philox(key=[seed, number], counter=[0, 0, 0, stream]))
            for number in range(first, first + count)
        ]

    def uniform(self, low: float, high: float, shape: tuple[int, ...] = ()) -> np.ndarray:
        return np.array([generator.uniform(low, high, shape) for generator in self._generators])

    def normal(self, shape: tuple[int, ...]) -> np.ndarray:
        return np.array([generator.standard_normal(shape) for generator in self._generators])

    def poisson(self, means: np.ndarray) -> np.ndarray:
        return np.array([generator.poisson(mean) for generator, mean in zip(self._generators, means, strict=True)])


def _gaussian_noise(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    return x + (0.04, 0.06, 0.08, 0.09, 0.10)[level] * noise.normal(x.shape[1:])


def _shot_noise(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    photons = (500.0, 250.0, 100.0, 75.0, 50.0)[level]
    return noise.poisson(photons * x) / photons


def _impulse_noise(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    half = (0.01, 0.02, 0.03, 0.05, 0.07)[level] / 2.0
    u = noise.uniform(0.0, 1.0, x.shape[1:])
    return np.where(u < half, 0.0, np.where(u > 1.0 - half, 1.0, x))


def _gaussian_blur(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[level] * _pixels(x)
    return ndimage.gaussian_filter(x, (0.0, sigma, sigma, 0.0), mode="reflect")


def _defocus_blur(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    radius = (0.3, 0.4, 0.5, 1.0, 1.5)[level] * _pixels(x)
    edge = (0.4, 0.5, 0.6, 0.2, 0.1)[level] * _pixels(x)
    reach = int(radius) + max(1, round(_pixels(x)))
    grid = np.arange(-reach, reach + 1.0)
    disc = (grid[:, None] ** 2 + grid**2 <= radius**2).astype(np.float64)
    weights = ndimage.gaussian_filter(disc, edge, mode="constant", radius=reach - int(radius))
    return ndimage.convolve(x, (weights / np.sum(weights))[None, :, :, None], mode="reflect")


def _motion_blur(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    radius, sigma = ((6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5))[level]
    sigma *= _pixels(x)
    taps = np.arange(1 + min(int(2 * radius * _pixels(x)), int(6.0 * sigma)))
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    angles = np.deg2rad(noise.uniform(-45.0, 45.0))
    height, width, reach = x.shape[1], x.shape[2], len(taps)
    padded = np.pad(x, ((0, 0), (reach, reach), (reach, reach), (0, 0)), mode="symmetric")
    total = np.zeros_like(x)
    for tap, weight in zip(taps, weights / np.sum(weights), strict=True):
        steps = np.rint(tap * np.column_stack([np.sin(angles), np.cos(angles)])).astype(int)
        for down, right in np.unique(steps, axis=0):
            same = np.flatnonzero((steps == (down, right)).all(axis=1))
            rows, columns = slice(reach + down, reach + down + height), slice(reach + right, reach + right + width)
            total[same] += weight * padded[same, rows, columns]
    return total


def _fog(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    weight, decay = ((0.2, 3.0), (0.5, 3.0), (0.75, 2.5), (1.0, 2.0), (1.5, 1.75))[level]
    brightest = np.max(x, axis=(1, 2, 3), keepdims=True)
    return (x + weight * _plasma(x.shape[1:3], decay, noise)) * brightest / (brightest + weight)


def _brightness(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    value = np.max(x, axis=-1, keepdims=True)
    brighter = np.minimum(value + (0.05, 0.1, 0.15, 0.2, 0.3)[level], 1.0)
    return np.where(value > 0.0, x * (brighter / np.where(value > 0.0, value, 1.0)), brighter)


def _contrast(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    means = np.mean(x, axis=(1, 2), keepdims=True)
    return means + (0.75, 0.5, 0.4, 0.3, 0.15)[level] * (x - means)


def _saturate(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    factor, more = ((0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2))[level]
    value = np.max(x, axis=-1, keepdims=True)
    below = value - x
    depth = np.max(below, axis=-1, keepdims=True)
    saturation = depth / np.where(value > 0.0, value, 1.0)
    wanted = np.minimum(saturation * factor + more, 1.0)
    return value - below * np.where(depth > 0.0, wanted / np.where(depth > 0.0, saturation, 1.0), 0.0)


def _pixelate(x: np.ndarray, level: int, _: _Noise) -> np.ndarray:
    share = (0.9, 0.7, 0.55, 0.4, 0.25)[level]
    down, across = (_averages(size, int(share * size)) for size in x.shape[1:3])
    return np.einsum("hi,niwc->nhwc", down, np.einsum("wj,nijc->niwc", across, x, optimize=True), optimize=True)


def _elastic(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    height, width = x.shape[1:3]
    field = noise.uniform(-1.0, 1.0, (2, height, width))
    sigma = 0.04 * height
    smooth = ndimage.gaussian_filter(field, (0.0, 0.0, sigma, sigma), mode="reflect")
    spread = np.std(smooth, axis=(1, 2, 3), keepdims=True)
    shifts = (0.008, 0.016, 0.024, 0.032, 0.04)[level] * height * smooth / spread
    return _resample(x, np.arange(height)[:, None] + shifts[:, 0], np.arange(width) + shifts[:, 1])


def _rotation(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    signs = np.where(noise.uniform(-1.0, 1.0) < 0.0, -1.0, 1.0)
    angles = np.deg2rad((6.0, 12.0, 18.0, 24.0, 30.0)[level]) * signs[:, None, None]
    down, right = (np.arange(size) - (size - 1) / 2.0 for size in x.shape[1:3])
    d, r = down[:, None], right[None, :]
    rows = np.cos(angles) * d + np.sin(angles) * r + (x.shape[1] - 1) / 2.0
    return _resample(x, rows, np.cos(angles) * r - np.sin(angles) * d + (x.shape[2] - 1) / 2.0)


def _translation(x: np.ndarray, level: int, noise: _Noise) -> np.ndarray:
    distance = (0.03, 0.06, 0.09, 0.12, 0.15)[level] * x.shape[1]
    angles = noise.uniform(0.0, 2.0 * np.pi)[:, None, None]
    rows = np.arange(x.shape[1])[:, None] + distance * np.sin(angles) + np.zeros((1, 1, x.shape[2]))
    return _resample(x, rows, np.arange(x.shape[2]) + distance * np.cos(angles) + np.zeros((1, x.shape[1], 1)))


_KINDS: dict[str, Callable[[np.ndarray, int, _Noise], np.ndarray]] = {
    "gaussian_noise": _gaussian_noise,
    "shot_noise": _shot_noise,
    "impulse_noise": _impulse_noise,
    "gaussian_blur": _gaussian_blur,
    "defocus_blur": _defocus_blur,
    "motion_blur": _motion_blur,
    "fog": _fog,
    "brightness": _brightness,
    "contrast": _contrast,
    "saturate": _saturate,
    "pixelate": _pixelate,
    "elastic": _elastic,
    "rotation": _rotation,
    "translation": _translation,
}

CORRUPTIONS: tuple[str, ...] = tuple(_KINDS)
"""Names of the kinds of corruption."""


def _require_images(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind != "f":
        hint = ": divide bytes by 255" if array.dtype.kind in "iu" else ""
        raise TypeError(f"images must be floats in [0, 1], got dtype {array.dtype}{hint}")
    if array.ndim not in (3, 4):
        raise ValueError(f"images must have shape (n, h, w) or (n, h, w, c), got {array.shape}")
    if min(array.shape[1:3]) < _SMALLEST or array.size == 0:
        raise ValueError(
            f"images must be one or more, of {_SMALLEST} x {_SMALLEST} pixels or more, got shape {array.shape}"
        )
    outside = ~((array >= 0.0) & (array <= 1.0))
    if np.any(outside):
        where = first_index(np, outside)
        hint = ": divide values up to 255 by 255" if array[where] > 1.0 else ""
        raise ValueError(f"images must lie in [0, 1], got {float(array[where])!r} at index {where}{hint}")
    return array


def _pixels(x: np.ndarray) -> float:
    """Pixels of these images for one of the images whose parameters are published; smaller ones would see no blur."""
    return max(1.0, x.shape[1] / _HEIGHT)


def _averages(size: int, fewer: int) -> np.ndarray:
    """Matrix of shape (size, size) that averages over `fewer` equal pieces of a line."""
    ends = np.linspace(0.0, size, fewer + 1)
    pixels = np.arange(size)
    inside = np.minimum(pixels + 1.0, ends[1:, None]) - np.maximum(pixels, ends[:-1, None])
    piece = np.minimum(((pixels + 0.5) * fewer / size).astype(int), fewer - 1)
    return np.maximum(inside, 0.0)[piece] * fewer / size


def _plasma(shape: Sequence[int], decay: float, noise: _Noise) -> np.ndarray:
    """Fractals from 0 to 1, by the diamond-square algorithm on a torus; amplitudes fall by `decay²` at each halving."""
    size = 2 ** int(np.ceil(np.log2(max(shape))))
    jitter = noise.uniform(-1.0, 1.0, (size, size))
    field = np.zeros_like(jitter)
    step, amplitude = size, 1.0
    while step >= 2:
        half = step // 2
        corners = field[:, ::step, ::step]
        across = corners + np.roll(corners, -1, axis=1)
        middles = (across + np.roll(across, -1, axis=2)) / 4.0
        field[:, half::step, half::step] = middles + amplitude * jitter[:, half::step, half::step]
        middles = field[:, half::step, half::step]
        on_rows = corners + np.roll(corners, -1, axis=2) + middles + np.roll(middles, 1, axis=1)
        on_columns = corners + np.roll(corners, -1, axis=1) + middles + np.roll(middles, 1, axis=2)
        field[:, ::step, half::step] = on_rows / 4.0 + amplitude * jitter[:, ::step, half::step]
        field[:, half::step, ::step] = on_columns / 4.0 + amplitude * jitter[:, half::step, ::step]
        step, amplitude = half, amplitude / decay**2
    low = np.min(field, axis=(1, 2), keepdims=True)
    scaled = (field - low) / (np.max(field, axis=(1, 2), keepdims=True) - low)
    return scaled[:, : shape[0], : shape[1], None]


def _resample(x: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Values of images (n, h, w, c) at places of shape (n, h, w), between their pixels."""
    places = np.array(np.broadcast_arrays(np.arange(len(x))[:, None, None], rows, columns))
    channels = [ndimage.map_coordinates(x[..., c], places, order=1, mode="nearest") for c in range(x.shape[-1])]
    return np.stack(channels, axis=-1)
