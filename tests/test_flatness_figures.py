"""Figures of flatness show what they are given."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from kdtheory.figures import (
    draw_eigenvalue_ecdf,
    draw_flatness_rounds,
    draw_loss_contours,
    draw_loss_heat_map,
    draw_loss_surface_3d,
    draw_plane,
    draw_spectral_density,
    loss_levels,
)

X, Y = np.linspace(-1.0, 2.0, 13), np.linspace(-2.0, 2.0, 9)
LOSSES = 0.1 + X**2 + 2.0 * Y[:, None] ** 2


def surface(losses=LOSSES, points=((0.0, 0.0),)):
    return SimpleNamespace(x=X, y=Y, losses=losses, points=np.array(points))


@pytest.fixture
def axes():
    return Figure(layout="constrained").add_subplot()


def test_densities_are_drawn_where_there_is_anything(axes):
    grid = np.linspace(0.0, 1.0, 5)
    density = np.array([1.0, 0.5, 1e-9, 0.25, 0.0])
    draw_spectral_density(axes, {"a": SimpleNamespace(grid=grid, density=density)})
    (line,) = axes.lines
    np.testing.assert_array_equal(line.get_ydata(), [1.0, 0.5, np.nan, 0.25, np.nan])
    assert axes.get_legend().get_texts()[0].get_text() == "a"
    axes.figure.canvas.draw()


def test_shares_of_eigenvalues_count_those_that_no_logarithm_can_show(axes):
    draw_eigenvalue_ecdf(axes, {"a": [-1.0, 0.0, 0.5, 2.0], "b": [1.0]})
    first, second = axes.lines
    np.testing.assert_array_equal(first.get_xdata(), [0.5, 2.0])
    np.testing.assert_array_equal(first.get_ydata(), [0.75, 1.0])
    np.testing.assert_array_equal(second.get_ydata(), [1.0])
    assert axes.get_ylabel() == "share of the top 4"


def table(names, traces):
    traces = np.array(traces)
    columns = {"trace": traces, "trace_low": traces - 0.5, "trace_high": traces + 1.0, "largest": traces / 4.0}
    return pd.DataFrame(columns, index=names)


def test_rounds_show_intervals_of_one_network_and_standard_errors_of_many():
    one, other = Figure().subplots(1, 2)
    draw_flatness_rounds(one, other, table(["teacher", "round 1", "round 1"], [8.0, 4.0, 6.0]))
    line, _, (bars,) = one.containers[0]
    np.testing.assert_allclose(line.get_ydata(), [8.0, 5.0])
    np.testing.assert_allclose(bars.get_segments()[0][:, 1], [7.5, 9.0])
    np.testing.assert_allclose(bars.get_segments()[1][:, 1], [4.0, 6.0])  # standard error 1
    line, _, (bars,) = other.containers[0]
    np.testing.assert_allclose(line.get_ydata(), [2.0, 1.25])
    np.testing.assert_allclose(bars.get_segments()[1][:, 1], [1.0, 1.5])


def test_contours_are_at_the_levels_and_go_through_the_loss(axes):
    draw_loss_contours(axes, surface(), levels=[0.5, 1.0, 2.0])
    contours = axes.collections[0]
    np.testing.assert_array_equal(contours.levels, [0.5, 1.0, 2.0])
    axes.figure.canvas.draw()
    (star,) = axes.lines
    assert (*star.get_xdata(), *star.get_ydata()) == (0.0, 0.0)
    draw_loss_contours(Figure().add_subplot(), surface(), color="black")


def test_heat_maps_have_the_limits_that_are_given(axes):
    draw_loss_heat_map(axes, surface(), limits=(0.01, 100.0))
    mesh = axes.collections[0]
    assert mesh.get_clim() == (0.01, 100.0)
    np.testing.assert_array_equal(np.asarray(mesh.get_array()).reshape(9, 13), LOSSES)
    (bar,) = axes.child_axes
    axes.figure.canvas.draw()
    assert {"0.01", "100"} <= {label.get_text() for label in bar.get_yticklabels()}


def test_losses_of_zero_are_drawn_on_a_linear_scale(axes):
    draw_loss_heat_map(axes, surface(LOSSES - 0.1))
    assert axes.collections[0].get_clim() == (0.0, pytest.approx(12.0))
    axes.figure.canvas.draw()
    np.testing.assert_allclose(loss_levels([surface(LOSSES - 0.1)], 4), [0.0, 4.0, 8.0, 12.0])
    assert np.all(np.diff(loss_levels([surface(np.ones((9, 13)))], 5)) > 0.0)


def test_heights_in_three_dimensions_are_logarithms():
    solid = Figure().add_subplot(projection="3d")
    draw_loss_surface_3d(solid, surface(), limits=(0.1, 10.0))
    low, high = solid.get_zlim()
    assert low < -0.95
    assert 1.0 < high < 1.2
    assert [label.get_text() for label in solid.get_zticklabels()] == ["0.1", "1", "10"]
    with pytest.raises(TypeError, match="axes must be of three dimensions"):
        draw_loss_surface_3d(Figure().add_subplot(), surface())


def test_planes_name_their_networks(axes):
    points = [(0.0, 0.0), (1.5, 0.0), (1.0, 1.5)]
    draw_plane(axes, surface(points=points), ("one", "two", "three"))
    assert {text.get_text(): tuple(text.xy) for text in axes.texts} == dict(
        zip(("one", "two", "three"), points, strict=True)
    )
    np.testing.assert_array_equal([(*line.get_xdata(), *line.get_ydata()) for line in axes.lines], points)
    assert axes.get_aspect() == 1.0
    with pytest.raises(ValueError, match=re.escape("names must be those of 3 networks, got 2")):
        draw_plane(axes, surface(points=points), ("one", "two"))


def test_planes_show_other_values_on_a_linear_scale(axes):
    values = np.tile(np.linspace(0.0, 1.0, 13), (9, 1))
    points = [(0.0, 0.0), (1.5, 0.0), (1.0, 1.5)]
    draw_plane(axes, surface(points=points), values=values, label="agreement")
    assert axes.collections[0].get_clim() == (0.0, 1.0)
    assert axes.child_axes[0].get_ylabel() == "agreement"
