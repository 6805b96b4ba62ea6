"""Ensembles of networks as teachers, by both rules, against their members."""

import equinox as eqx
import jax
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

from kdtheory.nets import (
    DistillationLoss,
    Ensemble,
    LossHessian,
    Mixup,
    MultilayerPerceptron,
    RandomFeatures,
    Snapshot,
    TrainingPlan,
    train,
)

X = np.random.default_rng(0).random((12, 2, 2))
MODELS = [MultilayerPerceptron(4, 3, width=5, depth=1, key=jax.random.key(seed)) for seed in range(2)]
FEATURES = eqx.tree_at(
    lambda model: model.weights,
    RandomFeatures(4, 3, n_features=7, key=jax.random.key(2)),
    jax.random.normal(jax.random.key(3), (7, 3)),
)
MEMBERS = [Snapshot(model) for model in (*MODELS, FEATURES)]
STUDENT = MultilayerPerceptron(4, 3, width=4, depth=1, key=jax.random.key(5))
OF_MEMBERS = np.stack([np.asarray(jax.vmap(member.model)(X)) for member in MEMBERS])
EXPECTED = {
    "mean_logit": OF_MEMBERS.mean(axis=0),
    "log_mean_probability": logsumexp(log_softmax(OF_MEMBERS, axis=2), axis=0) - np.log(3.0),
}


class Normalised(eqx.Module):
    norm: eqx.nn.BatchNorm

    def __call__(self, x, state):
        x, state = self.norm(x.reshape(-1), state)
        return x[:3], state


@pytest.mark.parametrize("combine", list(EXPECTED))
def test_members_of_any_architecture_are_combined_by_the_named_rule(combine):
    found = Ensemble(MEMBERS, combine=combine)
    np.testing.assert_allclose(found.logits(X), EXPECTED[combine], rtol=1e-12)
    as_one_network = jax.vmap(found.model)(X)
    np.testing.assert_allclose(as_one_network, EXPECTED[combine], rtol=1e-12)


def test_an_ensemble_of_one_predicts_what_its_member_does():
    one = Ensemble(MEMBERS[:1])
    np.testing.assert_allclose(one.logits(X), log_softmax(OF_MEMBERS[0], axis=1), rtol=1e-12)


def test_an_ensemble_prints_on_one_line():
    assert repr(Ensemble(MEMBERS, combine="mean_logit")) == (
        "Ensemble(3 of MultilayerPerceptron, RandomFeatures, combine='mean_logit')"
    )


@pytest.mark.parametrize("combine", list(EXPECTED))
@pytest.mark.parametrize("lives", [False, True])
def test_students_learn_what_the_ensemble_says(combine, lives):
    plan = TrainingPlan(n_epochs=1, learning_rate=1e-12, augment=(lambda _, x: x) if lives else None)
    loss = DistillationLoss("squared")
    run = train(STUDENT, X, None, plan=plan, teacher=Ensemble(MEMBERS, combine=combine), loss=loss)
    away = np.asarray(jax.vmap(STUDENT)(X)) - EXPECTED[combine]
    assert run.history["loss"][0] == pytest.approx(np.sum(away**2) / len(X) / 2, rel=1e-9)


def test_members_with_a_state_predict_by_their_running_statistics():
    model, state = eqx.nn.make_with_state(lambda: Normalised(eqx.nn.BatchNorm(4, "batch", mode="batch")))()
    trained = train(model, 3.0 * X, np.arange(12) % 3, plan=TrainingPlan(n_epochs=2, batch_size=6), state=state)
    both = Ensemble([trained, MEMBERS[0]], combine="mean_logit")
    expected = (trained.logits(X) + OF_MEMBERS[0]) / 2.0
    np.testing.assert_allclose(both.logits(X), expected, rtol=1e-10)
    plan = TrainingPlan(n_epochs=1, batch_size=6, learning_rate=1e-12, augment=lambda _, x: x)
    losses = [
        train(STUDENT, X, None, plan=plan, teacher=teacher, loss=DistillationLoss("squared")).history["loss"][0]
        for teacher in (both, np.asarray(both.logits(X)))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-9)


def test_an_ensemble_teaches_about_mixtures():
    plan = TrainingPlan(n_epochs=1, learning_rate=0.1, augment=Mixup())
    assert np.isfinite(train(STUDENT, X, None, plan=plan, teacher=Ensemble(MEMBERS)).history["loss"][0])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Ensemble(MEMBERS[0]), "members must be a sequence of Snapshots, got Snapshot"),
        (lambda: Ensemble([]), "members must be one or more, got none"),
        (lambda: Ensemble(MODELS), "members must be Snapshots, got MultilayerPerceptron at index 0"),
        (
            lambda: Ensemble(MEMBERS, combine="vote"),
            "combine must be 'log_mean_probability' or 'mean_logit'",
        ),
        (
            lambda: Ensemble(
                [MEMBERS[0], Snapshot(MultilayerPerceptron(4, 2, width=5, depth=1, key=jax.random.key(0)))]
            ).logits(X),
            "members must have the same classes, got 3, 2 of them",
        ),
        (
            lambda: LossHessian(
                Ensemble([MEMBERS[0], Snapshot(MultilayerPerceptron(4, 2, width=5, depth=1, key=jax.random.key(0)))]),
                X,
                None,
                teacher=MEMBERS[0],
            ),
            "members must have the same classes, got 3, 2 of them",
        ),
    ],
)
def test_what_is_no_ensemble_is_refused_by_name(make, message):
    with pytest.raises((TypeError, ValueError)) as error:
        make()
    assert message in str(error.value)
