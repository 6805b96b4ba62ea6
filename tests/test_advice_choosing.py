"""The advice: its numbers against refits without each row, its widths, and the choice made again without hindsight."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge
from sklearn.preprocessing import StandardScaler

from kdtheory.advice import Advice, Gain, advise
from kdtheory.advice.choosing import gain_without_hindsight
from kdtheory.advice.widths import find_widths
from kdtheory.estimators import SelfDistilledKernelRidge
from tests.tables import frame, table


@pytest.fixture(scope="module")
def advice():
    return advise(table(frame(seed=6)), n_steps=4, seed=1)


def points_of(data):
    """Standardised numbers beside indicators of categories, by hand."""
    scaled = StandardScaler().fit_transform(data[["x"]])
    return np.column_stack([scaled, data["kind"] == "high", data["kind"] == "low"])


def refitted_errors(points, target, **parameters):
    """Squared errors at each row of a model fitted to all other rows."""
    errors = []
    for row in range(len(target)):
        others = np.arange(len(target)) != row
        model = SelfDistilledKernelRidge(**parameters).fit(points[others], target[others])
        errors.append(float(model.predict(points[[row]])[0] - target[row]) ** 2)
    return np.array(errors)


def test_the_reported_errors_are_those_of_refits_without_each_row(advice):
    data = frame(seed=6)
    points, target = points_of(data), data["y"].to_numpy()
    numbers = advice.to_dict()
    chosen, plain = numbers["chosen"], numbers["plain"]
    assert chosen["n_steps"] > 1
    parameters = {name: chosen[name] for name in ("ridge", "n_steps", "label_weight", "gamma")}
    distilled = refitted_errors(points, target, **parameters)
    alone = refitted_errors(points, target, ridge=plain["ridge"], gamma=plain["gamma"], n_steps=1)
    of_mean = np.mean([(np.delete(target, row).mean() - target[row]) ** 2 for row in range(60)])
    assert chosen["error"] == pytest.approx(distilled.mean(), rel=1e-8)
    assert plain["error"] == pytest.approx(alone.mean(), rel=1e-8)
    assert numbers["error_of_mean"] == pytest.approx(of_mean, rel=1e-12)
    assert chosen["r2"] == pytest.approx(1.0 - distilled.mean() / of_mean, rel=1e-8)
    gains = alone - distilled
    measured = numbers["gain"]["measured"]
    assert measured["value"] == pytest.approx(gains.mean(), rel=1e-6)
    assert measured["standard_error"] == pytest.approx(np.sqrt(np.sum((gains - gains.mean()) ** 2) / 59 / 60), rel=1e-6)
    assert measured["share"] == pytest.approx(gains.mean() / alone.mean(), rel=1e-6)


def test_the_best_kernel_ridge_regression_is_no_worse_than_that_of_scikit_learn(advice):
    data = frame(seed=6)
    points, target = points_of(data), data["y"].to_numpy()
    for ridge, gamma in [(0.1, 0.5), (0.3, 2.0), (1.0, 1.0)]:
        errors = []
        for row in range(60):
            others = np.arange(60) != row
            mean = target[others].mean()
            model = KernelRidge(alpha=ridge, kernel="rbf", gamma=gamma).fit(points[others], target[others] - mean)
            errors.append(float(model.predict(points[[row]])[0] + mean - target[row]) ** 2)
        assert advice.measured.plain_error < 1.05 * np.mean(errors)


def test_the_model_takes_rows_as_they_are(advice):
    data = frame(seed=6)
    chosen = advice.to_dict()["chosen"]
    parameters = {name: chosen[name] for name in ("ridge", "n_steps", "label_weight", "gamma")}
    expected = SelfDistilledKernelRidge(**parameters).fit(points_of(data), data["y"]).predict(points_of(data))
    assert advice.model.predict(data.assign(more="than needed")) == pytest.approx(expected, abs=1e-9)
    assert np.all(np.isfinite(advice.model.predict(data.assign(kind="neither"))))


def test_the_best_width_and_the_best_plain_one_have_worse_neighbours_half_an_octave_away():
    rng = np.random.default_rng(2)
    points = rng.uniform(-2.0, 2.0, (320, 2))
    target = np.sin(4.0 * points[:, 0]) * points[:, 1] + 0.2 * rng.standard_normal(320)
    seen = []
    widths = find_widths(points, target, n_steps=2, generator=np.random.default_rng(0), announce=seen.append)
    gammas = np.array([width.gamma for width in widths])
    assert np.all(np.diff(gammas) > 0)
    assert sorted(seen) == gammas.tolist()
    for errors in ([width.score for width in widths], [width.plain_error for width in widths]):
        best = int(np.argmin(errors))
        assert 0 < best < len(widths) - 1
        assert gammas[best + 1] / gammas[best] == pytest.approx(np.sqrt(2.0))
        assert gammas[best] / gammas[best - 1] == pytest.approx(np.sqrt(2.0))
    assert gammas[np.argmin([width.plain_error for width in widths])] == pytest.approx(2.0, rel=0.8)


def chosen_again(scores, inside):
    """Plain and chosen scores at all points, candidate by candidate."""
    best, best_sum, plain, plain_sum = None, np.inf, None, np.inf
    for of_width in scores:
        tops = []
        for step in range(of_width.shape[1]):
            sums = [sum(of_width[ridge, step, point] for point in inside) for ridge in range(len(of_width))]
            tops.append((min(sums), int(np.argmin(sums))))
        least = min(tops)[0]
        of_least = of_width[tops[[top[0] for top in tops].index(least)][1], [top[0] for top in tops].index(least)]
        for step, (total, ridge) in enumerate(tops):
            worse = np.array([of_width[ridge, step, point] - of_least[point] for point in inside])
            allowed = np.sqrt(np.sum((worse - worse.mean()) ** 2) * len(inside) / (len(inside) - 1))
            if total - least <= allowed and (step == 0 or total < tops[0][0]):
                if total < best_sum:
                    best, best_sum = of_width[ridge, step], total
                break
        if tops[0][0] < plain_sum:
            plain, plain_sum = of_width[tops[0][1], 0], tops[0][0]
    return plain, best


def test_without_hindsight_every_choice_is_made_by_the_other_folds():
    rng = np.random.default_rng(4)
    scores = [rng.gamma(1.0, size=(3, 4, 37)) / 37 * (1.0 - 0.15 * np.arange(4))[:, None] for _ in range(2)]
    dealt = np.random.default_rng(9)
    losses, plain_losses = np.zeros(37), np.zeros(37)
    for _ in range(20):
        folds = dealt.permutation(37) % 10
        for fold in range(10):
            plain, chosen = chosen_again(scores, np.flatnonzero(folds != fold))
            plain_losses[folds == fold] += 37 * plain[folds == fold] / 20
            losses[folds == fold] += 37 * chosen[folds == fold] / 20
    gain = gain_without_hindsight(scores, np.random.default_rng(9))
    differences = plain_losses - losses
    assert gain.plain_error == pytest.approx(plain_losses.mean(), rel=1e-12)
    assert gain.distilled_error == pytest.approx(losses.mean(), rel=1e-12)
    assert gain.standard_error == pytest.approx(differences.std(ddof=1) / np.sqrt(37), rel=1e-12)
    assert gain.value == pytest.approx(differences.mean(), rel=1e-12)
    assert gain.value != 0.0


def test_the_best_of_many_equal_candidates_gains_nothing_without_hindsight():
    rng = np.random.default_rng(0)
    gains, hindsight = [], []
    for seed in range(30):
        scores = rng.gamma(1.0, size=(8, 6, 100)) / 100
        gains.append(gain_without_hindsight([scores], np.random.default_rng(seed)).value)
        hindsight.append(scores[:, 0].sum(axis=1).min() - scores.sum(axis=2).min())
    assert np.mean(hindsight) > 0.03
    assert np.mean(gains) < 2.0 * np.std(gains) / np.sqrt(30)


def test_both_kinds_of_model_have_the_width_that_is_best_for_them():
    widths = [SimpleNamespace(score=score, plain_error=plain) for score, plain in [(0.3, 0.5), (0.2, 0.4), (0.25, 0.3)]]
    gain = Gain(0.0, 0.0, 1.0, 1.0)
    found = Advice(None, None, widths, 1.0, gain, gain, None, 0, 0)
    assert (found.chosen, found.plain) == (widths[1], widths[2])


def test_a_width_is_judged_by_the_score_of_its_chosen_model(advice):
    for width in advice.widths:
        results = width.model.cv_results_
        assert width.score == pytest.approx(-results["selection_score"][width.model.best_index_], rel=1e-9)
        plain = -results["mean_test_score"][results["param_n_steps"] == 1]
        assert width.plain_error == pytest.approx(plain.min(), rel=1e-9)


def test_the_scores_of_points_add_up_to_those_of_candidates(advice):
    width = advice.chosen
    found = -width.model.cv_results_["selection_score"].reshape(width.point_scores.shape[:2])
    totals = width.point_scores.sum(axis=2)
    assert np.all(totals <= found * (1.0 + 1e-9))
    assert totals[:, 0] == pytest.approx(found[:, 0], rel=1e-9)


@pytest.mark.parametrize(
    ("value", "error", "verdict"),
    [(0.3, 0.14, "yes"), (0.3, 0.16, "cannot be told"), (0.0, 0.009, "no"), (0.0, 0.011, "cannot be told"),
     (-0.3, 0.1, "no"), (0.01, 0.001, "yes"), (0.0, 0.0, "no")],
)  # fmt: skip
def test_the_verdict_asks_for_two_standard_errors(value, error, verdict):
    assert Gain(value, error, 1.0, 1.0 - value).verdict == verdict


def test_a_model_without_error_is_not_helped():
    gain = Gain.of(np.zeros(5), np.zeros(5))
    assert (gain.verdict, gain.share, gain.share_standard_error) == ("no", 0.0, 0.0)


def test_outer_folds_judge_what_has_seen_nothing_of_them():
    data = frame(n=45)
    found = advise(table(data), n_steps=2, n_outer_folds=3)
    assert found.gain is found.refitted
    assert found.verdict == found.refitted.verdict
    assert found.refitted.plain_error == pytest.approx(found.measured.plain_error, rel=1.0)
    assert "in 3 outer folds" in "\n".join(found.summary)
    noise = data.assign(y=np.random.default_rng(0).standard_normal(45))
    blind = advise(table(noise), n_steps=2, n_outer_folds=3)
    assert blind.refitted.distilled_error > 0.8 * np.var(noise["y"])


def test_the_same_seed_gives_the_same_advice_in_json(advice):
    again = advise(table(frame(seed=6)), n_steps=4, seed=1)
    assert again.to_json() == advice.to_json()
    assert json.loads(again.to_json())["verdict"] == advice.verdict


def test_more_rows_than_can_be_decomposed_are_approximated_and_that_is_said(monkeypatch):
    monkeypatch.setattr("kdtheory.advice.widths.MOST_POINTS_OF_EIGH", 50)
    found = advise(table(), n_steps=2)
    assert repr(found.chosen.model.solver_) == "Nystrom()"
    assert "Nyström, with 1,000 landmarks" in "\n".join(found.summary)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"n_steps": 1}, "n_steps must be >= 2, got 1"),
        ({"n_outer_folds": 1}, "n_outer_folds must be 0, or from 2 to the number of rows, 60, got 1"),
        ({"n_outer_folds": 61}, "n_outer_folds must be 0, or from 2 to the number of rows, 60, got 61"),
        ({"seed": -1}, "seed must be >= 0, got -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        advise(table(), **options)
