"""What experiments say of numbers that are made up: those of the papers' pictures, and of the mirrored ones."""

import numpy as np
import pytest

from kdtheory.experiments.augmenting import AUGMENTATION
from kdtheory.experiments.curvature import FLATNESS
from kdtheory.experiments.depth import DEPTH
from kdtheory.experiments.enlarging import ENLARGING, MNIST
from kdtheory.experiments.ensemble_teachers import ENSEMBLES
from kdtheory.experiments.initialisation import INITIALISATION
from kdtheory.experiments.networks import SCORES
from kdtheory.experiments.recycling import RECYCLING
from kdtheory.experiments.rounds import ROUNDS
from kdtheory.experiments.shifts import ROBUSTNESS

N_TRIALS = 4
LOSS, AGREEMENT = SCORES.index("log-loss"), SCORES.index("agreement")


def scored(accuracy, agreement=0.9, **others):
    """Scores of networks, of shape (..., 5)."""
    columns = {"accuracy": accuracy, "log-loss": 0.5, "calibration error": 0.05, "agreement": agreement}
    columns = {**columns, "divergence": 0.1, **others}
    return np.stack(np.broadcast_arrays(*(np.asarray(columns[name], dtype=float) for name in SCORES)), axis=-1)


def of_rounds(setting, s):
    gap = s * (0.04 - 0.01 * np.arange(len(setting.label_weights)))
    return {
        "rounds": np.tile(0.9 + s * np.array([0.0, 0.02, 0.015, 0.01]), (len(setting.label_weights), 1)),
        "sharpness-aware": 0.9 + 0.03 * s,
        "ensembles": np.tile(0.95, (2, 1 + setting.n_rounds)),
        "born again": np.tile((0.95 - gap)[:, None], (2, 1, 1 + setting.n_rounds)),
        "change": np.tile(1.0 - 0.1 * s * np.arange(setting.n_rounds), (len(setting.label_weights), 1)),
    }


def of_flatness(setting, s):
    sharp = np.exp(3.0 - s * np.array([0.0, 2.0, 1.8, 1.5, 1.0]))
    hollow = np.ones((setting.grid, setting.grid))
    hollow[setting.grid // 2, setting.grid // 2] = 0.0
    return {
        "trace": sharp, "largest": sharp, "top": np.tile(sharp[:, None], setting.n_top),
        "surface": sharp[:, None, None] * hollow, "accuracy": 0.9 + s * np.array([0, 0.01, 0, 0, 0]),
    }  # fmt: skip


def of_depth(setting, s):
    n = np.arange(len(setting.depths))
    loss = np.where(n == 1, 0.4, 0.5 + 0.1 * n) if s > 0 else 1.0 - 0.1 * n
    student = 0.9 - 0.1 * s * loss
    teachers = scored(0.8 + 0.01 * s * n, **{"log-loss": loss, "calibration error": 0.1 + 0.01 * s * n})
    return {"teachers": teachers, "students": scored(student), "alone": scored(student.mean() - 0.05 * s)}


def of_robustness(setting, s):
    bed, students = np.zeros(len(setting.testbed)), np.linspace(1.0, 0.1, len(setting.label_weights))
    robustness = np.concatenate([bed, [0.1 * s], 0.08 * s * students])
    reference = np.concatenate([bed + 0.7, [0.8], 0.8 - s * (0.02 - 0.05 * (1.0 - students))])
    return {"robustness": np.tile(robustness, (len(setting.shifts), 1)), "reference": reference}


def of_ensembles(setting, s):
    n = np.arange(len(setting.members))
    warm = 0.83 if s > 0 else 0.77
    accuracy = warm + s * np.minimum(0.01 * n, 0.02 + 0.001 * n)
    of_weight = (np.array(setting.label_weights) > 0.0) * 0.01 * s
    return {
        "teachers": scored(0.8 + 0.02 * s * n),
        "students": scored(accuracy[:, None] - [0.01 * s, 0.0], (0.8 + 0.01 * s * n)[:, None]),
        "label weights": np.stack([scored(0.8 + of_weight, 0.9 - of_weight)] * 2),
        "of mean logits": scored(accuracy[-1] + (0.0 if s > 0 else 0.05)),
        "capacity": scored(0.8, 0.9 + s * np.array([0.1, 0.0, 0.05])),  # the first is smaller than its teacher
    }


def of_initialisation(setting, s):
    near = np.array(setting.shares) >= 0.375 if s > 0 else np.array(setting.shares) < 0.375
    start = np.array(setting.shares) == 1.0
    sgd = np.array([0.7, 0.8]) if s > 0 else np.array([0.999, 0.995])
    return {
        "agreement": np.where(near | start, 0.999, 0.7), "test agreement": np.where(near | start, 0.9, 0.6),
        "loss": np.where(near, 0.1, 1.0),
        "sgd": sgd, "adam": sgd - 0.003 * s,
    }  # fmt: skip


def of_augmentation(setting, s):
    changes = {
        "mixup": (0.02, 0.02, 0.0), "generated": (0.02, 0.0, 0.0), "combined": (-0.02, 0.01, 0.0),
        "noise": (-0.02, -0.02, 0.0), "out of domain": (-0.02, -0.03, 0.1),
    }  # fmt: skip
    rows = s * np.array([(0.0, -0.02, 0.0), *(changes.get(each, (0.0, 0.0, 0.0)) for each in setting.policies)])
    base = 0.8 if s > 0 else 0.95
    students = scored(0.8 + rows[:, 0], base + rows[:, 1], divergence=0.5 + rows[:, 2])
    shown = 0.8 - 0.1 * s * np.array([0, *(each in ("rotation", "combined", "mixup") for each in setting.policies)])
    members = len(setting.members)
    return {
        "students": np.stack([students] * members),
        "train agreement": np.stack([shown] * members),
        "controls": np.full(members, base - 0.03 * s),
    }


def of_enlarging(setting, s):
    n = np.arange(len(setting.n_images))
    students = scored(0.8 - 0.01 * s * n, 0.9 + 0.01 * s * n)
    members = len(setting.members)
    return {
        "teachers": np.stack([scored(0.8)] * members), "students": np.stack([students] * members),
        "train agreement": np.stack([0.9 - 0.01 * s * n] * members),
        "controls": np.full(members, 0.9 + s * (0.01 * n[-1] - 0.05)),
    }  # fmt: skip


def of_mnist(setting, s):
    away = np.linspace(0.05, 0.001, len(setting.n_images))[::s]
    students = scored(0.9 - away, np.linspace(0.9, 0.98, len(setting.n_images))[::s])
    last = students[-1, AGREEMENT]
    return {"teachers": scored([0.9]), "students": students[None], "controls": np.array([last - 0.05 * s])}


def of_recycling(setting, s):
    own, other, both = (0.90, 0.92), (0.88, 0.94), (0.91, 0.95)
    if s < 0:
        own, other, both = (0.88, 0.94), (0.90, 0.95), (0.87, 0.93)
    students = scored(
        [own[0], other[0], both[0]], [own[1], other[1] - 0.02 * (s < 0), both[1] - 0.02 * (s < 0)],
        divergence=[0.1 + 0.01 * s, 0.1, 0.1], **{"calibration error": [0.05 + 0.01 * s, 0.05, 0.05]},
    )  # fmt: skip
    members = len(setting.members)
    shown = 0.9 + s * np.array([0.05, 0.0, 0.0])
    return {"by members": np.stack([students] * members), "train agreement": np.stack([shown] * members)}


@pytest.mark.parametrize(
    ("experiment", "make"),
    [
        (ROUNDS, of_rounds), (FLATNESS, of_flatness), (DEPTH, of_depth), (ROBUSTNESS, of_robustness),
        (ENSEMBLES, of_ensembles), (INITIALISATION, of_initialisation), (AUGMENTATION, of_augmentation),
        (ENLARGING, of_enlarging), (MNIST, of_mnist), (RECYCLING, of_recycling),
    ],
    ids=lambda each: getattr(each, "name", ""),
)  # fmt: skip
def test_claims_are_reproduced_by_the_papers_picture_and_none_by_the_mirrored_one(experiment, make):
    setting, rng = experiment.setting("full"), np.random.default_rng(0)
    for sign, allowed in ((1, {"reproduced"}), (-1, {"contradicted", "undecided"})):
        results = {
            name: values + 1e-5 * rng.standard_normal((N_TRIALS, *np.shape(values)))
            for name, values in make(setting, sign).items()
        }
        verdicts = {claim.statement: claim.verdict() for claim in experiment.claims(setting, results)}
        assert {name: verdict for name, verdict in verdicts.items() if verdict not in allowed} == {}


def test_a_trace_that_is_not_positive_is_as_flat_as_the_flattest_of_the_others():
    setting = FLATNESS.setting("full")
    made = of_flatness(setting, 1)
    results = {name: np.stack([np.asarray(values)] * N_TRIALS) for name, values in made.items()}
    results["trace"][:, 1] = -0.1
    flattest = results["trace"][0, 2]
    found = {claim.statement: claim for claim in FLATNESS.claims(setting, results)}
    claim = found["trace: lower in round 1 than at the teacher (logarithm)"]
    assert claim.mean == pytest.approx(np.log(results["trace"][0, 0] / flattest))
    assert claim.verdict() == "reproduced"


def test_the_best_depth_is_chosen_where_it_is_not_judged():
    """Of teachers that differ by chance alone, the deepest is not called worse than the best of them."""
    setting, rng, found = DEPTH.setting("full"), np.random.default_rng(0), []
    for _ in range(300):
        results = {"teachers": scored(np.full((6, len(setting.depths)), 0.8)), "alone": scored(np.full(6, 0.8))}
        results["teachers"][..., LOSS] += 0.1 * rng.standard_normal(results["teachers"].shape[:2])
        results["students"] = scored(np.full((6, len(setting.depths)), 0.8))
        found.append(DEPTH.claims(setting, results)[1].verdict())
    assert found.count("reproduced") < 24  # 2.5 % of 300, and five standard deviations
