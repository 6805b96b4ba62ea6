"""Displays of a search: their curves are the search's own numbers."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kdtheory.figures import HeldOutErrorDisplay, LabelWeightsDisplay


class Fitted:
    """The attributes of a fitted search that displays read."""

    ridges_ = np.array([1.0, 0.1, 10.0])
    loo_error_path_ = np.array([[0.3, 0.25, 0.2], [0.5, 0.4, 0.4], [0.9, 0.7, 0.6]])

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
    (chosen,) = [line for line in display.ax_.lines if line.get_label() == "chosen"]
    assert chosen.get_xydata().tolist() == [[1.0, 0.2]]
    assert display.ax_.get_xscale() == "log"
    assert display.figure_ is display.ax_.figure


def test_displays_draw_on_given_axes():
    _, axes = plt.subplots(1, 2)
    assert HeldOutErrorDisplay.from_estimator(Fitted(), ax=axes[0]).ax_ is axes[0]
    assert LabelWeightsDisplay.from_estimator(Fitted(), ax=axes[1]).ax_ is axes[1]


def test_label_weights_are_drawn_at_the_fits_that_have_them():
    display = LabelWeightsDisplay.from_estimator(Fitted())
    assert display.lines_[0].get_xydata().tolist() == [[2.0, 1.5], [3.0, -0.5]]
    assert display.ax_.get_yscale() == "linear"


def test_label_weights_of_several_outputs_have_a_line_each_and_large_ones_a_logarithmic_axis():
    display = LabelWeightsDisplay([[1.0, 2.0], [100.0, -3.0]]).plot()
    assert [line.get_ydata().tolist() for line in display.lines_] == [[1.0, 100.0], [2.0, -3.0]]
    assert display.ax_.get_yscale() == "symlog"


def test_plain_kernel_ridge_regression_has_no_label_weights():
    display = LabelWeightsDisplay([]).plot()
    assert [text.get_text() for text in display.ax_.texts] == ["one fit, no label weights"]


def test_errors_of_zero_are_drawn_as_well():
    display = HeldOutErrorDisplay([0.1, 1.0], np.zeros((2, 2)), best_ridge=1.0, best_n_steps=1).plot()
    assert len(display.lines_) == 2


@pytest.mark.parametrize("display", [HeldOutErrorDisplay, LabelWeightsDisplay])
def test_what_is_no_fitted_search_is_refused(display):
    with pytest.raises(ValueError, match="estimator must be a fitted SelfDistilledKernelRidgeCV"):
        display.from_estimator(object())
