"""What every figure of a paper must be."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.container import ErrorbarContainer

from kdtheory.figures import STYLE


def assert_legible(figure):
    """Text width of a paper, labels on the outer axes, and type of 6.5 points or more."""
    assert figure.get_size_inches()[0] <= 5.5
    panels = [axes for axes in figure.axes if axes.get_subplotspec() is not None]  # a bar of colours is none
    assert all(axes.get_ylabel() for axes in panels if axes.get_subplotspec().is_first_col())
    for axes in panels:
        assert axes.get_xlabel() or not axes.xaxis.get_tick_params()["labelbottom"]
    for axes in figure.axes:
        assert all(label.get_fontsize() >= 6.5 for label in axes.get_xticklabels() + axes.get_yticklabels())


def assert_common_fonts(figure, folder):
    """No fonts that journals refuse."""
    with plt.style.context(STYLE):
        figure.savefig(folder / "figure.pdf")
    pdf = (folder / "figure.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert b"/Type3" not in pdf


def assert_standard_errors(figure):
    """Curves are means over trials, amid bars of their standard errors; one panel may show what is exact."""
    with_errors = [axes for axes in figure.axes if any(isinstance(one, ErrorbarContainer) for one in axes.containers)]
    assert len(with_errors) >= len(figure.axes) - 1
    for axes in with_errors:
        for container in axes.containers:
            assert container.has_yerr
            heights = [bar[:, 1] for bar in container.lines[2][-1].get_segments()]
            assert np.ptp(heights, axis=1).max() > 0.0
            np.testing.assert_allclose(np.mean(heights, axis=1), container.lines[0].get_ydata(), rtol=1e-9)


def assert_says_how_many_trials(figure, n_trials, shown):
    """The legend says how many trials there are, and what their bars are."""
    (legend,) = figure.legends
    assert legend.get_title().get_text() == f"mean of {n_trials} trials; {shown}: ± 1 standard error"
