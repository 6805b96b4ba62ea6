"""Augmentations against numpy: every result is one of those that are allowed, as often as it should be."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from kdtheory.nets import RandomCrop, RandomFlip, Sequential

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
