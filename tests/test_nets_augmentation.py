"""Augmentations against numpy: every result is one of those that are allowed, as often as it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matplotlib.colors import hsv_to_rgb, rgb_to_hsv
from scipy import ndimage

from kdtheory.nets import ColorJitter, RandomCrop, RandomFlip, RandomRotation, Sequential

IMAGE = np.random.default_rng(0).standard_normal((4, 5, 3))
KEYS = jax.random.split(jax.random.key(0), 4000)


def counts(augment, image):
    """How often each variant occurs."""
    found = np.asarray(jax.jit(jax.vmap(augment, in_axes=(0, None)))(KEYS, jnp.asarray(image)))
    variants, frequencies = np.unique(found.reshape(len(found), -1), axis=0, return_counts=True)
    return {variant.tobytes(): frequency / len(KEYS) for variant, frequency in zip(variants, frequencies, strict=True)}


@pytest.mark.parametrize(("mode", "of_numpy"), [("zero", "constant"), ("reflect", "reflect")])
@pytest.mark.parametrize("image", [IMAGE, IMAGE[..., 0]], ids=["colours", "grey"])
def test_every_crop_of_the_padded_image_is_equally_likely(mode, of_numpy, image):
    padded = np.pad(image, [(2, 2), (2, 2), (0, 0)][: image.ndim], mode=of_numpy)
    expected = {np.ascontiguousarray(padded[i : i + 4, j : j + 5]).tobytes() for i in range(5) for j in range(5)}
    found = counts(RandomCrop(padding=2, mode=mode), image)
    assert found.keys() == expected
    assert max(abs(share - 1 / 25) for share in found.values()) < 5 * np.sqrt(1 / 25 / len(KEYS))


def test_flips_turn_columns_around_with_their_probability():
    found = counts(RandomFlip(probability=0.3), IMAGE)
    assert found.keys() == {IMAGE.tobytes(), np.ascontiguousarray(IMAGE[:, ::-1]).tobytes()}
    assert found[IMAGE.tobytes()] == pytest.approx(0.7, abs=5 * np.sqrt(0.21 / len(KEYS)))


def test_vertical_flips_turn_rows_around():
    found = counts(RandomFlip(axis="vertical"), IMAGE)
    assert found.keys() == {IMAGE.tobytes(), np.ascontiguousarray(IMAGE[::-1]).tobytes()}


def test_rotations_are_those_of_scipy_at_angles_up_to_the_largest():
    rows, columns = np.mgrid[-12:13, -12:13]
    image = np.exp(-(rows**2) / 18.0 - columns**2 / 6.0)  # its axes turn with it
    found = np.asarray(jax.vmap(RandomRotation(degrees=30.0), in_axes=(0, None))(KEYS[:200], jnp.asarray(image)))
    across, along = (found * rows * columns).sum(axis=(1, 2)), (found * (rows**2 - columns**2)).sum(axis=(1, 2))
    angles = np.degrees(np.arctan2(2.0 * across, along)) / 2.0
    assert angles.min() == pytest.approx(-30.0, abs=1.0)
    assert angles.max() == pytest.approx(30.0, abs=1.0)
    for turned, angle in zip(found[:20], angles[:20], strict=True):
        np.testing.assert_allclose(turned, ndimage.rotate(image, angle, reshape=False, order=1), atol=0.003)


def test_images_up_to_their_border_are_hardly_changed_by_the_smallest_turns():
    found = RandomRotation(degrees=1e-3)(KEYS[0], jnp.asarray(IMAGE))
    np.testing.assert_allclose(found, IMAGE, atol=1e-3)


def test_jitter_of_grey_images_changes_brightness_and_contrast_alone():
    image = np.random.default_rng(1).uniform(0.3, 0.7, (4, 4))
    found = np.asarray(jax.vmap(ColorJitter(), in_axes=(0, None))(KEYS[:500], jnp.asarray(image)))
    centred = image - image.mean()
    factors = (found * centred).sum(axis=(1, 2)) / (centred**2).sum()
    shifts = found.mean(axis=(1, 2)) - image.mean()
    np.testing.assert_allclose(found, image.mean() + shifts[:, None, None] + factors[:, None, None] * centred)
    for values, centre in ((factors, 1.0), (shifts, 0.0)):
        assert values.min() == pytest.approx(centre - 0.2, abs=0.01)
        assert values.max() == pytest.approx(centre + 0.2, abs=0.01)


def test_jitter_turns_hues_and_scales_saturation():
    image = np.random.default_rng(2).uniform(0.3, 0.7, (3, 3, 3))
    before = rgb_to_hsv(image)
    augment = ColorJitter(brightness=0.0, contrast=0.0, saturation=0.1, hue=0.25)
    found = rgb_to_hsv(np.asarray(jax.vmap(augment, in_axes=(0, None))(KEYS[:300], jnp.asarray(image)), dtype=float))
    factors = (found[..., 1] / before[..., 1]).reshape(300, -1)
    turns = ((found[..., 0] - before[..., 0] + 0.5) % 1.0 - 0.5).reshape(300, -1)
    np.testing.assert_allclose(factors, factors[:, :1] * np.ones(9), rtol=1e-5)
    np.testing.assert_allclose(turns, turns[:, :1] * np.ones(9), atol=1e-5)
    assert np.abs(factors - 1.0).max() == pytest.approx(0.1, abs=0.005)
    assert np.abs(turns).max() == pytest.approx(0.25, abs=0.01)
    again = hsv_to_rgb(
        np.stack([(before[..., 0] + turns[0, 0]) % 1.0, factors[0, 0] * before[..., 1], before[..., 2]], -1)
    )
    np.testing.assert_allclose(np.asarray(augment(KEYS[0], jnp.asarray(image))), again, atol=1e-5)


def test_jitter_leaves_no_value_outside_of_its_range():
    image = np.random.default_rng(3).random((4, 4, 3))
    found = np.asarray(jax.vmap(ColorJitter(brightness=1.0), in_axes=(0, None))(KEYS[:200], jnp.asarray(image)))
    assert found.min() == 0.0
    assert found.max() == 1.0


def test_a_sequence_applies_each_to_what_the_one_before_made_by_independent_choices():
    augment = Sequential(RandomFlip(), RandomCrop(padding=1), RandomFlip())
    found = counts(augment, IMAGE)
    padded = [np.pad(image, [(1, 1), (1, 1), (0, 0)]) for image in (IMAGE, IMAGE[:, ::-1])]
    crops = [each[i : i + 4, j : j + 5] for each in padded for i in range(3) for j in range(3)]
    assert found.keys() == {np.ascontiguousarray(each).tobytes() for each in crops}
    assert max(abs(share - 1 / 18) for share in found.values()) < 5 * np.sqrt(1 / 18 / len(KEYS))


def test_equal_augmentations_are_equal_so_that_nothing_is_compiled_anew():
    one, other = (Sequential(RandomCrop(padding=2, mode="reflect"), RandomFlip()) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert "0x" not in repr(one)  # checkpoints know a plan by how it prints


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: RandomCrop(padding=0), "padding must be >= 1, got 0"),
        (lambda: RandomCrop(mode="wrap"), "mode must be 'zero' or 'reflect', got 'wrap'"),
        (lambda: RandomCrop(padding=4, mode="reflect")(KEYS[0], jnp.asarray(IMAGE)), "padding must be < 4 to reflect"),
        (lambda: RandomCrop()(KEYS[0], jnp.zeros(4)), "image must have shape (h, w) or (h, w, c), got (4,)"),
        (lambda: RandomFlip()(KEYS[0], jnp.zeros((1, 2, 2, 1))), "image must have shape (h, w) or (h, w, c)"),
        (lambda: RandomFlip(probability=1.5), "probability must be <= 1, got 1.5"),
        (lambda: Sequential(RandomFlip(), 3), "augmentations must be functions of a key and a point, got 3"),
    ],
)
def test_what_is_no_augmentation_is_refused_by_name(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
