"""Figures of closed forms: that curves are what they claim to be."""

import json
import re

import numpy as np
import pytest

from tests.examples import CLOSED_FORMS, EXAMPLES, load_example
from tests.figures import assert_common_fonts, assert_legible


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_figures_could_go_into_a_paper_and_numbers_are_met(name, drawn, capsys, tmp_path):
    for figure in drawn(name, capsys)[0].values():
        assert_legible(figure)
        assert_common_fonts(figure, tmp_path)
    for row in drawn.numbers(name, capsys):
        assert row.is_met, row
        assert row.source


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


def test_what_is_printed_is_what_is_drawn(drawn, capsys):
    figure, printed = drawn("fig_eigenspace", capsys)
    lines = printed.splitlines()[2:]
    assert len(lines) == 8
    for line, axes in zip(lines, figure["eigenspace"].axes, strict=True):
        *_, matched, ratio = re.split(r"[\s,]+", line.strip())
        assert 0.5 < float(matched) < 1.0
        teacher, student = (dot.get_ydata()[0] for dot in axes.lines[-2:])
        np.testing.assert_allclose(float(ratio), student / teacher, atol=1e-4)


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


def test_scaling_draws_what_was_measured(drawn, capsys):
    figures, printed = drawn("fig_scaling", capsys)
    results = json.loads((EXAMPLES.parent / "benchmarks" / "results" / "scaling.json").read_text())["benchmarks"]
    last = max(results, key=lambda run: run["n_points"])["methods"]["Lanczos"]
    line = next(line for line in figures["scaling"].axes[0].lines if line.get_label() == "Lanczos")
    assert line.get_ydata()[-1] == last["seconds"]
    assert f"{last['seconds']:.2f}" in next(row for row in printed.splitlines() if row.startswith("Lanczos"))


def test_the_ratio_held_against_the_theorem_is_the_largest_of_all_panels(drawn, capsys):
    dots = [axes.lines[-2:] for axes in drawn("fig_eigenspace", capsys)[0]["eigenspace"].axes]
    ratios = [student.get_ydata()[0] / teacher.get_ydata()[0] for teacher, student in dots]
    (row,) = drawn.numbers("fig_eigenspace", capsys)
    np.testing.assert_allclose(row.here, max(ratios), rtol=1e-9)
    assert row.verdict == "reproduced"
