"""Figures of the statistical view of distillation: that curves are what they claim to be."""

import hashlib

import numpy as np
import pytest
from scipy.stats import norm

from kdtheory import datasets, noisy_sigmoid_teacher
from tests.examples import OF_TRIALS, STATISTICAL, load_example
from tests.figures import assert_common_fonts, assert_legible, assert_says_how_many_trials, assert_standard_errors


@pytest.mark.parametrize("name", STATISTICAL)
def test_figures_could_go_into_a_paper_and_numbers_are_met(name, drawn, capsys, tmp_path):
    for figure in drawn(name, capsys)[0].values():
        assert_legible(figure)
        assert_common_fonts(figure, tmp_path)
    for row in drawn.numbers(name, capsys):
        assert row.is_met, row
        assert row.source


@pytest.mark.parametrize("name", STATISTICAL)
def test_every_curve_of_trials_has_the_standard_errors_of_its_means(name, drawn, capsys):
    for figure in drawn(name, capsys)[0].values():
        assert_standard_errors(figure)
        assert_says_how_many_trials(figure, OF_TRIALS[name], "bars and bands")


def curves_of(axes):
    """Means by label."""
    return {one.get_label(): np.asarray(one.lines[0].get_ydata()) for one in axes.containers}


def test_bayes_teachers_gain_most_from_few_points_and_never_pass_the_oracle(drawn, capsys):
    example = load_example("fig_gaussian_bayes_teacher")
    figure, printed = drawn("fig_gaussian_bayes_teacher", capsys)
    panels = np.reshape(figure["gaussian_bayes_teacher"].axes, (2, 3))
    gain = curves_of(panels[1, 1])["gain"]
    sizes = dict(zip(example.SIZES, gain, strict=True))
    assert sizes[20] > 0.03
    assert sizes[20] > sizes[100] > sizes[1000] > 0.0
    for above, below in panels.T:
        curves, (oracle,) = curves_of(above), (line for line in above.lines if line.get_label() == "oracle")
        np.testing.assert_allclose(
            curves["Bayes probabilities"] - curves["labels (one-hot)"], curves_of(below)["gain"], atol=1e-12
        )
        assert np.all(curves["Bayes probabilities"] < oracle.get_ydata() + 1e-3)  # on the same test points
        assert below.get_yscale() == "symlog"
        assert below.get_ylim()[0] < 0.0
    exact = norm.cdf(oracle.get_xdata() / np.sqrt(2.0))
    np.testing.assert_allclose(oracle.get_ydata(), exact, atol=0.03)  # of few trials
    assert np.any(oracle.get_ydata() != exact)
    assert "oracle: exactly 0.9101" in printed
    assert all(f"{size:5d}  " in printed for size in example.SIZES)


def test_samples_have_both_labels_and_bayes_probabilities_without_a_penalty_give_the_oracle():
    example = load_example("fig_gaussian_bayes_teacher")
    rng = np.random.default_rng(0)
    assert all(len(np.unique(example.sample_both(example.PRINTED, 2, rng).y)) == 2 for _ in range(20))
    sample, test = example.INFORMATIVE.sample(30, rng), example.INFORMATIVE.sample(500, rng)
    _, bayes = example.learn(sample, test, C=np.inf)
    np.testing.assert_allclose(bayes, example.roc_auc_score(test.y, test.bayes_probabilities[:, 1]), atol=1e-4)


def test_with_many_points_depth_eight_is_nearest_to_the_bayes_probabilities(drawn, capsys):
    example = load_example("fig_bias_variance_trees")
    teachers, students, both = drawn("fig_bias_variance_trees", capsys)[0]["bias_variance_trees"].axes
    few, many = curves_of(teachers).values()
    assert example.DEPTHS[np.argmin(many)] == 8
    assert example.DEPTHS[np.argmin(few)] < 8
    assert np.all(many < few)
    for x, y, line in zip(curves_of(teachers).values(), curves_of(students).values(), both.containers, strict=True):
        np.testing.assert_array_equal(line.lines[0].get_xydata(), np.column_stack([x, y]))


def test_bias_and_noise_add_to_the_error_of_a_teacher_and_noise_takes_from_its_student(drawn, capsys):
    example = load_example("fig_bias_variance_noise")
    figure, printed = drawn("fig_bias_variance_noise", capsys)
    _, parts, students = figure["bias_variance_noise"].axes
    assert all(np.all(np.diff(values) > 0.0) for values in curves_of(parts).values())
    assert all(values[0] < 1e-25 for values in curves_of(parts).values())
    assert len(students.containers) == len(example.BIASES)
    for container in students.containers:
        errors, scores = np.transpose(container.lines[0].get_xydata())
        assert np.all(np.diff(errors) > 0.0)
        assert scores[-1] < scores[0] - 0.02
    (line,) = (line for line in printed.splitlines() if line.startswith("all teachers"))
    assert float(line.split(":")[1].split(",")[0]) < -0.6
    assert sum(line.startswith(("alpha = ", "sigma = ")) for line in printed.splitlines()) == 10


def test_students_of_equal_noise_are_joined_and_about_equal(drawn, capsys):
    example = load_example("fig_bias_variance_noise")
    *_, students = drawn("fig_bias_variance_noise", capsys)[0]["bias_variance_noise"].axes
    points = np.array([one.lines[0].get_xydata() for one in students.containers])  # (bias, noise, 2)
    joined = [line.get_xydata() for line in students.lines if line.get_linewidth() == 0.6]
    np.testing.assert_allclose(joined, np.swapaxes(points, 0, 1))
    assert np.ptp(points[:, :, 1], axis=0).max() < 0.01 < np.ptp(points[:, :, 1], axis=1).min()
    assert [text.get_text() for text in students.texts] == [rf"$\sigma = {noise:g}$" for noise in example.NOISES]


def test_noise_on_the_log_odds_is_the_square_of_what_the_paper_calls_sigma(drawn, capsys):
    example = load_example("fig_bias_variance_noise")
    parts = drawn("fig_bias_variance_noise", capsys)[0]["bias_variance_noise"].axes[1]
    sample = example.GaussianClasses(mean=0.3).sample(200_000, 9)
    log_odds = example.GaussianClasses(mean=0.3).log_odds(sample.X)
    for noise, squared_bias, variance in zip(example.NOISES, *reversed(list(curves_of(parts).values())), strict=True):
        teacher = noisy_sigmoid_teacher(log_odds, noise=noise**2, random_state=3)
        expected = 2.0 * np.mean((teacher - sample.bayes_probabilities[:, 1]) ** 2)
        np.testing.assert_allclose(squared_bias + variance, expected, rtol=0.2, atol=1e-25)


def test_the_score_falls_with_the_distortion_and_the_printed_branch_is_shown_to_leave_the_unit_interval(drawn, capsys):
    figure, printed_lines = drawn("fig_uncalibrated_teacher", capsys)
    distortions, students = figure["uncalibrated_teacher"].axes
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in distortions.lines}
    (printed,) = (values for label, values in lines.items() if label.startswith("_the paper"))
    assert printed.max() == 1.5
    np.testing.assert_allclose(lines[r"$\alpha = 1$"], np.linspace(0.0, 1.0, 401), atol=1e-15)
    lines = {line.get_label(): np.asarray(line.get_ydata()) for line in students.lines}
    losses = curves_of(students)["distorted probabilities"]
    assert losses[0] == 0.0
    assert np.all(np.diff(losses) < 0.0)
    assert lines["labels (one-hot)"][0] < losses[-1]
    assert np.all(lines["oracle"] > 0.0)  # on the same points
    assert "0.9101" in printed_lines


def test_students_of_less_noisy_teachers_of_images_are_better(drawn, capsys):
    figure, printed = drawn("fig_fashion_mnist", capsys)
    for container in figure["digits_teacher"].axes[0].containers:
        errors, scores = np.transpose(container.lines[0].get_xydata())
        assert np.all(np.diff(errors) > 0.0)
        assert scores[0] > scores[-1]
    assert "digits" in figure["digits_teacher"].axes[0].get_title()
    assert float(printed.split(":")[1].split("±")[0]) > 0.85


def test_fashion_mnist_is_read_from_a_folder(tmp_path, monkeypatch):
    example = load_example("fig_fashion_mnist")
    rng = np.random.default_rng(0)
    arrays = {
        f"x_{part}": rng.integers(0, 256, (n, 28, 28)).astype(np.uint8) for part, n in (("train", 30), ("test", 20))
    }
    labels = {f"y_{part}": rng.integers(0, 10, n).astype(np.uint8) for part, n in (("train", 30), ("test", 20))}
    file = tmp_path / "fashion_mnist.npz"
    np.savez(file, **arrays, **labels)
    monkeypatch.setitem(datasets.SHA256, "fashion_mnist", hashlib.sha256(file.read_bytes()).hexdigest())
    images = example.read_fashion(tmp_path)
    np.testing.assert_allclose(images.X, arrays["x_train"].reshape(30, 784) / 255.0, rtol=1e-6)
    np.testing.assert_allclose(images.X_test, arrays["x_test"].reshape(20, 784) / 255.0, rtol=1e-6)
    np.testing.assert_array_equal(images.y, labels["y_train"])
    np.testing.assert_array_equal(images.y_test, labels["y_test"])
    few = images.head(12, 7, n_student=3)
    assert (len(few.X), len(few.y), len(few.X_test), len(few.y_test), few.n_student) == (12, 12, 7, 7, 3)


def found(drawn, name, capsys):
    """Numbers beside published ones, by quantity."""
    return {row.quantity: row for row in drawn.numbers(name, capsys)}


def test_gains_held_against_other_trials_are_those_that_are_drawn(drawn, capsys):
    example, rows = load_example("fig_gaussian_bayes_teacher"), found(drawn, "fig_gaussian_bayes_teacher", capsys)
    panels = np.reshape(drawn("fig_gaussian_bayes_teacher", capsys)[0]["gaussian_bayes_teacher"].axes, (2, 3))[1]
    printed, informative, approaching = (curves_of(axes)["gain"] for axes in panels)
    for size, gain in zip(example.SIZES, informative, strict=True):
        np.testing.assert_allclose(rows[f"gain, means ±0.3, {size:,} points"].here, gain)
    for mean, gain in zip(example.MEANS, approaching, strict=True):
        np.testing.assert_allclose(rows[f"gain, 100 points, means ±{mean:g}"].here, gain)
    as_printed = rows["gain in AUC of Bayes probabilities, 100 points, means ±1 as printed"]
    np.testing.assert_allclose(as_printed.here, printed[3])
    assert abs(as_printed.here) < 1e-4
    assert as_printed.verdict == "not as printed"
    fewer = rows["gain for 20 points less that for 1,000, means ±0.3"].here
    np.testing.assert_allclose(fewer, informative[1] - informative[5])
    closer = rows["gain at means ±0.1 less that at ±0.5, 100 points"].here
    np.testing.assert_allclose(closer, approaching[1] - approaching[4])


def test_errors_and_scores_held_against_other_trials_are_those_that_are_drawn(drawn, capsys):
    rows = found(drawn, "fig_bias_variance_trees", capsys)
    errors, scores, _ = drawn("fig_bias_variance_trees", capsys)[0]["bias_variance_trees"].axes
    depths = load_example("fig_bias_variance_trees").DEPTHS
    for axes, what in ((errors, "teacher's MSE"), (scores, "student's AUC")):
        few, many = curves_of(axes).values()
        here = [rows[f"{what}, depth {depth}, 10,000 points"].here for depth in depths]
        np.testing.assert_allclose(here, many)
        if axes is errors:
            printed = rows["depth of the least error, teachers with 100 points as printed"]
            assert (printed.here, printed.verdict) == (depths[np.argmin(few)], "not as printed")
    rows = found(drawn, "fig_uncalibrated_teacher", capsys)
    losses = curves_of(drawn("fig_uncalibrated_teacher", capsys)[0]["uncalibrated_teacher"].axes[1])
    here = [row.here for quantity, row in rows.items() if quantity.startswith("AUC of the student, distortion")]
    np.testing.assert_allclose(np.subtract(here, here[0]), losses["distorted probabilities"], atol=1e-12)
    np.testing.assert_allclose(rows["student's AUC, distortion 30 less none"].here, here[-1] - here[0])
    assert rows["largest distorted probability by the printed formula"].here == 1.5


def test_rank_correlations_held_against_the_paper_are_those_that_are_printed(drawn, capsys):
    rows = found(drawn, "fig_bias_variance_noise", capsys)
    printed = next(line for line in drawn("fig_bias_variance_noise", capsys)[1].splitlines() if "all teachers" in line)
    of_means = rows["rank correlation of the teacher's MSE and the student's AUC, of means"].here
    np.testing.assert_allclose(of_means, float(printed.split(":")[1].split(",")[0]), atol=6e-4)
    rows = found(drawn, "fig_fashion_mnist", capsys)
    assert rows["the same among teachers of equal bias"].here < -0.9
    assert rows["rank correlation of the teacher's MSE and the student's AUC"].verdict == "reproduced"
