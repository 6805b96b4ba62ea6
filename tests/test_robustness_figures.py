"""Figures of effective robustness show what they are given."""

import numpy as np
import pytest
import scipy.special
import scipy.stats
from matplotlib.collections import PathCollection, PolyCollection
from matplotlib.figure import Figure

from kdtheory.figures import draw_effective_robustness, draw_robustness_by_weight
from kdtheory.robustness import effective_robustness

NAMES = [*map(str, range(10)), "teacher", "student 0", "student 1", "another"]


def a_result(scale="probit", low=0.3, high=0.9):
    rng = np.random.default_rng(0)
    reference = rng.uniform(low, high, 14)
    shifted = scipy.stats.norm.cdf(0.8 * scipy.stats.norm.ppf(reference) - 0.3 + 0.05 * rng.standard_normal(14))
    return effective_robustness(reference, shifted, names=NAMES, testbed=np.arange(14) < 10, scale=scale)


@pytest.fixture
def axes():
    return Figure().add_subplot()


@pytest.mark.parametrize("scale", ["probit", "logit", "linear"])
def test_models_are_where_their_accuracies_are_on_the_scale(axes, scale):
    result = a_result(scale)
    chain = ["teacher", "student 0", "student 1"]
    draw_effective_robustness(axes, result, chains={"a teacher": chain}, texts={"student 1": "1"})
    (testbed,) = (each for each in axes.collections if isinstance(each, PathCollection))
    np.testing.assert_array_equal(testbed.get_offsets(), np.column_stack([result.x, result.y])[:10])
    diagonal, line, joined, star, others = axes.lines
    np.testing.assert_array_equal(diagonal.get_xdata(), diagonal.get_ydata())
    np.testing.assert_allclose(line.get_ydata(), result.intercept + result.slope * line.get_xdata(), rtol=1e-12)
    np.testing.assert_array_equal(joined.get_xydata(), np.column_stack([result.x, result.y])[10:13])
    np.testing.assert_array_equal(star.get_xydata(), [[result.x[10], result.y[10]]])
    np.testing.assert_array_equal(others.get_xydata(), [[result.x[13], result.y[13]]])
    (text,) = axes.texts
    assert (text.get_text(), text.xy) == ("1", (result.x[12], result.y[12]))
    labels = axes.get_legend_handles_labels()[1]
    assert labels == ["no loss of accuracy", "line, 95 % interval", "testbed, 10 models", "a teacher", "others"]
    for values, limits in ((result.x, axes.get_xlim()), (result.y, axes.get_ylim())):
        assert limits[0] < values.min() < values.max() < limits[1]


def test_the_band_is_the_interval_of_the_line(axes):
    result = a_result("linear")
    draw_effective_robustness(axes, result)
    (band,) = (each for each in axes.collections if isinstance(each, PolyCollection))
    vertices = band.get_paths()[0].vertices
    start = axes.get_xlim()[0]
    at_start = np.unique(vertices[np.isclose(vertices[:, 0], start)][:, 1])
    np.testing.assert_allclose([at_start.min(), at_start.max()], result.line_interval(start), rtol=1e-9)


@pytest.mark.parametrize("scale", ["probit", "logit", "linear"])
@pytest.mark.parametrize(("low", "high"), [(0.3, 0.9), (0.02, 0.999), (0.95, 0.97), (0.7, 0.71), (0.99, 0.9999)])
def test_ticks_are_round_percents_at_their_places_with_room_between_them(axes, scale, low, high):
    result = a_result(scale, low, high)
    draw_effective_robustness(axes, result)
    transform = {"probit": scipy.stats.norm.ppf, "logit": scipy.special.logit, "linear": np.asarray}[scale]
    for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
        places, labels = axis.get_ticklocs(), [label.get_text() for label in axis.get_ticklabels()]
        np.testing.assert_allclose(transform(np.array(labels, dtype=float) / 100.0), places, rtol=1e-6, atol=1e-9)
        assert 3 <= len(labels) <= 12
        assert max(map(len, labels)) <= 7
        assert np.min(np.diff(places)) >= 0.09 * (limits[1] - limits[0])
        assert limits[0] <= min(places) < max(places) <= limits[1]


def test_students_are_drawn_in_the_order_of_their_weights_beside_their_teacher(axes):
    result = a_result()
    draw_robustness_by_weight(axes, result, "teacher", {0.5: "student 1", 0.0: "student 0"})
    points, _, (bars,) = axes.containers[0]
    np.testing.assert_array_equal(points.get_xdata(), [0.0, 0.5])
    np.testing.assert_allclose(points.get_ydata(), 100.0 * result.robustness[[11, 12]], rtol=1e-13)
    lengths = [np.ptp(segment[:, 1]) for segment in bars.get_segments()]
    np.testing.assert_allclose(lengths, 200.0 * result.robustness_errors[[11, 12]], rtol=1e-10)
    levels = [
        line.get_ydata()[0] for line in axes.lines if len(set(line.get_ydata())) == 1 and line.get_label()[0] != "_"
    ]
    np.testing.assert_allclose(levels, [0.0, 100.0 * result.robustness[10]], rtol=1e-13)


def test_unknown_models_are_refused(axes):
    with pytest.raises(ValueError, match="names must be of models of the result, got 'nobody'"):
        draw_effective_robustness(axes, a_result(), chains={"a": ["teacher", "nobody"]})
    with pytest.raises(ValueError, match="got 'nobody'"):
        draw_effective_robustness(axes, a_result(), texts={"nobody": "1"})
    with pytest.raises(ValueError, match="got 'nobody'"):
        draw_robustness_by_weight(axes, a_result(), "nobody", {0.5: "teacher"})
