"""Figures of fidelity show what they are given."""

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from kdtheory import fidelity
from kdtheory.figures import draw_dissection, draw_logit_logit, draw_reliability
from tests.reports import a_report


@pytest.fixture(scope="module")
def made():
    return a_report()


@pytest.fixture
def axes():
    return Figure().add_subplot()


def test_lines_of_a_logit_logit_plot_are_drawn_over_their_points(axes, made):
    plot = made.top_class
    draw_logit_logit(axes, plot.teacher, plot.student, low=plot.low, high=plot.high)
    (points,) = (each for each in axes.collections if isinstance(each, PathCollection))
    np.testing.assert_array_equal(points.get_offsets(), np.column_stack([plot.teacher, plot.student]))
    low, high = axes.lines[-2:]
    for line, fit, ends in (
        (low, plot.low, (plot.teacher.min(), plot.low.threshold)),
        (high, plot.high, (plot.high.threshold, plot.teacher.max())),
    ):
        np.testing.assert_array_equal(line.get_xdata(), ends)
        np.testing.assert_allclose(line.get_ydata(), fit.intercept + fit.slope * np.array(ends), rtol=1e-12)
        assert f"{fit.slope:.2f} ({fit.interval[0]:.2f} to {fit.interval[1]:.2f})" in line.get_label()
    assert not axes.texts


def test_many_points_are_counted_in_hexagons_and_those_outside_in_words(axes):
    x, y = np.random.default_rng(0).normal(size=(2, 5000))
    x[0], y[1] = 700.0, -1e9
    draw_logit_logit(axes, x, y)
    (hexagons,) = axes.collections
    outside = int(axes.texts[0].get_text().split()[0])
    assert axes.texts[0].get_text() == f"{outside} more outside"
    assert 2 <= outside <= 20
    assert 0 <= np.sum(hexagons.get_array()) - (5000 - outside) <= 3  # hexagons at the edge reach over it
    assert axes.get_xlim() == axes.get_ylim()
    assert max(map(abs, axes.get_xlim())) < 5.0


def test_a_reliability_diagram_shows_accuracies_with_their_intervals(axes, made):
    diagram = made.teacher.reliability
    filled = diagram.counts > 0
    assert not np.all(filled)
    draw_reliability(axes, diagram)
    np.testing.assert_array_equal([bar.get_height() for bar in axes.patches], diagram.counts / 300)
    dots, _, (bars,) = axes.containers[1]
    np.testing.assert_array_equal(dots.get_xdata(), diagram.mean_confidences[filled])
    np.testing.assert_array_equal(dots.get_ydata(), diagram.accuracies[filled])
    drawn = [segment[:, 1] for segment in bars.get_segments()]
    expected = fidelity.share_interval(diagram.accuracies[filled], diagram.counts[filled])
    np.testing.assert_allclose(drawn, np.transpose(expected), atol=1e-15)


def test_a_dissection_shows_the_means_of_groups_that_have_points(axes):
    counts = {"both": 5, "only_teacher": 0, "only_student": 3, "neither": 2}
    teacher = {"both": 0.9, "only_student": 0.4, "neither": 0.5}
    student = {"both": 0.8, "only_student": 0.6, "neither": 0.3}
    draw_dissection(axes, counts, teacher, student)
    for line, means in zip(axes.lines, (teacher, student), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), list(means.values()))
        np.testing.assert_array_equal(np.rint(line.get_ydata()), [0, 2, 3])
    assert [label.get_text() for label in axes.get_yticklabels()][2] == "only student\n3 (30.0 %)"
