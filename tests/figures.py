"""What every figure of a paper must be."""

import matplotlib.pyplot as plt

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
