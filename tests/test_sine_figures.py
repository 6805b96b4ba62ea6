"""Figures 2, 3 and 4 of Borup & Andersen (2021) by the numbers behind them."""

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kdtheory.problems import sine_problem
from tests.examples import load_example
from tests.oracles import refit

PROBLEM = sine_problem()


@pytest.fixture(scope="module")
def example():
    return load_example("fig_sine_selfdistillation")


@pytest.fixture(scope="module")
def made(example):
    yield example.main()
    plt.close("all")


@pytest.fixture(scope="module")
def figures(made):
    return made.figures


def reference(label_weights):
    return refit(PROBLEM.K, PROBLEM.y, PROBLEM.ridge, label_weights, PROBLEM.K_val)


def panels(figure):
    return {axes.get_title()[:3]: axes for axes in figure.axes}


def test_the_table_holds_the_published_losses_twice(example, capsys):
    example.print_losses(PROBLEM, example.distil(PROBLEM))
    rows = {(line[0], line[1]): line[2:] for line in map(str.split, capsys.readouterr().out.splitlines())}
    for case, label_weight in (("(a)", 0.0), ("(b)", 0.25)):
        published = PROBLEM.published_losses[label_weight]
        expected = [f"{loss:.5f}" for loss in (*published.steps, published.limit)]
        assert rows[case, "here"] == expected
        assert [f"{float(loss):.5f}" for loss in rows[case, "published"]] == expected
    assert len(rows["(c)", "here"]) == len(rows["(d)", "here"]) == 6


def test_figure_2_draws_the_functions_of_a_chain_of_refits(figures):
    for case, label_weight in (("(a)", 0.0), ("(b)", 0.25)):
        truth, crosses, *lines = panels(figures["sine_solutions"])[case].lines
        np.testing.assert_array_equal(truth.get_ydata(), PROBLEM.y_val)
        np.testing.assert_array_equal(crosses.get_xydata(), np.column_stack([PROBLEM.x, PROBLEM.y]))
        assert crosses.get_marker() == "x"
        chain = reference([label_weight] * 100)
        for line, values in zip(lines, [*chain.predictions[:6], None], strict=True):
            if values is not None:
                np.testing.assert_allclose(line.get_ydata(), values, atol=1e-12)
        assert lines[-1].get_linestyle() == "--"
        np.testing.assert_allclose(lines[-1].get_ydata(), chain.predictions[-1], atol=2e-3)
    for case in ("(c)", "(d)"):
        assert len(panels(figures["sine_solutions"])[case].lines) == 8  # no limit
        assert panels(figures["sine_solutions"])[case].texts[0].get_text().count("alpha") == 5


def test_figure_3_draws_every_diagonal_from_the_smallest_eigenvalue(figures):
    d = np.linalg.eigvalsh(PROBLEM.K)
    a = d / (d + PROBLEM.ridge)
    axes, b = panels(figures["sine_shrinkage"])["(b)"], a
    for bars in axes.containers:
        np.testing.assert_allclose([bar.get_height() for bar in bars], b, atol=1e-12)
        b = a * (0.25 + 0.75 * b)
    limit = axes.patches[-1].get_data().values
    np.testing.assert_allclose(limit, d / (d + PROBLEM.ridge / 0.25), atol=1e-12)


def test_figure_3_hides_no_step_behind_another(figures):
    """Bars stand before those they shrink; weights that do not always shrink are drawn as outlines."""
    for case, axes in panels(figures["sine_shrinkage"]).items():
        heights = np.array([[bar.get_height() for bar in bars] for bars in axes.containers])
        if case in ("(a)", "(b)"):
            assert heights.shape == (6, 11)
            assert np.all(np.diff(heights, axis=0) < 0)
        else:
            assert heights.size == 0
            assert len(axes.patches) == 6


def test_figure_4_draws_the_ratios_with_the_limit_where_there_is_one(figures):
    d = np.linalg.eigvalsh(PROBLEM.K)
    base = (1 + PROBLEM.ridge / d[:-1]) / (1 + PROBLEM.ridge / d[1:])
    axes = panels(figures["sine_shrinkage_ratios"])
    for step, line in enumerate(axes["(a)"].lines, start=1):
        np.testing.assert_allclose(line.get_ydata(), base**step, rtol=1e-10)
    limit = (1 + PROBLEM.ridge / 0.25 / d[:-1]) / (1 + PROBLEM.ridge / 0.25 / d[1:])
    np.testing.assert_allclose(axes["(b)"].lines[-1].get_ydata(), limit, rtol=1e-10)
    assert [len(axes[case].lines) for case in ("(a)", "(b)", "(c)", "(d)")] == [6, 7, 6, 6]


def test_colours_of_the_steps_grow_lighter(figures):
    lines = panels(figures["sine_shrinkage_ratios"])["(a)"].lines
    luminance = [np.dot(mpl.colors.to_rgb(line.get_color()), [0.2126, 0.7152, 0.0722]) for line in lines]
    assert np.all(np.diff(luminance) > 0.05)


def test_the_published_losses_are_met_by_a_chain_of_refits_and_what_is_wrong_in_print_is_told(made):
    met, others = made.numbers[:14], {row.quantity: row for row in made.numbers[14:]}
    assert all(row.verdict == "met" for row in met)
    for rows, label_weight in ((met[:7], 0.0), (met[7:], 0.25)):
        losses = PROBLEM.losses(np.array(reference([label_weight] * 5).predictions))
        np.testing.assert_allclose([row.here for row in rows[:6]], losses, atol=1e-12)
        published = PROBLEM.published_losses[label_weight]
        assert [float(row.published) for row in rows] == [*published.steps, published.limit]
        limit = PROBLEM.losses(np.array(reference([label_weight] * 300).predictions[-1]))
        np.testing.assert_allclose(rows[6].here, limit, atol=2e-3)
    (misprint,) = (row for row in others.values() if row.verdict == "misprint")
    K, K_val = (np.exp(-(np.subtract.outer(x, PROBLEM.x) ** 2) / 80.0) for x in (PROBLEM.x, PROBLEM.x_val))
    loss = PROBLEM.losses(K_val @ np.linalg.solve(K + PROBLEM.ridge * np.eye(11), PROBLEM.y))
    np.testing.assert_allclose(misprint.here, loss, rtol=1e-9)
    rises = others["stepwise best label weights: largest rise of the diagonal of B from step to step"]
    assert (rises.here > 0.05, rises.verdict) == (True, "contradicted")
    assert others["stepwise best label weights: range from step 3 on"].here < 0.02
