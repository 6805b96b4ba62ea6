"""Displays of a search: their curves are the search's own numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from kdtheory.estimators import SelfDistilledKernelClassifierCV, SelfDistilledKernelRidge, SelfDistilledKernelRidgeCV
from kdtheory.figures import HeldOutErrorDisplay, LabelWeightsDisplay


class Fitted:
    """The attributes of a fitted search that displays read."""

    ridges_ = np.array([1.0, 0.1, 10.0])
    loo_error_path_ = np.array([[0.3, 0.25, 0.2], [0.5, 0.4, 0.4], [0.9, 0.7, 0.6]])
    distillation_gain_ = 0.1
    distillation_gain_se_ = 0.0234

    @property
    def best_params_(self):
        return {"ridge": 1.0, "n_steps": 3, "label_weight": [1.5, -0.5]}


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_errors_are_drawn_against_ascending_ridges_with_the_choice_marked():
    display = HeldOutErrorDisplay.from_estimator(Fitted())
    assert len(display.lines_) == 3
    np.testing.assert_array_equal(display.lines_[1].get_xdata(), [0.1, 1.0, 10.0])
    np.testing.assert_array_equal(display.lines_[1].get_ydata(), [0.4, 0.25, 0.7])
    marks = {line.get_label(): line for line in display.ax_.lines if line not in display.lines_}
    assert marks["chosen"].get_xydata().tolist() == [[1.0, 0.2]]
    assert marks["best of 1 fit"].get_xydata().tolist() == [[1.0, 0.3]]
    assert all(mark.get_markerfacecolor() == "none" for mark in marks.values())
    assert all(mark.get_markeredgecolor() == "black" for mark in marks.values())
    assert display.ax_.get_xscale() == "log"
    assert display.figure_ is display.ax_.figure


def test_displays_draw_on_given_axes():
    _, axes = plt.subplots(1, 2)
    assert HeldOutErrorDisplay.from_estimator(Fitted(), ax=axes[0]).ax_ is axes[0]
    assert LabelWeightsDisplay.from_estimator(Fitted(), ax=axes[1]).ax_ is axes[1]


def test_label_weights_are_drawn_at_the_fits_that_have_them():
    display = LabelWeightsDisplay.from_estimator(Fitted())
    assert display.lines_[0].get_xydata().tolist() == [[2.0, 1.5], [3.0, -0.5]]
    assert display.lines_[0].get_linestyle() == "None"
    assert [stem.tolist() for stem in display.stems_[0].get_segments()] == [[[2, 0], [2, 1.5]], [[3, 0], [3, -0.5]]]
    assert display.ax_.get_yscale() == "linear"
    assert display.ax_.get_legend() is None


def test_label_weights_of_several_outputs_have_a_colour_each_and_large_ones_a_logarithmic_axis():
    display = LabelWeightsDisplay([[1.0, 2.0], [100.0, -3.0]]).plot()
    assert [line.get_ydata().tolist() for line in display.lines_] == [[1.0, 100.0], [2.0, -3.0]]
    assert [round(x) for line in display.lines_ for x in line.get_xdata()] == [2, 3, 2, 3]
    assert [text.get_text() for text in display.ax_.get_legend().get_texts()] == ["target 1", "target 2"]
    first, second = (line.get_color() for line in display.lines_)
    assert tuple(first) != tuple(second)
    assert display.ax_.get_yscale() == "symlog"


def test_plain_kernel_ridge_regression_has_no_label_weights():
    display = LabelWeightsDisplay([]).plot()
    assert [text.get_text() for text in display.ax_.texts] == ["one fit, no label weights"]
    assert not display.ax_.axison
    assert not display.lines_


def bowl(least_of_one, least, n_ridges=13):
    """Errors of 1 and 2 fits whose least ones are given, and which rise to both sides."""
    rise = 2.0 * np.abs(np.linspace(-6.0, 6.0, n_ridges))
    return np.geomspace(1e-6, 1e6, n_ridges), np.stack([least_of_one + rise, least + rise], axis=1)


@pytest.mark.parametrize(("least", "top"), [(9.9, 1.25 * 9.9), (7.0, 7.0 + 5.0 * 3.0), (5.0, 5.0 + 1.05 * 17.0)])
def test_axes_show_errors_within_a_quarter_of_the_least_or_five_times_the_gain(least, top):
    display = HeldOutErrorDisplay(*bowl(10.0, least), best_ridge=1.0, best_n_steps=2).plot()
    assert display.ax_.get_yscale() == "linear"
    bottom, high = display.ax_.get_ylim()
    assert high == pytest.approx(top)
    assert least - 0.5 * (high - least) < bottom < least


def test_axes_end_one_ridge_after_the_last_curve_has_left():
    ridges, errors = bowl(10.0, 9.9)
    display = HeldOutErrorDisplay(ridges[::-1], errors, best_ridge=1.0, best_n_steps=2).plot()
    np.testing.assert_allclose(display.ax_.get_xlim(), (1e-2, 1e2))
    display = HeldOutErrorDisplay(ridges[6:], errors[6:], best_ridge=1.0, best_n_steps=2).plot()
    np.testing.assert_allclose(display.ax_.get_xlim(), (1.0, 1e2))


def test_the_chosen_model_is_within_the_axes_even_if_others_are_far_better():
    ridges, errors = bowl(10.0, 9.9)
    display = HeldOutErrorDisplay(ridges, errors, best_ridge=1e4, best_n_steps=2).plot()
    assert display.ax_.get_xlim()[1] >= 1e4
    assert display.ax_.get_ylim()[1] >= 9.9 + 8.0


def test_curves_of_a_single_ridge_are_points():
    display = HeldOutErrorDisplay([0.1], [[0.4, 0.3]], best_ridge=0.1, best_n_steps=2).plot()
    assert all(line.get_marker() == "." for line in display.lines_)
    bottom, top = display.ax_.get_ylim()
    assert bottom < 0.3 < 0.4 < top < 0.45


@pytest.mark.parametrize(
    ("gain", "error", "text"),
    [
        (0.00921, 0.00511, "gain 0.0092 ± 0.0051"),
        (68.04, 33.7, "gain 68 ± 34"),
        (1.234e4, 123.4, "gain 12340 ± 123"),
        (0.5, 0.0, "gain 0.5"),
        (0.25, None, "gain 0.25"),
    ],
)
def test_the_gain_is_written_to_the_digits_of_its_error(gain, error, text):
    display = HeldOutErrorDisplay(*bowl(10.0, 9.9), best_ridge=1.0, best_n_steps=2, gain=gain, gain_se=error).plot()
    assert [each.get_text() for each in display.ax_.texts] == [text]


def test_no_gain_is_written_for_one_fit():
    display = HeldOutErrorDisplay(*bowl(10.0, 9.9), best_ridge=1.0, best_n_steps=1, gain=0.0, gain_se=0.0).plot()
    assert not display.ax_.texts


def searched(**parameters):
    rng = np.random.default_rng(0)
    X = rng.uniform(-3.0, 3.0, (40, 1))
    y = np.sin(2.0 * X[:, 0]) + 0.3 * rng.standard_normal(40)
    return SelfDistilledKernelRidgeCV(n_steps=4, **parameters).fit(X, y)


def test_the_gain_and_the_gamma_are_those_of_the_search():
    model = searched(gammas=[0.3, 0.1])
    display = HeldOutErrorDisplay.from_estimator(model)
    assert (display.gain, display.gain_se) == (model.distillation_gain_, model.distillation_gain_se_)
    assert f"gamma = {model.best_params_['gamma']}" in display.ax_.get_xlabel()
    assert "gamma" not in HeldOutErrorDisplay.from_estimator(searched()).ax_.get_xlabel()


@pytest.mark.parametrize("display", [HeldOutErrorDisplay, LabelWeightsDisplay])
def test_pipelines_are_drawn_by_their_last_step(display):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 2)), np.repeat([0, 1], 15)
    pipeline = make_pipeline(StandardScaler(), SelfDistilledKernelClassifierCV(n_steps=3)).fit(X, y)
    drawn, expected = display.from_estimator(pipeline), display.from_estimator(pipeline[-1])
    assert len(drawn.lines_) == len(expected.lines_)
    for line, other in zip(drawn.lines_, expected.lines_, strict=True):
        np.testing.assert_array_equal(line.get_xydata(), other.get_xydata())


@pytest.mark.parametrize("display", [HeldOutErrorDisplay, LabelWeightsDisplay])
def test_estimators_that_are_not_fitted_are_reported_as_such(display):
    for estimator in (SelfDistilledKernelRidgeCV(), make_pipeline(StandardScaler(), SelfDistilledKernelRidgeCV())):
        with pytest.raises(NotFittedError, match="This SelfDistilledKernelRidgeCV instance is not fitted yet"):
            display.from_estimator(estimator)


@pytest.mark.parametrize("display", [HeldOutErrorDisplay, LabelWeightsDisplay])
def test_arguments_for_the_curves_take_precedence(display):
    lines = display.from_estimator(Fitted(), line_kw={"color": "red", "markersize": 2.5}).lines_
    assert {(line.get_color(), line.get_markersize()) for line in lines} == {("red", 2.5)}


def test_errors_of_zero_are_drawn_as_well():
    display = HeldOutErrorDisplay([0.1, 1.0], np.zeros((2, 2)), best_ridge=1.0, best_n_steps=1).plot()
    assert len(display.lines_) == 2


@pytest.mark.parametrize("display", [HeldOutErrorDisplay, LabelWeightsDisplay])
def test_what_is_no_fitted_search_is_refused(display):
    for estimator in (object(), SelfDistilledKernelRidge().fit([[0.0], [1.0]], [0.0, 1.0])):
        with pytest.raises(ValueError, match="estimator must be a fitted SelfDistilledKernelRidgeCV"):
            display.from_estimator(estimator)
