"""Training against plain references: optimisers and losses by hand, steps that are compiled once, what is recorded."""

import logging
import re

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pandas as pd
import pytest

from kdtheory.nets import (
    DistillationLoss,
    MultilayerPerceptron,
    Snapshot,
    TrainingPlan,
    _steps,
    train,
)

RNG = np.random.default_rng(0)
X = RNG.standard_normal((22, 4))
Y = RNG.integers(0, 3, 22)
LOGITS = RNG.standard_normal((22, 3))
MODEL = MultilayerPerceptron(4, 3, width=5, depth=1, key=jax.random.key(0))


def leaves(model):
    return [np.asarray(leaf) for leaf in jax.tree.leaves(model)]


def assert_same(one, other, **tolerance):
    for left, right in zip(leaves(one), leaves(other), strict=True):
        np.testing.assert_allclose(left, right, **tolerance)


def batches(plan, n_points):
    """Points of every step, in the order that the documentation promises to depend on seed and epoch alone."""
    for epoch in range(plan.n_epochs):
        order = np.random.default_rng([plan.seed, epoch]).permutation(n_points)
        for start in range(0, n_points, plan.batch_size):
            yield order[start : start + plan.batch_size]


def trained_by_hand(model, plan, update):
    def mean_loss(some, chosen):
        logits = jax.vmap(some)(jnp.asarray(X)[chosen])
        return -jnp.mean(jax.nn.log_softmax(logits)[jnp.arange(len(chosen)), jnp.asarray(Y)[chosen]])

    gradient = eqx.filter_jit(eqx.filter_grad(mean_loss))
    memory = [{} for _ in leaves(model)]
    rates = plan.learning_rates(len(X))
    for step, chosen in enumerate(batches(plan, len(X))):
        found = leaves(gradient(model, chosen))
        if plan.clip_norm is not None:
            norm = np.sqrt(sum(np.sum(each**2) for each in found))
            found = [each * min(1.0, plan.clip_norm / norm) for each in found]
        new = [
            value - rates[step] * update(slot, each, value, step + 1)
            for slot, each, value in zip(memory, found, leaves(model), strict=True)
        ]
        model = jax.tree.unflatten(jax.tree.structure(model), new)
    return model


def nesterov(slot, gradient, value, _):
    gradient = gradient + 0.01 * value
    slot["trace"] = gradient + 0.9 * slot.get("trace", 0.0)
    return gradient + 0.9 * slot["trace"]


def heavy_ball(slot, gradient, *_):
    slot["trace"] = gradient + 0.8 * slot.get("trace", 0.0)
    return slot["trace"]


def adam(slot, gradient, value, step):
    del value
    slot["first"] = 0.9 * slot.get("first", 0.0) + 0.1 * gradient
    slot["second"] = 0.999 * slot.get("second", 0.0) + 0.001 * gradient**2
    return slot["first"] / (1 - 0.9**step) / (np.sqrt(slot["second"] / (1 - 0.999**step)) + 1e-8)


OPTIMISERS = {
    "nesterov": (
        {"learning_rate": 0.2, "momentum": 0.9, "weight_decay": 0.01, "clip_norm": 0.3, "schedule": "cosine"},
        nesterov,
    ),
    "heavy ball": (
        {"learning_rate": 0.1, "momentum": 0.8, "nesterov": False, "schedule": "step", "decay_epochs": (1, 2)},
        heavy_ball,
    ),
    "adam": (
        {"optimiser": "adam", "weight_decay": 0.02, "learning_rate": 0.05, "warm_up_epochs": 1.5},
        lambda slot, gradient, value, step: adam(slot, gradient + 0.02 * value, value, step),
    ),
    "adamw": (
        {"optimiser": "adamw", "weight_decay": 0.02, "learning_rate": 0.05},
        lambda slot, gradient, value, step: adam(slot, gradient, value, step) + 0.02 * value,
    ),
}


@pytest.mark.parametrize("name", OPTIMISERS)
def test_every_optimiser_takes_the_steps_that_are_written_out_here(name):
    settings, update = OPTIMISERS[name]
    plan = TrainingPlan(n_epochs=3, batch_size=8, seed=3, **settings)
    run = train(MODEL, X, Y, plan=plan)
    assert_same(run.model, trained_by_hand(MODEL, plan, update), rtol=1e-9, atol=1e-12)


def test_learning_rates_rise_fall_and_drop_where_planned():
    rates = TrainingPlan(n_epochs=10, batch_size=5, learning_rate=2.0, warm_up_epochs=2, schedule="cosine")
    expected = [*np.arange(4) / 2, *(1 + np.cos(np.pi * np.arange(16) / 16))]
    assert rates.learning_rates(10) == pytest.approx(expected, rel=1e-6, abs=1e-6)
    drops = TrainingPlan(
        n_epochs=6, batch_size=5, learning_rate=2.0, warm_up_epochs=1, schedule="step", decay_epochs=(3, 4.5),
        decay_factor=0.5,
    )  # fmt: skip
    assert drops.learning_rates(10) == pytest.approx([0, 1, *[2] * 4, *[1] * 3, *[0.5] * 3], rel=1e-6)
    nearly_all = TrainingPlan(n_epochs=3, learning_rate=2.0, warm_up_epochs=2.9, schedule="cosine")
    assert nearly_all.learning_rates(5) == pytest.approx([0, 1, 2])
    plan = TrainingPlan(n_epochs=2, learning_rate=0.3)
    assert plan.learning_rates(7) == pytest.approx([0.3, 0.3], rel=1e-6)
    plan.learning_rates(7)[:] = 0.0  # of this answer alone
    assert plan.learning_rates(7).min() > 0.0


def test_the_history_holds_the_loss_and_accuracy_of_every_point_once_an_epoch():
    plan = TrainingPlan(n_epochs=2, batch_size=8, learning_rate=1e-12)
    run = train(MODEL, X, Y, plan=plan, teacher=LOGITS, label_weight=0.25, loss=DistillationLoss(temperature=2.0))
    logits = np.asarray(jax.vmap(MODEL)(X))
    losses = jax.vmap(DistillationLoss(temperature=2.0), (0, 0, 0, None))(logits, np.eye(3)[Y], LOGITS, 0.25)
    assert run.history["loss"].tolist() == pytest.approx([float(losses.mean())] * 2, rel=1e-6)
    assert run.history["accuracy"].tolist() == [np.mean(logits.argmax(axis=1) == Y)] * 2
    assert run.history["epoch"].tolist() == [1, 2]
    assert run.history["label_weight"].tolist() == [0.25, 0.25]


def test_a_training_has_the_precision_of_its_network():
    single = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), MODEL)
    plan = TrainingPlan(n_epochs=2, batch_size=8, optimiser="adam", learning_rate=0.01, weight_decay=0.1)
    runs = [train(model, X, Y, plan=plan, teacher=LOGITS, label_weight=0.5) for model in (single, MODEL)]
    assert [run.logits(X).dtype for run in runs] == [np.float32, np.float64]
    assert runs[0].logits(X) == pytest.approx(runs[1].logits(X), abs=1e-5)
    assert {leaf.dtype for leaf in leaves(runs[0].model)} == {np.dtype(np.float32)}


def test_one_output_has_no_accuracy():
    model = MultilayerPerceptron(4, 1, width=5, depth=1, key=jax.random.key(0))
    run = train(model, X, X[:, :1], plan=TrainingPlan(n_epochs=1), loss=DistillationLoss("squared"))
    assert run.history.columns.tolist() == ["epoch", "loss", "learning_rate", "label_weight", "seconds"]


def test_another_training_of_the_same_shapes_compiles_nothing(caplog):
    def run(seed, **plan):
        model = MultilayerPerceptron(4, 3, width=6, depth=1, key=jax.random.key(seed))
        plan = TrainingPlan(n_epochs=2, batch_size=8, momentum=0.5, seed=seed, **plan)
        weight = optax.linear_schedule(0.0, 1.0, 3) if seed else 0.5
        train(model, X * (1 + seed), Y, plan=plan, teacher=LOGITS + seed, label_weight=weight).logits(X)

    def compiled():
        messages = [re.match(r"Compiling (?:jit\()?(\w+)", each.getMessage()) for each in caplog.records]
        return [message[1] for message in messages if message]

    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        run(0, learning_rate=0.1)
        assert sum(each in ("_one", "_many") for each in compiled()) == 2  # full batches, and what is left
        caplog.clear()
        run(1, learning_rate=0.2, schedule="cosine")
        assert not {"_one", "_many", "predict"} & set(compiled())


def test_an_epoch_at_once_takes_the_same_steps_as_one_by_one(monkeypatch):
    plan = TrainingPlan(n_epochs=2, batch_size=8, optimiser="adam", learning_rate=0.05)
    at_once = train(MODEL, X, Y, plan=plan)
    monkeypatch.setattr(_steps, "has_convolution", lambda *_: True)
    one_by_one = train(MODEL, X, Y, plan=plan)
    assert_same(at_once.model, one_by_one.model, rtol=1e-9, atol=1e-12)
    assert one_by_one.history["loss"].tolist() == pytest.approx(at_once.history["loss"].tolist(), rel=1e-9)


def test_the_same_seed_gives_the_same_bits_and_another_another_order():
    def trained(seed):
        return train(MODEL, X, Y, plan=TrainingPlan(n_epochs=1, batch_size=8, learning_rate=0.1, seed=seed)).model

    assert_same(trained(1), trained(1), rtol=0)
    assert not np.array_equal(trained(1).layers[0].weight, trained(2**40).layers[0].weight)


@pytest.mark.parametrize(("end", "taken"), [(-5.6e-17, 0.0), (1.0 + 2.3e-16, 1.0)])
def test_a_schedule_that_rounding_takes_beyond_its_ends_stays_at_them(end, taken):
    """Compiled, optax's linear schedule from 1 to 0 ends at -5.6e-17."""
    plan = TrainingPlan(n_epochs=2, learning_rate=0.0625)
    run = train(MODEL, X, Y, plan=plan, teacher=LOGITS, label_weight=lambda step: 0.0 * step + end)
    assert run.history["label_weight"].tolist() == [taken, taken]
    with pytest.raises(ValueError, match="label_weight must be between 0 and 1, got -1e-06 at step 0"):
        train(MODEL, X, Y, plan=plan, teacher=LOGITS, label_weight=lambda step: 0.0 * step - 1e-6)


@pytest.mark.parametrize(("before", "after"), [(0.0, 1.0), (1.0, 0.0)])
def test_a_switch_of_the_loss_is_gradual_and_leaves_the_steps_before_it_alone(before, after):
    plan = TrainingPlan(n_epochs=6, batch_size=11, learning_rate=0.1)
    switch = optax.linear_schedule(before, after, transition_steps=4, transition_begin=4)
    seen = {}
    run = train(
        MODEL,
        X,
        Y,
        plan=plan,
        teacher=LOGITS,
        label_weight=switch,
        observe=lambda at: seen.update({at.epoch: at}) or {},
    )
    expected = before + (after - before) * np.clip((np.arange(0, 12, 2) - 4) / 4, 0, 1)
    assert run.history["label_weight"].tolist() == pytest.approx(expected)
    plain = train(MODEL, X, Y, plan=plan, teacher=LOGITS, label_weight=before, until=2)
    assert_same(seen[2].model, plain.model, rtol=0)
    assert not np.array_equal(
        run.model.layers[0].weight, train(MODEL, X, Y, plan=plan, teacher=LOGITS, label_weight=before).logits(X)
    )


def test_a_living_teacher_sees_what_augmentation_makes_of_the_points():
    plan = TrainingPlan(n_epochs=1, learning_rate=0.1, augment=lambda key, x: x + 0.0 * jax.random.normal(key) + 1.0)
    squared = DistillationLoss("squared")
    living = train(MODEL, X, Y, plan=plan, teacher=Snapshot(MODEL), loss=squared)
    assert living.history["loss"][0] == 0.0
    expected = np.sum(np.asarray(jax.vmap(MODEL)(X + 1.0) - jax.vmap(MODEL)(X)) ** 2, axis=1).mean() / 2
    frozen = train(MODEL, X, Y, plan=plan, teacher=Snapshot(MODEL).logits(X), loss=squared)
    assert frozen.history["loss"][0] == pytest.approx(expected, rel=1e-9)


def test_a_living_teacher_predicts_by_its_running_statistics():
    class Normalised(eqx.Module):
        norm: eqx.nn.BatchNorm

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return x[:3], state

    model, state = eqx.nn.make_with_state(lambda: Normalised(eqx.nn.BatchNorm(4, "batch", mode="batch")))()
    teacher = train(model, 3.0 * X + 1.0, Y, plan=TrainingPlan(n_epochs=3, batch_size=8), state=state)
    plan = TrainingPlan(n_epochs=1, batch_size=8, learning_rate=1e-12, augment=lambda _, x: x)
    losses = [
        train(MODEL, X, Y, plan=plan, teacher=each, loss=DistillationLoss("squared")).history["loss"][0]
        for each in (teacher, teacher.logits(X))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_augmentation_draws_another_variant_of_every_point_at_every_step():
    def augment(key, x):
        return jnp.full_like(x, jax.random.uniform(key))

    means = []
    for seed in (0, 0, 1):  # with one label for all, the loss depends on what was drawn alone
        plan = TrainingPlan(n_epochs=3, batch_size=11, learning_rate=1e-12, seed=seed, augment=augment)
        means.append(train(MODEL, X, 0 * Y, plan=plan).history["loss"].to_numpy())
    assert np.array_equal(means[0], means[1])
    assert np.abs(means[2] - means[0]).min() > 1e-6
    assert np.abs(np.diff(means[0])).min() > 1e-6


def test_numbers_and_arrays_are_observed_from_the_start_on():
    def observe(at):
        return {"norm": jnp.linalg.norm(at.model.layers[0].weight), "weights": at.model.layers[0].weight}

    run = train(MODEL, X, Y, plan=TrainingPlan(n_epochs=2, learning_rate=0.1), observe=observe)
    assert run.observed["weights"].shape == (3, 5, 4)
    assert np.array_equal(run.observed["weights"][0], MODEL.layers[0].weight)
    assert np.array_equal(run.observed["weights"][2], run.model.layers[0].weight)
    assert run.observed["norm"] == pytest.approx(np.linalg.norm(run.observed["weights"], axis=(1, 2)), rel=1e-12)
    assert run.history["norm"].tolist() == run.observed["norm"][1:].tolist()


def test_the_log_is_a_tidy_table_and_the_bar_counts_epochs(tmp_path, capsys):
    run = train(MODEL, X, Y, plan=TrainingPlan(n_epochs=2), log=tmp_path / "log.csv", progress=True)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), run.history)
    assert "2/2" in capsys.readouterr().err


def test_predictions_do_not_depend_on_how_points_are_split(monkeypatch):
    whole = Snapshot(MODEL).logits(X)
    monkeypatch.setattr("kdtheory.nets.training._PREDICTED_AT_ONCE", 9)
    assert Snapshot(MODEL).logits(X) == pytest.approx(whole, rel=1e-12)


def test_points_that_a_network_does_not_take_are_refused_by_name():
    with pytest.raises(TypeError, match=r"model must take points of shape \(3,\)"):
        Snapshot(MODEL).logits(X[:, :3])
    with pytest.raises(ValueError, match="X must be finite, got nan"):
        Snapshot(MODEL).logits(np.full((2, 4), np.nan))


PLAN = TrainingPlan(n_epochs=2, learning_rate=0.1)


def test_probabilities_are_outputs_like_others_of_a_teacher_by_the_squared_loss():
    run = train(MODEL, X, Y, plan=PLAN, loss=DistillationLoss("squared"), teacher=np.full((22, 3), 1 / 3))
    assert np.isfinite(run.history["loss"]).all()


def test_networks_print_on_one_line():
    run = train(MODEL, X, Y, plan=PLAN)
    assert repr(run) == "TrainingRun(MultilayerPerceptron, epoch=2)"
    assert repr(Snapshot(MODEL)) == "Snapshot(MultilayerPerceptron, epoch=0)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": np.where(X > 2, np.nan, X)}, "X must be finite, got nan"),
        ({"X": X[:, 0]}, "X must have shape (n, ...) with a point in each row, got (22,)"),
        ({"X": X[:, :3]}, "model must take points of shape (3,)"),
        ({"y": Y + 1}, "y must lie in 0..2, got 3"),
        ({"y": Y[:-1]}, "y must be 22 integers, one label a point, got shape (21,)"),
        ({"y": np.full((22, 3), 0.5)}, "y must sum to 1 in every row, got 1.5"),
        ({"y": np.full((22, 2), 0.5)}, "y must have shape (22,) or (22, 3)"),
        ({"teacher": LOGITS[:, :2]}, "teacher must have logits of shape (22, 3), as the student has them, got (22, 2)"),
        (
            {"teacher": np.full((22, 3), 1 / 3)},
            "teacher must be logits, got probabilities in every row: take their",
        ),
        ({"plan": TrainingPlan(n_epochs=2, batch_size=23)}, "batch_size must be <= 22, the number of points, got 23"),
        ({"teacher": MODEL}, "teacher must be logits or a Snapshot, got MultilayerPerceptron: Snapshot(model) makes"),
        ({"teacher": np.full((22, 3), np.inf)}, "teacher must be finite, got inf"),
        ({"teacher": LOGITS, "label_weight": 1.5}, "label_weight must be <= 1, got 1.5"),
        ({"teacher": LOGITS, "label_weight": -0.1}, "label_weight must be >= 0, got -0.1"),
        ({"teacher": LOGITS, "label_weight": lambda step: 2.0 * step}, "label_weight must be between 0 and 1, got 2.0"),
        ({"label_weight": 0.5}, "label_weight must be 1 without a teacher, got 0.5"),
        ({"plan": TrainingPlan(n_epochs=9, learning_rate=1e30)}, "the loss must stay finite"),
        ({"plan": {}}, "plan must be a TrainingPlan, got {}"),
        ({"loss": "squared"}, "loss must be a DistillationLoss, got 'squared'"),
        ({"model": 3}, "model must be a function of one point, got 3"),
        ({"model": jax.nn.relu}, "model must hold arrays that can be trained"),
        ({"until": 3}, "until must be <= n_epochs = 2, got 3"),
        ({"log": "log.txt"}, "log must end in .csv or .parquet, got 'log.txt'"),
        ({"observe": lambda _: {"name": "text"}}, "observe must give arrays of numbers, got 'name'"),
        ({"observe": lambda at: {"a": np.zeros(at.epoch)}}, "observe must give the same names and shapes each time"),
        ({"observe": lambda _: {"loss": 1.0}}, "observe must leave the name 'loss' to the history"),
        ({"observe": lambda _: 1.0}, "observe must give arrays by name, got 1.0"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(change, message):
    arguments = {"model": MODEL, "X": X, "y": Y, "plan": PLAN, **change}
    with pytest.raises((TypeError, ValueError, FloatingPointError)) as error:
        train(arguments.pop("model"), arguments.pop("X"), arguments.pop("y"), **arguments)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: DistillationLoss(temperature=0.0), "temperature must be > 0, got 0.0"),
        (lambda: DistillationLoss(temperature=float("nan")), "temperature must be finite, got nan"),
        (lambda: DistillationLoss("squared", temperature=2.0), "temperature must be 1.0 for the squared loss"),
        (lambda: DistillationLoss("hinge"), "kind must be 'cross_entropy' or 'squared', got 'hinge'"),
        (lambda: TrainingPlan(n_epochs=0), "n_epochs must be >= 1, got 0"),
        (lambda: TrainingPlan(n_epochs=1, batch_size=0), "batch_size must be >= 1, got 0"),
        (lambda: TrainingPlan(n_epochs=1, optimiser="lion"), "optimiser must be one of sgd, adam, adamw, got 'lion'"),
        (lambda: TrainingPlan(n_epochs=1, schedule="linear"), "schedule must be one of"),
        (lambda: TrainingPlan(n_epochs=2, warm_up_epochs=2), "warm_up_epochs must be < n_epochs = 2, got 2"),
        (lambda: TrainingPlan(n_epochs=2, learning_rate=0.0), "learning_rate must be > 0, got 0.0"),
        (lambda: TrainingPlan(n_epochs=2, momentum=1.0), "momentum must be > -1 and < 1, got 1.0"),
        (
            lambda: TrainingPlan(n_epochs=2, optimiser="adam", momentum=0.9),
            "momentum must be 0 for the optimiser 'adam', got 0.9",
        ),
        (lambda: TrainingPlan(n_epochs=2, nesterov="no"), "nesterov must be True or False, got 'no'"),
        (lambda: TrainingPlan(n_epochs=2, clip_norm=-1.0), "clip_norm must be > 0, got -1.0"),
        (lambda: TrainingPlan(n_epochs=2, weight_decay=-1.0), "weight_decay must be >= 0, got -1.0"),
        (lambda: TrainingPlan(n_epochs=2, decay_epochs=(1,)), "decay_epochs must be given for the schedule 'step'"),
        (lambda: TrainingPlan(n_epochs=2, schedule="step", decay_epochs=(2, 1)), "decay_epochs must increase"),
        (lambda: TrainingPlan(n_epochs=2, augment=3), "augment must be a function of a key and a point, got 3"),
        (lambda: TrainingPlan(n_epochs=2, seed=-1), "seed must be >= 0, got -1"),
    ],
)
def test_plans_and_losses_that_cannot_be_are_refused_by_name(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
