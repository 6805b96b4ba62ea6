"""Corruptions grow with severity, keep to [0, 1], do not depend on batches, and are what their formulas say."""

import colorsys
import re

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from kdtheory.corruptions import CORRUPTIONS, _plasma, corrupt
from tests.strategies import examples

GREY = [kind for kind in CORRUPTIONS if kind != "saturate"]
NOISE_FREE = ["gaussian_blur", "defocus_blur", "brightness", "contrast", "pixelate"]
kinds, grey_kinds, severities = st.sampled_from(CORRUPTIONS), st.sampled_from(GREY), st.integers(1, 5)
seeds = st.integers(0, 2**63 - 1)


DIGITS = load_digits().images / 16.0


def digits(n):
    return DIGITS[:n].copy()


def photographs(n, size=16):
    """Smooth images of three colours with some structure."""
    rng = np.random.default_rng(0)
    smooth = scipy.ndimage.gaussian_filter(rng.standard_normal((n, size, size, 3)), (0.0, 1.5, 1.5, 0.4))
    low, high = (edge(smooth, axis=(1, 2, 3), keepdims=True) for edge in (np.min, np.max))
    return (smooth - low) / (high - low)


def images_for(kind, n):
    return photographs(n) if kind == "saturate" else digits(n)


def distances(images, kind):
    return np.array([np.sqrt(np.mean((corrupt(images, kind, level) - images) ** 2)) for level in range(1, 6)])


@pytest.mark.parametrize("size", [8, 32])
@pytest.mark.parametrize("kind", GREY)
def test_digits_change_the_more_the_higher_the_severity(kind, size):
    images = np.clip(scipy.ndimage.zoom(digits(150), (1, size // 8, size // 8), order=1), 0.0, 1.0)
    steps = np.diff(distances(images, kind))
    if kind == "motion_blur":
        assert abs(steps[2]) < 1e-4
        steps = np.delete(steps, 2)
    assert np.all(steps > 1e-4)


@pytest.mark.parametrize("kind", CORRUPTIONS)
def test_colour_images_change_the_more_the_higher_the_severity(kind):
    steps = np.diff(distances(photographs(60), kind))
    if kind == "saturate":  # paler at first, then more colourful
        assert steps[0] > 0.0
        steps = steps[2:]
    if kind == "motion_blur":
        steps = np.delete(steps, 2)
    assert np.all(steps > 1e-4)


@examples(60)
@given(kinds, severities, seeds, st.sampled_from([np.float32, np.float64]), st.booleans())
def test_shape_dtype_range_and_input_are_kept(kind, severity, seed, dtype, colour):
    images = (photographs(3, 11)[:, :, 2:] if colour or kind == "saturate" else digits(4)).astype(dtype)
    before = images.copy()
    result = corrupt(images, kind, severity, seed=seed)
    np.testing.assert_array_equal(images, before)
    assert (result.shape, result.dtype) == (images.shape, images.dtype)
    assert 0.0 <= result.min() <= result.max() <= 1.0
    np.testing.assert_array_equal(result, corrupt(images, kind, severity, seed=seed))
    assert kind == "impulse_noise" or not np.array_equal(result, images)


@examples(60)
@given(kinds, severities, seeds, st.integers(1, 6))
def test_batches_do_not_matter(kind, severity, seed, cut):
    images = images_for(kind, 7)
    parts = [
        corrupt(images[:cut], kind, severity, seed=seed),
        corrupt(images[cut:], kind, severity, seed=seed, first=cut),
    ]
    np.testing.assert_allclose(
        np.concatenate(parts), corrupt(images, kind, severity, seed=seed), rtol=1e-13, atol=1e-15
    )


def test_blocks_of_many_images_do_not_matter():
    """130 images of 64 x 64 are more than one block."""
    images = np.broadcast_to(np.linspace(0.0, 1.0, 64), (130, 64, 64)).copy()
    whole = corrupt(images, "gaussian_noise", 3)
    np.testing.assert_array_equal(
        whole[[0, 127, 128, 129]], [*whole[[0, 127]], *corrupt(images[:2], "gaussian_noise", 3, first=128)]
    )


@pytest.mark.parametrize("kind", NOISE_FREE)
def test_corruptions_without_noise_know_no_order_and_no_seed(kind):
    images, order = digits(20), np.random.default_rng(0).permutation(20)
    result = corrupt(images, kind, 4)
    np.testing.assert_allclose(corrupt(images[order], kind, 4, seed=5, first=3), result[order], rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("kind", sorted(set(GREY) - set(NOISE_FREE)))
def test_images_seeds_and_kinds_have_noise_of_their_own(kind):
    images = np.repeat(digits(1), 6, axis=0)
    results = [corrupt(images, kind, 5, seed=seed) for seed in (0, 1)]
    assert not np.array_equal(*results)
    assert len({image.tobytes() for image in results[0]}) > 1


def test_different_kinds_draw_different_numbers():
    """The first number of an image decides on its first pixel, and on the direction in which it moves."""
    ramps = np.broadcast_to(np.linspace(0.2, 0.8, 8)[:, None], (3000, 8, 8)).copy()
    black = corrupt(ramps, "impulse_noise", 5)[:, 0, 0] == 0.0
    down = corrupt(ramps, "translation", 5)[:, 4, 4] > ramps[:, 4, 4]
    assert 60 < black.sum() < 150
    assert 0.3 < np.mean(down[black]) < 0.7


@pytest.mark.parametrize("severity", range(1, 6))
def test_noise_has_the_moments_of_its_parameters(severity):
    images = np.full((40, 32, 32), 0.5)
    normal = corrupt(images, "gaussian_noise", severity) - 0.5
    assert np.std(normal) == pytest.approx([0.04, 0.06, 0.08, 0.09, 0.1][severity - 1], rel=0.02)
    assert abs(np.mean(normal)) < 2e-3
    photons = [500, 250, 100, 75, 50][severity - 1]
    shot = corrupt(images, "shot_noise", severity)
    np.testing.assert_allclose(shot * photons, np.rint(shot * photons), atol=1e-9)
    assert np.mean(shot) == pytest.approx(0.5, abs=2e-3)
    assert np.var(shot) == pytest.approx(0.5 / photons, rel=0.03)
    impulse = corrupt(images, "impulse_noise", severity)
    share = [0.01, 0.02, 0.03, 0.05, 0.07][severity - 1]
    assert set(np.unique(impulse)) == {0.0, 0.5, 1.0}
    for value in (0.0, 1.0):
        assert np.mean(impulse == value) == pytest.approx(share / 2.0, rel=0.15)


@pytest.mark.parametrize("severity", range(1, 6))
def test_brightness_and_contrast_are_their_formulas(severity):
    images = digits(10)
    more = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]
    np.testing.assert_allclose(corrupt(images, "brightness", severity), np.clip(images + more, 0.0, 1.0), rtol=1e-14)
    share = [0.75, 0.5, 0.4, 0.3, 0.15][severity - 1]
    mean = images.mean(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(
        corrupt(images, "contrast", severity), mean + share * (images - mean), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("severity", range(1, 6))
def test_colours_change_as_hue_saturation_and_value_say(severity):
    images = np.random.default_rng(0).uniform(size=(2, 8, 8, 3))
    images[0, 0, 0] = 0.0
    images[0, 0, 1] = 0.3
    images[0, 0, 2] = [0.0, 1.0, 0.2]
    factor, more = [(0.3, 0.0), (0.1, 0.0), (1.5, 0.0), (2.0, 0.1), (2.5, 0.2)][severity - 1]
    light = [0.05, 0.1, 0.15, 0.2, 0.3][severity - 1]
    saturated, brighter = np.empty_like(images), np.empty_like(images)
    for where in np.ndindex(2, 8, 8):
        hue, saturation, value = colorsys.rgb_to_hsv(*images[where])
        wanted = min(1.0, saturation * factor + more) if saturation > 0.0 else 0.0
        saturated[where] = colorsys.hsv_to_rgb(hue, wanted, value)
        brighter[where] = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + light))
    np.testing.assert_allclose(corrupt(images, "saturate", severity), saturated, atol=1e-13)
    np.testing.assert_allclose(corrupt(images, "brightness", severity), brighter, atol=1e-13)


@examples(40)
@given(
    st.sampled_from(
        ["gaussian_blur", "defocus_blur", "motion_blur", "pixelate", "elastic", "rotation", "translation", "contrast"]
    ),
    severities,
    st.floats(0.0, 1.0),
)
def test_images_of_one_value_stay_as_they_are(kind, severity, value):
    images = np.full((2, 12, 10), value)
    np.testing.assert_allclose(corrupt(images, kind, severity), images, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("severity", range(1, 6))
@pytest.mark.parametrize("kind", ["gaussian_blur", "defocus_blur", "contrast"])
def test_means_are_preserved(kind, severity):
    images = photographs(5)
    result = corrupt(images, kind, severity)
    np.testing.assert_allclose(result.mean(axis=(1, 2)), images.mean(axis=(1, 2)), rtol=1e-12)


@pytest.mark.parametrize(
    "kind",
    ["gaussian_blur", "defocus_blur", "motion_blur", "pixelate", "contrast", "elastic", "rotation", "translation"],
)
def test_channels_are_treated_alike(kind):
    image = digits(6)
    colour = corrupt(np.repeat(image[..., None], 3, axis=-1), kind, 4)
    for channel in range(3):
        np.testing.assert_allclose(colour[..., channel], corrupt(image, kind, 4), rtol=1e-12, atol=1e-14)
    np.testing.assert_array_equal(corrupt(image[..., None], kind, 4)[..., 0], corrupt(image, kind, 4))


@pytest.mark.parametrize(("severity", "sigma"), list(enumerate([0.4, 0.6, 0.7, 0.8, 1.0], 1)))
def test_blur_of_a_point_is_a_gaussian_that_grows_with_the_image(severity, sigma):
    """Of variance σ² in pixels up to a height of 32, and of (2σ)² at twice that."""
    for size, scale in ((21, 1.0), (64, 2.0)):
        point = np.zeros((1, size, size))
        point[0, 10, 10] = 1.0
        blurred = corrupt(point, "gaussian_blur", severity)[0]
        weights = np.exp(-0.5 * ((np.arange(size) - 10) / (scale * sigma)) ** 2)
        weights[np.abs(np.arange(size) - 10) > int(4 * scale * sigma + 0.5)] = 0.0
        weights /= weights.sum()
        np.testing.assert_allclose(blurred, np.outer(weights, weights), atol=1e-12)


def test_discs_of_defocus_have_the_pixels_within_their_radius():
    point = np.zeros((1, 15, 15))
    point[0, 7, 7] = 1.0
    weak, strong = (corrupt(point, "defocus_blur", severity)[0] for severity in (4, 5))
    cross = weak > 0.1
    assert cross.sum() == 5
    assert cross[7, 6:9].all()
    assert cross[6:9, 7].all()
    assert np.array_equal(np.argwhere(strong > 0.1), [(i, j) for i in (6, 7, 8) for j in (6, 7, 8)])


@pytest.mark.parametrize(("severity", "sigma"), list(enumerate([1.0, 1.5, 2.0, 2.0, 2.5], 1)))
def test_motion_blur_smears_points_to_one_side_within_45_degrees_of_level(severity, sigma):
    point = np.zeros((30, 31, 31))
    point[:, 15, 15] = 1.0
    result = corrupt(point, "motion_blur", severity)
    np.testing.assert_allclose(result.sum(axis=(1, 2)), 1.0, rtol=1e-12)
    rows, columns = np.nonzero(result.max(axis=0))
    assert np.all(columns <= 15)
    assert np.all(np.abs(rows - 15) <= 15 - columns)
    assert (rows < 15).any()
    assert (rows > 15).any()
    taps = np.arange(13)
    weights = np.exp(-0.5 * (taps / sigma) ** 2)
    assert result[:, 15, 15].min() == pytest.approx(1.0 / weights.sum(), rel=1e-3)


def test_pixels_are_averages_over_equal_pieces():
    image = np.random.default_rng(0).uniform(size=(1, 16, 8))
    result = corrupt(image, "pixelate", 5)
    blocks = image.reshape(1, 4, 4, 2, 4).mean(axis=(2, 4))
    np.testing.assert_allclose(result, np.repeat(np.repeat(blocks, 4, axis=1), 4, axis=2), rtol=1e-13)


@pytest.mark.parametrize(("severity", "angle"), list(enumerate([6, 12, 18, 24, 30], 1)))
def test_rotations_are_those_of_scipy_to_either_side(severity, angle):
    images = digits(8)
    result = corrupt(images, "rotation", severity)
    sides = set()
    for image, turned in zip(images, result, strict=True):
        either = [scipy.ndimage.rotate(image, sign * angle, reshape=False, order=1, mode="nearest") for sign in (-1, 1)]
        errors = [np.max(np.abs(turned - each)) for each in either]
        assert min(errors) < 1e-10
        sides.add(int(np.argmin(errors)))
    assert sides == {0, 1}


@pytest.mark.parametrize(("severity", "share"), list(enumerate([0.03, 0.06, 0.09, 0.12, 0.15], 1)))
def test_translations_go_as_far_as_they_say(severity, share):
    ramps = np.stack([np.broadcast_to(np.linspace(0.0, 1.0, 41)[:, None], (41, 41))] * 2, axis=-1).copy()
    ramps[..., 1] = ramps[..., 0].T
    shift = corrupt(np.stack([ramps] * 5), "translation", severity)[:, 20, 20, :] - 0.5
    np.testing.assert_allclose(np.hypot(shift[:, 0], shift[:, 1]) * 40.0, share * 41.0, rtol=1e-10)


@pytest.mark.parametrize(("severity", "share"), list(enumerate([0.008, 0.016, 0.024, 0.032, 0.04], 1)))
def test_elastic_shifts_have_the_size_that_they_say(severity, share):
    ramps = np.stack([np.broadcast_to(np.linspace(0.0, 1.0, 41)[:, None], (41, 41))] * 2, axis=-1).copy()
    ramps[..., 1] = ramps[..., 0].T
    inner = slice(8, -8)
    shift = (corrupt(np.stack([ramps] * 20), "elastic", severity) - ramps)[:, inner, inner] * 40.0
    assert np.sqrt(np.mean(shift**2)) == pytest.approx(share * 41.0, rel=0.1)
    jumps = np.diff(shift, axis=1)
    assert np.sqrt(np.mean(jumps**2)) < 0.6 * share * 41.0


@pytest.mark.parametrize(("severity", "weight"), list(enumerate([0.2, 0.5, 0.75, 1.0, 1.5], 1)))
def test_fog_adds_a_fractal_from_0_to_its_weight(severity, weight):
    images = np.full((10, 32, 32), 0.6)
    fog = corrupt(images, "fog", severity) * (0.6 + weight) / 0.6 - 0.6
    np.testing.assert_allclose(fog.min(axis=(1, 2)), 0.0, atol=1e-12)
    np.testing.assert_allclose(fog.max(axis=(1, 2)), weight, rtol=1e-12)
    np.testing.assert_array_equal(corrupt(np.zeros((1, 9, 9)), "fog", severity), 0.0)


class Jitter:
    def __init__(self, values):
        self.values = values

    def uniform(self, low, high, shape):
        assert (low, high, shape) == (-1.0, 1.0, self.values.shape)
        return self.values[None]


@pytest.mark.parametrize("decay", [1.75, 3.0])
def test_fractals_are_means_of_the_four_points_around_and_a_jitter_that_falls(decay):
    jitter = np.random.default_rng(0).uniform(-1.0, 1.0, (8, 8))
    field, step, amplitude = {(0, 0): 0.0}, 8, 1.0
    while step > 1:
        half = step // 2
        for i in range(half, 8, step):
            for j in range(half, 8, step):
                around = [field[(i + a) % 8, (j + b) % 8] for a in (-half, half) for b in (-half, half)]
                field[i, j] = np.mean(around) + amplitude * jitter[i, j]
        for i in range(0, 8, half):
            for j in range((i + half) % step, 8, step):
                around = [field[(i + a) % 8, (j + b) % 8] for a, b in ((-half, 0), (half, 0), (0, -half), (0, half))]
                field[i, j] = np.mean(around) + amplitude * jitter[i, j]
        step, amplitude = half, amplitude / decay**2
    expected = np.array([[field[i, j] for j in range(8)] for i in range(8)])
    expected = (expected - expected.min()) / np.ptp(expected)
    np.testing.assert_allclose(_plasma((7, 8), decay, Jitter(jitter))[0, :, :, 0], expected[:7], atol=1e-13)


def test_fog_is_rougher_the_higher_the_severity():
    images = np.full((30, 32, 32), 0.6)
    rough = []
    for severity in range(1, 6):
        fog = corrupt(images, "fog", severity)
        fog = (fog - fog.min()) / np.ptp(fog)
        rough.append(np.mean(np.diff(fog, axis=1) ** 2) / np.var(fog))
    assert np.all(np.diff(rough)[1:] > 0.0)
    assert rough[0] < 0.2


@pytest.mark.parametrize(
    ("images", "error", "message"),
    [
        (np.zeros((2, 8, 8), dtype=np.uint8), TypeError, "got dtype uint8: divide bytes by 255"),
        (np.full((2, 8, 8), "a"), TypeError, "images must be floats in [0, 1], got dtype <U1"),
        (np.full((2, 8, 8), 255.0), ValueError, "got 255.0 at index (0, 0, 0): divide values up to 255 by 255"),
        (np.full((2, 8, 8), -0.1), ValueError, "images must lie in [0, 1], got -0.1 at index (0, 0, 0)"),
        (np.full((2, 8, 8), np.nan), ValueError, "images must lie in [0, 1], got nan at index (0, 0, 0)"),
        (np.zeros((8, 8)), ValueError, "images must have shape (n, h, w) or (n, h, w, c), got (8, 8)"),
        (np.zeros((2, 8, 7)), ValueError, "of 8 x 8 pixels or more, got shape (2, 8, 7)"),
        (np.zeros((0, 8, 8)), ValueError, "images must be one or more, of 8 x 8 pixels or more, got shape (0, 8, 8)"),
    ],
)
def test_bad_images_are_refused(images, error, message):
    with pytest.raises(error, match=re.escape(message)):
        corrupt(images, "contrast", 1)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (("frost", 1), ValueError, "kind must be one of gaussian_noise, shot_noise, "),
        ((["fog"], 1), ValueError, "kind must be one of"),
        (("fog", 0), ValueError, "severity must be >= 1, got 0"),
        (("fog", 6), ValueError, "severity must be <= 5, got 6"),
        (("fog", 1.0), TypeError, "severity must be an integer, got 1.0"),
        (("saturate", 1), ValueError, "images must have 3 channels for kind 'saturate', got shape (1, 8, 8)"),
    ],
)
def test_bad_kinds_and_severities_are_refused(arguments, error, message):
    with pytest.raises(error, match=re.escape(message)):
        corrupt(np.zeros((1, 8, 8)), *arguments)


def test_bad_seeds_and_numbers_are_refused():
    with pytest.raises(ValueError, match="seed must be >= 0, got -1"):
        corrupt(np.zeros((1, 8, 8)), "fog", 1, seed=-1)
    with pytest.raises(TypeError, match=r"first must be an integer, got 0\.5"):
        corrupt(np.zeros((1, 8, 8)), "fog", 1, first=0.5)
    with pytest.raises(ValueError, match="images must have 3 channels"):
        corrupt(np.zeros((1, 8, 8, 4)), "saturate", 1)
