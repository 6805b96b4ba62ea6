"""What only a teacher can label, and students without labels; sharpness-aware steps; networks between networks."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest

from kdtheory.nets import (
    ColorJitter,
    DistillationLoss,
    Mixup,
    MultilayerPerceptron,
    RandomFlip,
    RandomRotation,
    Replacement,
    Sequential,
    Snapshot,
    TrainingPlan,
    UniformNoise,
    distill,
    interpolate,
    train,
)
from kdtheory.nets._variants import vary

RNG = np.random.default_rng(0)
X = RNG.random((22, 2, 2))
Y = RNG.integers(0, 3, 22)
MODEL, OTHER = (MultilayerPerceptron(4, 3, width=5, depth=1, key=jax.random.key(seed)) for seed in range(2))
TEACHER = Snapshot(OTHER)
PLAN = TrainingPlan(n_epochs=2, batch_size=8, learning_rate=0.1)
KEY = jax.random.key(3)


def arrays(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(eqx.filter(model, eqx.is_array))]


def test_mixtures_lie_between_pairs_of_the_batch_at_uniform_shares():
    corners = jnp.eye(500)  # a mixture shows who was mixed, and how
    mixed = np.asarray(Mixup().of_batch(KEY, corners))
    shares = np.diag(mixed)
    others = mixed - np.diag(shares)
    met_itself = shares == 1.0
    assert met_itself.sum() < 10
    np.testing.assert_allclose(mixed.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal((others > 0).sum(axis=1), np.where(met_itself, 0, 1))
    partners = others[~met_itself].argmax(axis=1)
    assert len(set(partners.tolist())) == len(partners)
    assert kstest(shares[~met_itself], "uniform").pvalue > 0.01


def test_noise_replaces_whole_images_as_often_as_it_says():
    images = jnp.full((4000, 2, 2), 0.5)
    found = np.asarray(vary(UniformNoise(probability=0.3, low=-1.0, high=2.0), KEY, images))
    replaced = (found != 0.5).reshape(4000, -1)
    assert np.array_equal(replaced.all(axis=1), replaced.any(axis=1))
    assert replaced.all(axis=1).mean() == pytest.approx(0.3, abs=5 * np.sqrt(0.21 / 4000))
    assert kstest(found[replaced.all(axis=1)].ravel(), "uniform", args=(-1.0, 3.0)).pvalue > 0.01


@pytest.mark.parametrize("as_function", [False, True])
def test_replacements_come_from_their_source_equally_often(as_function):
    pool = jnp.stack([jnp.full((2, 2), float(i)) for i in (1, 2, 3)])
    source = (lambda key: pool[jax.random.randint(key, (), 0, 3)]) if as_function else pool
    found = np.asarray(vary(Replacement(source, probability=0.6), KEY, jnp.zeros((4000, 2, 2))))
    values, counts = np.unique(found[:, 0, 0], return_counts=True)
    assert np.array_equal(found, found[:, :1, :1] * np.ones((2, 2)))
    assert values.tolist() == [0.0, 1.0, 2.0, 3.0]
    np.testing.assert_allclose(counts / 4000, [0.4, 0.2, 0.2, 0.2], atol=5 * np.sqrt(0.24 / 4000))


def test_a_sequence_takes_what_needs_a_batch_at_its_place():
    turn = RandomFlip(probability=1.0)
    found = Sequential(turn, Mixup(), turn).of_batch(KEY, jnp.asarray(X))
    mixed = Mixup().of_batch(jax.random.fold_in(KEY, 1), jnp.asarray(X)[:, :, ::-1])
    np.testing.assert_allclose(found, mixed[:, :, ::-1], rtol=1e-15)
    with pytest.raises(TypeError, match="point must come with a batch for Mixup"):
        Sequential(turn, Mixup())(KEY, jnp.asarray(X[0]))


@pytest.mark.parametrize(
    "augment",
    [
        Mixup(),
        Sequential(RandomFlip(), Mixup()),
        UniformNoise(),
        Replacement(X[:3]),
        Sequential(RandomFlip(), Replacement(X[:3]), RandomFlip()),
        Sequential(RandomRotation(), ColorJitter(), Replacement(lambda key: jax.random.uniform(key, (2, 2)))),
    ],
)
def test_the_teacher_is_asked_about_what_the_student_is_given(augment):
    plan = TrainingPlan(n_epochs=1, learning_rate=1e-12, augment=augment)
    run = train(MODEL, X, None, plan=plan, teacher=TEACHER, loss=DistillationLoss("squared"))
    order = np.random.default_rng([0, 0]).permutation(len(X))
    given = vary(augment, jax.random.fold_in(jax.random.key(0), 0), jnp.asarray(X[order]))
    student, teacher = (np.asarray(jax.vmap(each)(given)) for each in (MODEL, OTHER))
    assert run.history["loss"][0] == pytest.approx(np.sum((student - teacher) ** 2) / len(X) / 2, rel=1e-9)
    assert run.history["agreement"][0] == np.mean(student.argmax(axis=1) == teacher.argmax(axis=1))
    assert "accuracy" not in run.history


def test_parts_are_given_what_those_before_them_made():
    augment = Sequential(lambda _, x: x / 255.0, ColorJitter())
    run = train(MODEL, 255.0 * X, Y, plan=replace(PLAN, augment=augment))
    assert np.isfinite(run.history["loss"]).all()


def test_there_is_no_accuracy_on_what_has_no_label():
    run = train(MODEL, X, Y, plan=replace(PLAN, augment=Mixup()), teacher=TEACHER)
    assert {"agreement", "accuracy"} & set(run.history) == {"agreement"}


def test_a_student_needs_no_labels_where_it_learns_from_a_teacher_alone():
    with_labels, without = (train(MODEL, X, y, plan=PLAN, teacher=TEACHER) for y in (Y, None))
    for one, other in zip(arrays(with_labels.model), arrays(without.model), strict=True):
        np.testing.assert_array_equal(one, other)
    more = np.concatenate([X, RNG.random((5, 2, 2))])
    table = distill(TEACHER, MODEL, more, None, plan=PLAN, validation=(X, Y)).table
    assert table.columns.tolist() == [
        "round", "label_weight", "n_fits", "seconds", "agreement", "val_accuracy", "val_error"
    ]  # fmt: skip


def test_a_sharpness_aware_step_takes_the_gradient_uphill():
    plan = TrainingPlan(n_epochs=3, learning_rate=0.2, momentum=0.5, weight_decay=0.1, sharpness_radius=0.3)
    run = train(MODEL, X, Y, plan=plan)

    def mean_loss(some):
        return -jnp.mean(jax.nn.log_softmax(jax.vmap(some)(X))[jnp.arange(len(Y)), Y])

    params, static = eqx.partition(MODEL, eqx.is_array)
    gradient = jax.jit(jax.grad(lambda some: mean_loss(eqx.combine(some, static))))
    velocity = jax.tree.map(jnp.zeros_like, params)
    for _ in range(3):
        here = gradient(params)
        norm = np.sqrt(sum(float(jnp.sum(each**2)) for each in jax.tree.leaves(here)))
        uphill = gradient(jax.tree.map(lambda value, g, norm=norm: value + 0.3 * g / (norm + 1e-6), params, here))
        decayed = jax.tree.map(lambda g, value: g + 0.1 * value, uphill, params)
        velocity = jax.tree.map(lambda g, v: g + 0.5 * v, decayed, velocity)
        params = jax.tree.map(lambda value, g, v: value - 0.2 * (g + 0.5 * v), params, decayed, velocity)
    for one, other in zip(arrays(run.model), arrays(params), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


def test_a_sharpness_aware_student_that_equals_its_teacher_stays_finite():
    plan = TrainingPlan(n_epochs=2, learning_rate=0.1, sharpness_radius=0.1)
    run = train(OTHER, X, None, plan=plan, teacher=TEACHER, loss=DistillationLoss("squared"))
    np.testing.assert_allclose(run.history["loss"], 0.0, atol=1e-20)


def test_networks_are_mixed_weight_by_weight():
    for share in (0.0, 0.25, 1.0):
        mixed = interpolate(MODEL, OTHER, share=share)
        for one, other, between in zip(*map(arrays, (MODEL, OTHER, mixed)), strict=True):
            np.testing.assert_allclose(between, share * one + (1 - share) * other, rtol=1e-14)
    for one, end in zip(arrays(interpolate(MODEL, OTHER, share=1)), arrays(MODEL), strict=True):
        np.testing.assert_array_equal(one, end)


@pytest.mark.parametrize("after", [lambda augment: augment, lambda augment: Sequential(RandomFlip(), augment)])
def test_checkpoints_know_the_images_that_replace_others(tmp_path, after):
    plans = [replace(PLAN, augment=after(Replacement(X[start : start + 3]))) for start in (0, 3)]
    for plan in (plans[0], replace(PLAN, augment=after(Replacement(X[:3])))):
        train(MODEL, X, None, plan=plan, teacher=TEACHER, checkpoint=tmp_path / "run.safetensors")
    with pytest.raises(ValueError, match="of another plan"):
        train(MODEL, X, None, plan=plans[1], teacher=TEACHER, checkpoint=tmp_path / "run.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"teacher": None}, "y must be given where there is no teacher, got None"),
        ({"label_weight": 0.5}, "label_weight must be 0 where y is None, got 0.5"),
        ({"y": Y, "label_weight": 0.5, "augment": Mixup()}, "label_weight must be 0 for plan.augment = Mixup()"),
        ({"y": Y, "teacher": None, "augment": UniformNoise()}, "label_weight must be 0 for plan.augment = Uniform"),
        ({"augment": Sequential(Mixup()), "teacher": np.zeros((22, 3))}, "teacher must be a Snapshot for plan.augment"),
        ({"augment": ColorJitter(), "X": 255.0 * X}, "X must have values from 0 to 1 for plan.augment = ColorJitter"),
        ({"augment": UniformNoise(), "X": X - 1.0}, "X must have values from 0 to 1 for plan.augment = UniformNoise"),
        (
            {"augment": Sequential(RandomFlip(), Sequential(Mixup(), ColorJitter())), "X": 255.0 * X},
            "X as it is varied before must have values from 0 to 1 for plan.augment = ColorJitter",
        ),
        (
            {"augment": Sequential(UniformNoise(), Mixup()), "X": X - 1.0},
            "X must have values from 0 to 1 for plan.augment = UniformNoise",
        ),
        ({"augment": Replacement(255.0 * X, probability=0.9)}, "plan.augment must keep to values like those of X"),
        ({"augment": Replacement(255.0 * X, probability=1e-6)}, "plan.augment must keep to values like those of X"),
        (
            {"augment": Sequential(RandomFlip(), Replacement(X - 5.0, probability=1e-6))},
            "plan.augment must keep to values like those of X",
        ),
        (
            {"augment": Replacement(lambda _: 9.0 * jnp.ones((2, 2)), probability=0.2), "X": X[:2]},
            "plan.augment must keep to values like those of X",
        ),
        ({"augment": Replacement(np.ones((2, 3, 3)))}, "source must give images of shape (2, 2), got (3, 3)"),
        ({"augment": lambda _, x: x[:1]}, "plan.augment must keep the shape of a point, (2, 2), got (1, 2)"),
        ({"augment": lambda _, x: x / 0.0}, "plan.augment must give finite values"),
        ({"augment": lambda _, x: x if x[0, 0] > 0 else -x}, "plan.augment must take points of shape (2, 2)"),
        ({"augment": lambda _, x: x @ jnp.ones(3)}, "plan.augment must take points of shape (2, 2)"),
    ],
)
def test_what_no_teacher_or_label_is_for_is_refused_by_name(change, message):
    arguments = {"X": X, "y": None, "teacher": TEACHER, "plan": PLAN, **change}
    arguments["plan"] = replace(PLAN, augment=arguments.pop("augment", None))
    with pytest.raises((TypeError, ValueError)) as error:
        train(MODEL, arguments.pop("X"), arguments.pop("y"), **arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: UniformNoise(probability=-0.1), "probability must be >= 0, got -0.1"),
        (lambda: UniformNoise(low=1.0), "low must be < high = 1.0, got 1.0"),
        (lambda: Replacement(np.ones(3)), "source must have shape (m, ...) with an image in each row, got (3,)"),
        (lambda: Replacement(np.full((1, 2), np.nan)), "source must"),
        (lambda: Replacement(X, probability=2.0), "probability must be <= 1, got 2.0"),
        (lambda: RandomRotation(degrees=-1.0), "degrees must be >= 0, got -1.0"),
        (lambda: RandomFlip(axis="depth"), "axis must be 'horizontal' or 'vertical', got 'depth'"),
        (lambda: ColorJitter(hue=0.6), "hue must be at most 0.5, half a turn, got 0.6"),
        (lambda: ColorJitter(contrast=1.5), "contrast must be <= 1, got 1.5"),
        (
            lambda: ColorJitter()(KEY, jnp.ones((2, 2, 4))),
            "image must be grey or of three colours, got shape (2, 2, 4)",
        ),
        (lambda: TrainingPlan(n_epochs=1, sharpness_radius=0.0), "sharpness_radius must be > 0, got 0.0"),
        (lambda: interpolate(MODEL, OTHER, share=1.1), "share must be <= 1, got 1.1"),
        (
            lambda: interpolate(MODEL, MultilayerPerceptron(4, 3, width=6, depth=1, key=KEY), share=0.5),
            "other must have the architecture of model",
        ),
    ],
)
def test_what_cannot_be_made_is_refused_by_name(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
