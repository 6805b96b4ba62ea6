"""Trainings that are killed go on and end with the same bits; files that do not fit are refused by name."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pandas as pd
import pytest

from kdtheory.nets import (
    DistillationLoss,
    MultilayerPerceptron,
    RandomFeatures,
    Sequential,
    Snapshot,
    TrainingPlan,
    load_network,
    save_network,
    train,
)
from kdtheory.nets.checkpoints import write

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((20, 4)), RNG.integers(0, 3, 20)
TEACHER = RNG.standard_normal((20, 3))
MODEL = MultilayerPerceptron(4, 3, width=6, depth=1, key=jax.random.key(0))


def jitter(key, x):
    return x + 0.1 * jax.random.normal(key, x.shape)


PLAN = TrainingPlan(
    n_epochs=5, batch_size=8, optimiser="adam", learning_rate=0.02, schedule="cosine", weight_decay=0.01, augment=jitter
)


class Killed(Exception):
    pass


def observe(at):
    return {"first": at.model.layers[0].weight, "norm": np.linalg.norm(at.model.layers[1].weight)}


def training(path, *, plan=PLAN, observe=observe, **how):
    return train(MODEL, X, Y, plan=plan, teacher=TEACHER, observe=observe, checkpoint=path, **how)


def assert_same_bits(one, other):
    for left, right in zip(jax.tree.leaves(one.model), jax.tree.leaves(other.model), strict=True):
        assert np.array_equal(left, right)
    pd.testing.assert_frame_equal(
        one.history.drop(columns="seconds"), other.history.drop(columns="seconds"), check_exact=True
    )
    assert one.observed.keys() == other.observed.keys()
    assert all(np.array_equal(one.observed[name], other.observed[name]) for name in one.observed)


@pytest.mark.parametrize("epoch", [0, 1, 3])
def test_a_training_that_breaks_off_goes_on_and_ends_with_the_same_bits(tmp_path, epoch):
    def break_off(at):
        if at.epoch == epoch + 1:
            raise Killed
        return observe(at)

    with pytest.raises(Killed):
        training(tmp_path / "run", observe=break_off)
    seen = []
    resumed = training(tmp_path / "run", observe=lambda at: (seen.append(at.epoch), observe(at))[1])
    assert seen == list(range(epoch + 1, 6))
    assert_same_bits(resumed, training(None))
    assert [each.name for each in tmp_path.iterdir()] == ["run"]


def test_a_finished_training_is_read_and_not_repeated(tmp_path):
    one = training(tmp_path / "run")
    again = training(tmp_path / "run")
    assert_same_bits(one, again)
    assert again.history["seconds"].tolist() == one.history["seconds"].tolist()


@pytest.mark.parametrize("until", [2, 5])
def test_a_log_that_a_kill_left_behind_is_brought_up_to_the_checkpoint(tmp_path, until):
    training(tmp_path / "run", until=until, log=tmp_path / "log.csv")
    (tmp_path / "log.csv").write_text("epoch\n1\n")
    run = training(tmp_path / "run", until=until, log=tmp_path / "log.csv")
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "log.csv"), run.history)


def test_a_network_is_read_from_the_checkpoint_of_its_training(tmp_path):
    model, other = (RandomFeatures(4, 3, n_features=5, key=jax.random.key(seed)) for seed in (0, 1))
    plan = TrainingPlan(n_epochs=3, optimiser="adam")
    early = train(model, X, Y, plan=plan, checkpoint=tmp_path / "run", until=2)
    again = load_network(tmp_path / "run", other)
    assert np.array_equal(again.weights, early.model.weights)
    assert np.array_equal(again.directions.value, model.directions.value)


def test_an_early_stop_can_go_on_from_its_checkpoint(tmp_path):
    early = training(tmp_path / "run", until=2)
    assert (early.epoch, len(early.history), len(early.observed["norm"])) == (2, 2, 3)
    assert_same_bits(training(tmp_path / "run"), training(None))
    with pytest.raises(ValueError, match="until must be >= the 5 epochs of the checkpoint, got 2"):
        training(tmp_path / "run", until=2)


def test_running_statistics_and_momentum_are_resumed_too(tmp_path):
    class Normalised(eqx.Module):
        norm: eqx.nn.BatchNorm
        layer: eqx.nn.Linear

        def __init__(self):
            self.norm = eqx.nn.BatchNorm(4, "batch", mode="batch")
            self.layer = eqx.nn.Linear(4, 3, key=jax.random.key(0))

        def __call__(self, x, state):
            x, state = self.norm(x, state)
            return self.layer(x), state

    model, state = eqx.nn.make_with_state(Normalised)()
    plan = TrainingPlan(n_epochs=4, batch_size=8, learning_rate=0.1, momentum=0.9)
    train(model, X, Y, plan=plan, state=state, checkpoint=tmp_path / "run", until=2)
    resumed = train(model, X, Y, plan=plan, state=state, checkpoint=tmp_path / "run")
    read = Snapshot(*load_network(tmp_path / "run", model, state))
    assert np.array_equal(read.logits(X), resumed.logits(X))
    with pytest.raises(ValueError, match="path must hold the architecture that is given, got .* with state"):
        load_network(tmp_path / "run", model)
    whole = train(model, X, Y, plan=plan, state=state)
    assert_same_bits(resumed, whole)
    assert np.array_equal(resumed.logits(X), whole.logits(X))


def test_a_diverging_training_leaves_the_last_epoch_that_did_not(tmp_path):
    plan = TrainingPlan(n_epochs=6, learning_rate=0.1, schedule="step", decay_epochs=(2,), decay_factor=1e200)
    with pytest.raises(FloatingPointError, match="the loss must stay finite, got nan in epoch 4: learning_rate = 0.1"):
        train(MODEL, X, Y, plan=plan, checkpoint=tmp_path / "run")
    left = train(MODEL, X, Y, plan=plan, checkpoint=tmp_path / "run", until=3)
    assert (left.epoch, len(left.history)) == (3, 3)


SCRIPT = """
import os, signal, sys
import jax
from tests.test_nets_checkpoints import observe, training

def observe_and_die(at):
    if at.epoch == 3 and "die" in sys.argv:
        os.kill(os.getpid(), signal.SIGKILL)
    return observe(at)

training(sys.argv[1], observe=observe_and_die)
"""


def test_a_killed_process_is_resumed_by_another(tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    run = [sys.executable, "-c", "import tests.conftest\n" + SCRIPT, str(tmp_path / "run")]
    assert subprocess.run([*run, "die"], env=environment, timeout=60, check=False).returncode == -signal.SIGKILL
    assert [each.name for each in tmp_path.iterdir()] == ["run"]
    assert_same_bits(training(tmp_path / "run"), training(None))


def test_a_write_that_fails_leaves_the_file_before_it(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write(path, {"a": np.ones(3)}, {})
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="no space"):
        write(path, {"a": np.zeros(3)}, {})
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["file"]


def fail(_):
    raise OSError("no space left on device")


def other_weights(path):
    model = MultilayerPerceptron(4, 3, width=6, depth=1, key=jax.random.key(1))
    train(model, X, Y, plan=PLAN, teacher=TEACHER, observe=observe, checkpoint=path)


def other_width(path):
    model = MultilayerPerceptron(4, 3, width=7, depth=1, key=jax.random.key(0))
    train(model, X, Y, plan=PLAN, teacher=TEACHER, checkpoint=path)


def other_depth(path):
    model = MultilayerPerceptron(4, 3, width=6, depth=2, key=jax.random.key(0))
    train(model, X, Y, plan=PLAN, teacher=TEACHER, checkpoint=path)


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-7])


def other_format(path):
    from safetensors.numpy import save_file

    save_file({"a": np.ones(2)}, path)


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (other_width, "checkpoint must hold the architecture that is given"),
        (other_depth, "checkpoint must hold the architecture that is given"),
        (other_weights, "of another model: remove the file to start again"),
        (
            lambda path: training(path, plan=replace(PLAN, learning_rate=0.03, augment=None)),
            "of another plan: remove the file to start again; plan.learning_rate is 0.02 there and 0.03 here;"
            " plan.augment is <function jitter> there and None here",
        ),
        (lambda path: training(path, label_weight=0.5), "of another label_weight"),
        (
            lambda path: training(path, loss=DistillationLoss(temperature=2.0)),
            "of another loss: remove the file to start again; loss.temperature is 1.0 there and 2.0 here",
        ),
        (lambda path: train(MODEL, X + 1, Y, plan=PLAN, teacher=TEACHER, checkpoint=path), "of another X"),
        (lambda path: train(MODEL, X, (Y + 1) % 3, plan=PLAN, teacher=TEACHER, checkpoint=path), "of another y"),
        (lambda path: train(MODEL, X, Y, plan=PLAN, teacher=-TEACHER, checkpoint=path), "of another teacher"),
        (lambda path: (cut_short(path), training(path)), "checkpoint must be a whole file of a training"),
        (lambda path: (path.write_bytes(b""), training(path)), "checkpoint must be a whole file of a training"),
        (lambda path: (other_format(path), training(path)), "checkpoint must be a file of a training"),
        (lambda path: (path.unlink(), path.mkdir(), training(path)), "checkpoint must be a file"),
        (lambda path: training(path / "below"), ""),
        (lambda path: training(path.parent / "missing" / "run"), ""),
        (lambda path: training(path, observe=lambda _: {}, until=3), "observe must give the same names and shapes"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused_by_name(tmp_path, checkpointed, attempt, message):
    path = tmp_path / "run"
    path.write_bytes(checkpointed)
    with pytest.raises((ValueError, OSError)) as error:
        attempt(path)
    assert message in str(error.value)


def scaled_jitter(key, x, *, scale):
    return x + scale * jax.random.normal(key, x.shape)


def features(scale):
    return RandomFeatures(4, 3, n_features=5, scale=scale, key=jax.random.key(0))


SHORT = TrainingPlan(n_epochs=2)


@pytest.mark.parametrize(
    ("one", "other", "what"),
    [
        ({"model": features(1.0)}, {"model": features(2.0)}, "model"),
        (
            {"plan": replace(SHORT, augment=partial(scaled_jitter, scale=0.1))},
            {"plan": replace(SHORT, augment=partial(scaled_jitter, scale=0.2))},
            "plan",
        ),
        (
            {"plan": replace(SHORT, augment=Sequential(partial(scaled_jitter, scale=0.1), jitter))},
            {"plan": replace(SHORT, augment=Sequential(jitter, jitter))},
            "plan",
        ),
        (
            {"plan": replace(SHORT, augment=jitter), "teacher": Snapshot(MODEL)},
            {"plan": replace(SHORT, augment=jitter), "teacher": Snapshot(MODEL).logits(X)},
            "teacher",
        ),
    ],
    ids=["a number in the model", "an argument of the augmentation", "one of many augmentations", "a living teacher"],
)
def test_what_a_training_has_besides_arrays_must_be_the_same_too(tmp_path, one, other, what):
    for each, until in ((one, 1), (one, 2)):
        train(**{"model": MODEL, "X": X, "y": Y, "plan": SHORT, **each}, checkpoint=tmp_path / "run", until=until)
    with pytest.raises(ValueError, match=f"of another {what}: remove the file"):
        train(**{"model": MODEL, "X": X, "y": Y, "plan": SHORT, **other}, checkpoint=tmp_path / "run")


@pytest.fixture(scope="module")
def checkpointed(tmp_path_factory):
    path = tmp_path_factory.mktemp("checkpoint") / "run"
    training(path, until=2)
    return path.read_bytes()


def test_networks_are_read_into_their_architecture_alone(tmp_path):
    path = tmp_path / "network"
    model, other = (RandomFeatures(4, 3, n_features=5, key=jax.random.key(seed)) for seed in (0, 1))
    save_network(path, model)
    again = load_network(path, other)
    assert np.array_equal(again.directions.value, model.directions.value)
    with pytest.raises(ValueError, match="path must hold the architecture that is given, got .* with model.directions"):
        load_network(path, RandomFeatures(4, 3, n_features=6, key=jax.random.key(0)))
    with pytest.raises(ValueError, match="path must hold the architecture that is given, got .* without model.layers"):
        load_network(path, MODEL)
    with pytest.raises(FileNotFoundError, match="path must be a file"):
        load_network(tmp_path / "missing", model)


def test_a_network_and_its_state_are_saved_together(tmp_path):
    model, state = eqx.nn.make_with_state(eqx.nn.BatchNorm)(3, "batch", mode="batch")
    filled = jax.tree.map(lambda leaf: leaf + 1 if eqx.is_inexact_array(leaf) else leaf, state)
    save_network(tmp_path / "network", model, filled)
    _, again = load_network(tmp_path / "network", model, state)
    for left, right in zip(jax.tree.leaves(again), jax.tree.leaves(filled), strict=True):
        assert np.array_equal(left, right)


def test_what_has_no_arrays_is_not_saved_as_a_network(tmp_path):
    with pytest.raises(TypeError, match="model must hold arrays, got Snapshot: of what `train` returns, save"):
        save_network(tmp_path / "network", Snapshot(MODEL))
    assert not list(tmp_path.iterdir())


def test_arrays_are_kept_whatever_their_layout(tmp_path):
    matrix = np.asfortranarray(RNG.standard_normal((3, 4)))
    run = train(
        MODEL, X, Y, plan=TrainingPlan(n_epochs=1), observe=lambda _: {"a": matrix}, checkpoint=tmp_path / "run"
    )
    again = train(MODEL, X, Y, plan=TrainingPlan(n_epochs=1), observe=lambda _: {}, checkpoint=tmp_path / "run")
    assert np.array_equal(again.observed["a"], run.observed["a"])
    assert np.array_equal(again.observed["a"][0], matrix)
