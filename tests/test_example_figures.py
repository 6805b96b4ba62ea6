"""Every figure of the examples: how it is written and set, and that its curves are what they claim to be."""

import hashlib
import json
import re
from urllib.error import URLError

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from scipy.stats import linregress, norm

from kdtheory import datasets, noisy_sigmoid_teacher
from kdtheory.eigenspace import exaggerations
from kdtheory.figures import networks, save_figures
from kdtheory.figures.images import read_digits, split_images
from tests.examples import EXAMPLES, OF_EXPERIMENTS, call_example, load_example
from tests.figures import assert_common_fonts, assert_legible

NAMES = sorted({path.stem for path in EXAMPLES.glob("fig_*.py")} - set(OF_EXPERIMENTS))
OF_TRIALS = {
    "fig_gaussian_bayes_teacher": 4,
    "fig_bias_variance_trees": 4,
    "fig_bias_variance_noise": 4,
    "fig_uncalibrated_teacher": 4,
    "fig_fashion_mnist": 2,
    "fig_ntk_vs_network": 2,
    "fig_noisy_random_features": 2,
    "fig_mlp_eigenspace": 2,
    "fig_estimated_label_weight": 2,
    "fig_loss_switching": 2,
    "fig_cnn_eigenspace": 2,
    "fig_logit_logit": 2,
}
"""Scripts whose curves or printed numbers are means over trials, and how many of these are made here."""

OF_ONE_TRIAL = {
    "fig_noisy_random_features",
    "fig_mlp_eigenspace",
    "fig_loss_switching",
    "fig_cnn_eigenspace",
    "fig_logit_logit",
}
"""Those of them that draw the first trial."""


@pytest.fixture(scope="module")
def drawn():
    """Figures and printed lines of every example."""
    cache = {}

    def draw(name, capsys):
        if name not in cache:
            size = {"trials": OF_TRIALS[name]} if name in OF_TRIALS else {}
            with jax.enable_x64(False):  # as from a shell, where single precision is faster
                cache[name] = load_example(name).main(**size).figures, capsys.readouterr().out
            plt.close("all")  # which pyplot would keep and warn of
        return cache[name]

    return draw


@pytest.mark.parametrize("name", NAMES)
def test_figures_have_the_text_width_of_a_paper_and_legible_type(name, drawn, capsys):
    for figure in drawn(name, capsys)[0].values():
        assert_legible(figure)


def test_figures_are_written_as_vectors_and_as_pixels(drawn, capsys, tmp_path):
    figures, _ = drawn("fig_eigenspace", capsys)
    save_figures(figures, tmp_path / "not" / "there")
    written = [str(tmp_path / "not" / "there" / f"{figure}.{end}") for figure in figures for end in ("png", "pdf")]
    assert capsys.readouterr().out.splitlines() == written
    for figure in figures:
        assert plt.imread(tmp_path / "not" / "there" / f"{figure}.png").shape[1] == 5.5 * 300


@pytest.mark.parametrize("name", NAMES)
def test_figures_have_fonts_that_every_journal_takes(name, drawn, capsys, tmp_path):
    for figure in drawn(name, capsys)[0].values():
        assert_common_fonts(figure, tmp_path)


@pytest.mark.parametrize("name", [*NAMES, "table_double_distillation"])
def test_scripts_tell_their_options(name, capsys, monkeypatch):
    assert call_example(name, "--help", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert load_example(name).__doc__.splitlines()[0] in shown
    assert ("--output FOLDER" in shown) == (name in NAMES)


def test_eigenspace_teacher_and_student_are_those_of_the_features_own_singular_vectors(drawn, capsys):
    """Weights of the linear model itself, by the singular vectors of its features, and the student behind below."""
    example = load_example("fig_eigenspace")
    figure = drawn("fig_eigenspace", capsys)[0]["eigenspace"]
    run = example.train(*example.load_digits(return_X_y=True))
    teacher_time = run.stopped_at
    spectrum = run.teacher.spectrum
    d, u = np.asarray(spectrum.eigenvalues), np.asarray(spectrum.eigenvectors)
    z = u.T @ run.teacher.targets
    for axes, (top, bottom) in zip(figure.axes, example.PAIRS, strict=True):
        teacher, teacher_star, student, student_star, teacher_dot, student_dot = axes.lines
        np.testing.assert_allclose(teacher_dot.get_xdata(), student_dot.get_xdata(), rtol=1e-9)
        assert student_dot.get_ydata() < 0.8 * teacher_dot.get_ydata()
        ends = np.array([np.linalg.norm(z[k]) * -np.expm1(-d[k] * teacher_time) / np.sqrt(d[k]) for k in (top, bottom)])
        np.testing.assert_allclose(np.ravel(teacher_star.get_xydata()), ends, rtol=1e-9)
        np.testing.assert_allclose(np.ravel(student_star.get_xydata()), ends, rtol=1e-3)
        moments = np.asarray(run.student.times)
        for k, values in ((top, student.get_xdata()), (bottom, student.get_ydata())):
            expected = np.linalg.norm(z[k]) * np.expm1(-d[k] * moments) * np.expm1(-d[k] * teacher_time) / np.sqrt(d[k])
            np.testing.assert_allclose(values, expected, rtol=1e-9)
        x, y = teacher.get_xdata(), teacher.get_ydata()
        inside = (student.get_xdata() > 0.05 * ends[0]) & (student.get_xdata() < 0.95 * ends[0])
        assert inside.sum() > 10
        assert np.all(student.get_ydata()[inside] < np.interp(student.get_xdata()[inside], x, y))
        assert teacher.get_color() != student.get_color()


def test_eigenspace_reads_mnist_from_a_file(tmp_path):
    example = load_example("fig_eigenspace")
    rng = np.random.default_rng(0)
    pixels, digits = rng.integers(0, 256, (30, 4, 4)).astype(np.uint8), rng.integers(0, 10, 30).astype(np.uint8)
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=digits)
    images, labels = example.read_mnist(tmp_path / "images.npz")
    np.testing.assert_array_equal(images, pixels.reshape(30, 16))
    np.testing.assert_array_equal(labels, digits)


def test_filters_of_the_first_panel_have_equal_degrees_of_freedom_and_their_powers(drawn, capsys):
    example = load_example("fig_filters")
    panel = drawn("fig_filters", capsys)[0]["filters"].axes[0]
    slopes = {}
    for line in panel.lines:
        np.testing.assert_allclose(np.sum(line.get_ydata()), example.DOF, rtol=1e-6)
        d, b = np.log(line.get_xdata()), np.log(line.get_ydata())
        slopes[line.get_label()] = (b[1] - b[0]) / (d[1] - d[0])
    expected = {"ridge": 1, "gradient flow": 1, "flow distilled": 2, "3 ridge fits": 3, "10 ridge fits": 10}
    assert slopes == pytest.approx(expected, rel=0.02)


def test_exaggeration_of_the_third_panel_is_one_at_the_top_and_falls(drawn, capsys):
    panel = drawn("fig_filters", capsys)[0]["filters"].axes[2]
    curves = np.array([line.get_ydata() for line in panel.lines])
    np.testing.assert_allclose(curves[:, -1], 1.0)
    assert np.all(np.diff(curves, axis=1) > 0.0)
    assert np.all(np.diff(curves[:, :-1], axis=0) < 0.0)


def test_risks_touch_the_floor_only_where_the_energy_is_proportional_to_the_eigenvalue(drawn, capsys):
    figure = drawn("fig_risk", capsys)[0]["risk"]
    for number, axes in enumerate(figure.axes):
        curves = {line.get_label(): np.asarray(line.get_ydata()) for line in axes.lines}
        ridge, floor = curves["ridge"], curves["Wiener floor"][0]
        assert 1.0 <= ridge.min() < 1.01
        for fewer, more in (("ridge", "2 fits"), ("2 fits", "3 fits"), ("3 fits", "4 fits")):
            assert np.all(curves[more] <= curves[fewer] * (1 + 1e-6))
            assert curves[more].min() >= floor * (1 - 1e-9)
        if number == 0:
            np.testing.assert_allclose(floor, 1.0, rtol=1e-9)
        else:
            assert floor < 0.5
            assert curves["3 fits"].min() < 0.9
    assert curves["3 fits"].min() < curves["2 fits"].min() - 0.1


def test_separations_grow_without_bound(drawn, capsys):
    below, above = drawn("fig_risk", capsys)[0]["separations"].axes
    for axes, law in ((below, lambda n: n + 1.0), (above, None)):
        curves = {line.get_label(): line.get_ydata() for line in axes.lines}
        sizes = axes.lines[0].get_xdata()
        np.testing.assert_allclose(curves["three fits"], 1.0, atol=1e-3)
        if law:
            np.testing.assert_allclose(curves["best ridge"], law(sizes), rtol=1e-4)
            np.testing.assert_allclose(curves["best two fits"], law(sizes), rtol=1e-4)
        else:
            # Ridge x/κ: bias x², variance N/(1 + x)² and 1; its least value grows like 2√N.
            x = np.geomspace(1e-3, 1e3, 20_001)[:, None]
            np.testing.assert_allclose(curves["best ridge"], np.min(x**2 + sizes / (1 + x) ** 2, axis=0) + 1, rtol=1e-3)
            np.testing.assert_allclose(curves["best two fits"], 1.0, atol=1e-3)


def test_what_is_printed_is_what_is_drawn(drawn, capsys):
    figure, printed = drawn("fig_eigenspace", capsys)
    lines = printed.splitlines()[2:]
    assert len(lines) == 8
    for line, axes in zip(lines, figure["eigenspace"].axes, strict=True):
        *_, matched, ratio = re.split(r"[\s,]+", line.strip())
        assert 0.5 < float(matched) < 1.0
        teacher, student = (dot.get_ydata()[0] for dot in axes.lines[-2:])
        np.testing.assert_allclose(float(ratio), student / teacher, atol=1e-4)


def test_the_axes_of_a_search_say_the_unit_and_hold_the_marks_and_the_gain_below_the_curves(drawn, capsys):
    figure = drawn("fig_model_selection", capsys)[0]["model_selection"]
    figure.draw_without_rendering()
    for axes in figure.axes[::2]:
        assert axes.get_ylabel() == "held-out error /\nvariance of y"
        (gain,) = axes.texts
        top = axes.transData.inverted().transform(gain.get_window_extent())[1, 1]
        marks = [line for line in axes.lines if line.get_label() in ("chosen", "best of 1 fit")]
        assert len(marks) == 2
        low = min(float(np.min(line.get_ydata())) for line in axes.lines)
        assert top < low < max(float(mark.get_ydata()[0]) for mark in marks) < axes.get_ylim()[1]


@pytest.mark.parametrize("name", sorted(OF_TRIALS.keys() - OF_ONE_TRIAL))
def test_every_curve_of_trials_has_the_standard_errors_of_its_means(name, drawn, capsys):
    for figure in drawn(name, capsys)[0].values():
        with_errors = [
            axes for axes in figure.axes if any(isinstance(one, ErrorbarContainer) for one in axes.containers)
        ]
        assert len(with_errors) >= len(figure.axes) - 1  # one panel may show what is exact
        for axes in with_errors:
            for container in axes.containers:
                assert container.has_yerr
                heights = [bar[:, 1] for bar in container.lines[2][-1].get_segments()]
                assert np.ptp(heights, axis=1).max() > 0.0
                np.testing.assert_allclose(np.mean(heights, axis=1), container.lines[0].get_ydata(), rtol=1e-9)


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


@pytest.mark.parametrize("name", sorted(OF_TRIALS.keys() - OF_ONE_TRIAL))
def test_figures_of_trials_say_how_many_there_are_and_what_their_bars_are(name, drawn, capsys):
    for figure in drawn(name, capsys)[0].values():
        (legend,) = figure.legends
        shown = "bars" if name == "fig_ntk_vs_network" else "bars and bands"
        expected = f"mean of {OF_TRIALS[name]} trials; {shown}: ± 1 standard error"
        assert legend.get_title().get_text() == expected


@pytest.mark.parametrize("name", OF_TRIALS)
def test_no_number_of_trials_is_taken_for_none_given(name):
    with pytest.raises(ValueError, match="n_trials must be >= 1, got 0"):
        load_example(name).main(trials=0)


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


def test_images_are_fetched_by_name_and_what_is_wrong_is_said_before_any_work(tmp_path, monkeypatch, capsys):
    def no_network(**_):
        raise URLError("no route to host")

    monkeypatch.setattr(datasets, "fetch_openml", no_network)
    common = ["--output", tmp_path]
    assert call_example("fig_fashion_mnist", *common, "--data", "openml", monkeypatch=monkeypatch) == 2
    assert "fashion_mnist could not be fetched from OpenML" in capsys.readouterr().err
    assert call_example("fig_fashion_mnist", *common, "--data", tmp_path, monkeypatch=monkeypatch) == 2
    assert "folder must hold fashion_mnist.npz" in capsys.readouterr().err
    assert call_example("fig_cnn_eigenspace", *common, "--data", tmp_path, monkeypatch=monkeypatch) == 2
    assert "argument --data: folder must hold cifar10.npz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_scaling_draws_what_was_measured(drawn, capsys):
    figures, printed = drawn("fig_scaling", capsys)
    results = json.loads((EXAMPLES.parent / "benchmarks" / "results" / "scaling.json").read_text())["benchmarks"]
    last = max(results, key=lambda run: run["n_points"])["methods"]["Lanczos"]
    line = next(line for line in figures["scaling"].axes[0].lines if line.get_label() == "Lanczos")
    assert line.get_ydata()[-1] == last["seconds"]
    assert f"{last['seconds']:.2f}" in next(row for row in printed.splitlines() if row.startswith("Lanczos"))


def test_wide_networks_come_near_the_closed_form_with_the_root_of_their_width(drawn, capsys):
    figures, printed = drawn("fig_ntk_vs_network", capsys)
    distances, teachers, students = figures["ntk_vs_network"].axes
    curves = [container.lines[0].get_ydata() for container in distances.containers]
    assert len(curves) == 4
    for curve in curves:
        assert np.all(np.diff(curve) < 0.0)
    slopes = [float(text) for text in printed.splitlines()[-1].split()[1:]]
    assert np.all(np.abs(np.array(slopes[:2]) + 0.5) < 0.08)
    assert np.all(np.array(slopes[2:]) < -0.55)
    assert max(curve[-1] for curve in curves[:2]) < 0.1
    assert max(curve[-1] for curve in curves[2:]) < 0.03
    for panel in (teachers, students):
        (closed,) = (line for line in panel.lines if line.get_label() == "closed form")
        widest = panel.containers[-1].lines[0]
        steps, expected = (np.asarray(each, dtype=float) for each in closed.get_data())
        theory = np.interp(np.log(np.asarray(widest.get_xdata(), dtype=float)), np.log(steps), expected)
        assert np.max(np.abs(theory - widest.get_ydata())) < 0.01


def test_networks_do_what_is_forecast_for_them(capsys):
    example = load_example("ntk_self_distillation")
    distances = example.main((128, 1024))
    printed = capsys.readouterr().out
    errors = [float(text) for text in printed.splitlines()[1].split(": ")[1].split(", ")]
    assert errors[-1] < errors[0]
    assert np.all(distances[1024] < distances[128])
    assert np.all(distances[1024] < 0.12)


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fig_logit_logit", lambda size: (size.n_train, size.n_test)),
        ("fig_estimated_label_weight", lambda size: size.n_images),
    ],
)
def test_the_full_size_is_cut_to_the_digits_built_in(name, parts, monkeypatch):
    example = load_example(name)
    asked = []
    monkeypatch.setattr(example, "run_trials", lambda trial, *_, **__: asked.append(trial.args[0]) or {})
    monkeypatch.setattr(example, "print_table", lambda *_: None)
    with pytest.raises(KeyError):  # nothing to draw
        example.main(full=True)
    drawn = split_images(read_digits(), parts(asked[0]), np.random.default_rng(0))
    assert sum(len(part.y) for part in drawn) == len(read_digits().y)
    assert min(len(part.y) for part in drawn) >= 400


def test_digits_are_refused_where_patches_have_no_room_before_any_network_is_trained():
    with pytest.raises(ValueError, match="data must be given but for the quick size"):
        load_example("fig_cnn_eigenspace").main(full=True)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((1000, 798), "images must be 1798 or more, .* got 1797"), ((1920, -123), "sizes must be >= 1, got -123")],
)
def test_parts_of_images_that_cannot_be_are_refused_by_name(sizes, message):
    with pytest.raises(ValueError, match=message):
        split_images(read_digits(), sizes, np.random.default_rng(0))


def test_pairs_in_which_the_student_makes_no_way_are_left_out_and_too_few_are_named():
    moments = np.linspace(0.0, 1.0, 9)[:, None]
    teacher = moments ** np.linspace(1.0, 2.0, 5)
    student = moments ** np.linspace(1.0, 3.0, 5)
    still = np.where(np.arange(5) == 1, 0.0, student)
    rng = np.random.default_rng(0)
    assert networks._of_layer("layer", [teacher, student], 5, rng)["layer compared"] == 10
    found = networks._of_layer("layer", [teacher, still], 5, rng)
    assert found["layer compared"] == 7
    assert not np.any(found["layer pairs"][:, 0] == 1)
    np.testing.assert_array_equal(found["layer curves"][1, 1], still[:, found["layer pairs"][:, 1]])
    np.testing.assert_array_equal(found["layer of drawn"], exaggerations(teacher, still, found["layer pairs"]))
    with pytest.raises(ValueError, match="layer must have 6 pairs of directions or more, .* got 3"):
        networks._of_layer("layer", [teacher[:, :3], student[:, :3]], 3, rng)
    with pytest.raises(ValueError, match="student must start where the teacher starts"):
        networks._of_layer("layer", [teacher, student + 0.1], 5, rng)


def finding(printed, start):
    line = next(line for line in printed.splitlines() if line.strip().startswith(start))
    return float(line.strip().removeprefix(start).split(" ± ")[0])


def test_students_on_random_features_are_more_biased_and_doubt_wrong_labels(drawn, capsys):
    figures, printed = drawn("fig_noisy_random_features", capsys)
    assert finding(printed, "features: share of pairs where the student is more biased") > 0.7
    assert finding(printed, "features: by how much, median over pairs") > 0.03
    rows = {line.strip().rpartition("labels")[0]: line for line in printed.splitlines() if "confidence" in line}
    for row in rows.values():
        teacher, student = (float(part.split()[-1]) for part in row.split(" ± ")[:2])
        assert student < teacher
    kept = figures["noisy_random_features_confidence"].axes[2]
    right, wrong = (container.lines[0].get_ydata() for container in kept.containers)
    assert np.mean(right[: len(right) // 2]) > np.mean(wrong[: len(wrong) // 2]) + 0.3
    for panel in figures["noisy_random_features"].axes:
        teacher, student = (line.get_xydata() for line in panel.lines if line.get_label() in ("teacher", "student"))
        np.testing.assert_array_equal(teacher[0], student[0])


def test_students_of_networks_are_more_biased_in_most_pairs(drawn, capsys):
    figures, printed = drawn("fig_mlp_eigenspace", capsys)
    assert finding(printed, "first layer: share of pairs where the student is more biased") > 0.65
    assert finding(printed, "first layer: by how much, median over pairs") > 0.1
    assert finding(printed, "second layer: by how much, median over pairs") > 0.05
    assert len(figures["mlp_eigenspace"].axes) == len(figures["mlp_eigenspace_hidden"].axes) == 6


def numbers(line):
    return [float(text) for text in re.findall(r"[+-]?\d+\.\d+", line)]


def test_estimated_label_weights_are_near_the_best_fixed_ones_at_the_fits_that_the_paper_counts(drawn, capsys):
    figures, printed = drawn("fig_estimated_label_weight", capsys)
    _, accuracy, error, weights = figures["estimated_label_weight"].axes
    lines = printed.splitlines()
    rounds = [line for line in lines if re.match(r" +[2-9]  0\.", line)]
    n_rounds = len(accuracy.lines[0].get_xdata())
    assert len(rounds) == 2 * (n_rounds - 1)
    for axes, best_of, rows in zip((accuracy, error), (np.max, np.min), np.array_split(rounds, 2), strict=True):
        fixed = np.array([line.get_ydata() for line in axes.lines if line.get_label().startswith(r"$\alpha")])
        (estimated,) = (container.lines[0].get_ydata() for container in axes.containers)
        assert fixed.shape == (10, n_rounds)
        np.testing.assert_allclose(np.ptp([*fixed[:, 0], estimated[0]]), 0.0, atol=1e-12)  # one first network for all
        assert np.ptp(fixed[:, -1]) > 0.005
        for t, row in enumerate(rows, 1):
            best, value, _, weight, _, found, _, difference, *_ = numbers(row)
            np.testing.assert_allclose(value, best_of(fixed[:, t]), atol=1e-4)
            np.testing.assert_allclose(value, fixed[round(10 * best), t], atol=1e-4)
            np.testing.assert_allclose(found, estimated[t], atol=1e-4)
            np.testing.assert_allclose(difference, found - value, atol=2e-4)
            np.testing.assert_allclose(weight, weights.containers[0].lines[0].get_ydata()[t - 1], atol=0.01)
            assert abs(difference) < 0.3 * np.ptp(fixed[:, -1]) + 0.004
    cost = [line.split() for line in lines[-(n_rounds - 1) :]]
    assert [[int(row[0]), int(row[1]), int(row[3])] for row in cost] == [
        [t, 10 * (t - 1) + 1, 2 * (t - 1) + 1] for t in range(2, n_rounds + 1)
    ]


def test_the_best_fixed_weight_is_that_of_the_best_mean_and_the_found_one_that_of_least_validation_error():
    example = load_example("fig_estimated_label_weight")
    run = {"test accuracy": np.zeros((2, 3, 1)), "val error": np.ones((2, 3, 1))}
    run["test accuracy"][:, :, 0] = [[0.5, 0.9, 0.8], [0.8, 0.6, 0.9]]  # two fixed weights, and the estimated one
    run["val error"][[0, 1], [0, 1], 0] = 0.5
    found = example.comparison(run, "test accuracy", 1.0)
    assert found["best"].tolist() == [1]
    np.testing.assert_allclose(found["difference"][:, 0], [-0.1, 0.3])
    np.testing.assert_allclose(found["from found"][:, 0], [0.3, 0.3])
    assert example.comparison(run, "test accuracy", -1.0)["best"].tolist() == [0]


def test_students_that_switch_are_drawn_from_where_they_leave_those_that_do_not(drawn, capsys):
    example = load_example("fig_loss_switching")
    figures, printed = drawn("fig_loss_switching", capsys)
    panels = iter(figures["loss_switching"].axes)
    rows = [line for line in printed.splitlines() if re.search(r"(alone|at step \d+) +\d\.", line)]
    ends = {re.split(r"  +", row)[0] + ": " + re.split(r"  +", row)[1]: numbers(row)[2] for row in rows[:16]}
    for teacher in example.TEACHERS:
        for to, start in zip(example.TO, (example.PURE, example.PLAIN), strict=True):
            lines = {line.get_label(): line.get_xydata() for line in next(panels).lines}
            for label, curve in lines.items():
                name = label if label in (example.PURE, example.PLAIN) else label.replace("switch", f"to {to}")
                np.testing.assert_allclose(ends[f"{teacher}: {name}"], curve[-1, 1], atol=1e-4)
                if label.startswith("switch"):
                    before = lines[start]
                    np.testing.assert_array_equal(curve[0], before[before[:, 0] == curve[0, 0]][0])
    assert ends["interpolating: the teacher alone"] > ends["interpolating: to the labels at step 60"]
    assert ends["stopped early: the teacher alone"] < ends["stopped early: to the labels at step 60"]


def test_a_switch_goes_from_one_end_to_the_other_within_its_window():
    example = load_example("fig_loss_switching")
    for to, ends in {"the labels": [0.0, 1.0], "the teacher": [1.0, 0.0]}.items():
        weight = example.Switch(to, 0.5, 0.1).label_weight(200)
        np.testing.assert_allclose([weight(0), weight(100), weight(120), weight(200)], np.repeat(ends, 2), atol=1e-6)
        assert float(weight(110)) == 0.5


def test_students_of_convolutional_networks_are_more_biased_in_most_pairs_of_the_first_layer(drawn, capsys):
    figures, printed = drawn("fig_cnn_eigenspace", capsys)
    assert finding(printed, "first layer: share of pairs where the student is more biased") > 0.55
    assert finding(printed, "first layer: by how much, median over pairs") > 0.02
    for name in ("cnn_eigenspace", "cnn_eigenspace_hidden"):
        for panel in figures[name].axes:
            teacher, student = (line.get_xydata() for line in panel.lines if line.get_label() in ("teacher", "student"))
            np.testing.assert_array_equal(teacher[0], student[0])
            assert len(teacher) == load_example("fig_cnn_eigenspace").QUICK.plan.n_epochs + 1


@pytest.mark.parametrize(("layer", "side"), [(0, 4), (1, 8)])
def test_what_a_convolution_gives_is_a_patch_times_the_matrix_of_its_filters(layer, side):
    example = load_example("fig_cnn_eigenspace")
    model = example.network(example.QUICK, (side, side, 3), jax.random.key(0))
    images = np.random.default_rng(0).random((1, side, side, 3)).astype(model.read_out.weight.dtype)
    convolved = model.filters[layer](model.hidden(images[0])[layer])
    inside = convolved[:, 1, 1]  # before which there is a padding of one pixel
    patch = example.patches(layer, example.QUICK.kernel_size, model, images)[0]
    np.testing.assert_allclose(patch @ example.weights(layer, model), inside, rtol=1e-5)


def test_lines_of_logit_logit_plots_have_the_slopes_of_the_quarters_that_are_printed_beside_them(drawn, capsys):
    figures, printed = drawn("fig_logit_logit", capsys)
    example = load_example("fig_logit_logit")
    assert len(figures["logit_logit"].axes) == 12
    for axes in figures["logit_logit"].axes:
        x, y = np.transpose(axes.collections[0].get_offsets())
        order, quarter = np.argsort(x), len(x) // 4
        for text, some in zip(axes.texts, (order[:quarter], order[-quarter:]), strict=True):
            assert abs(float(text.get_text()) - linregress(x[some], y[some]).slope) < 0.006
    rows = [line for line in printed.splitlines() if line.startswith(tuple(example.PAIRS))]
    assert len(rows) == len(example.PAIRS)


def test_students_are_unsurer_and_farther_away_where_the_teacher_is_unsure_and_smaller_ones_farthest(drawn, capsys):
    figures, printed = drawn("fig_logit_logit", capsys)
    agreeing = {line[:24].strip(): float(line.split()[-1]) for line in printed.splitlines()[5:]}
    assert min(agreeing["student 3 times as long"], agreeing["same network"]) > agreeing["smaller student"]
    assert finding(printed, "same network") > 1.1
    above, below = np.reshape(figures["logit_logit_metrics"].axes, (2, 3))
    for axes in above:
        student_against_teacher = axes.collections[0].get_offsets()
        assert np.corrcoef(student_against_teacher.T)[0, 1] > 0.8
    for axes, sign in zip(below, (-1.0, -1.0, 1.0), strict=True):
        means = axes.lines[0].get_ydata()
        np.testing.assert_allclose(np.mean(means), np.mean(axes.collections[0].get_offsets()[:, 1]), rtol=1e-6)
        assert sign * (means[-1] - means[0]) > 0.01
