"""Trials of an experiment: the same on any number of processes, each with a seed of its own."""

import re
from pathlib import Path

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from kdtheory.figures import draw_trials, mean_and_error
from kdtheory.figures.trials import run_trials, trial_parser


def draw_normal(seed):
    rng = np.random.default_rng(seed)
    return {"seed": seed, "values": rng.standard_normal(3)}


def test_trials_are_stacked_in_the_order_of_their_seeds():
    run = run_trials(draw_normal, 4)
    np.testing.assert_array_equal(run["seed"], [0, 1, 2, 3])
    np.testing.assert_array_equal(run["values"][2], np.random.default_rng(2).standard_normal(3))


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_processes_and_a_backend_set_outside_give_the_same_trials(backend):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        run = run_trials(draw_normal, 5)
    for name, values in run_trials(draw_normal, 5).items():
        np.testing.assert_array_equal(run[name], values)


def test_progress_is_shown_under_the_title(capsys):
    run_trials(draw_normal, 3, title="figure 2")
    shown = capsys.readouterr().err
    assert "figure 2: 100%" in shown
    assert "3/3" in shown


@pytest.mark.parametrize(("count", "error"), [(1, ValueError), (0, ValueError), (2.5, TypeError)])
def test_fewer_than_two_trials_are_refused(count, error):
    with pytest.raises(error, match=re.escape("n_trials must be")):
        run_trials(draw_normal, count)


def test_a_mean_has_the_standard_error_of_independent_trials():
    values = np.random.default_rng(0).standard_normal((400, 2)) * [1.0, 3.0] + [0.0, 5.0]
    mean, error = mean_and_error(values)
    np.testing.assert_allclose(mean, [0.0, 5.0], atol=0.5)
    np.testing.assert_allclose(error, [0.05, 0.15], rtol=0.1)


def test_bars_reach_one_standard_error_up_and_down():
    figure, axes = plt.subplots()
    trials = np.array([[1.0, 2.0], [3.0, 2.5]])
    draw_trials(axes, np.array([1.0, 2.0]), {"curve": trials})
    (container,) = axes.containers
    segments = np.array(container.lines[2][0].get_segments())
    mean, error = mean_and_error(trials)
    np.testing.assert_allclose(segments[:, :, 1], np.column_stack([mean - error, mean + error]))
    assert container.get_label() == "curve"
    plt.close(figure)


def test_the_command_line_is_quick_unless_the_full_size_is_asked_for(capsys):
    parser = trial_parser("An experiment.", Path("figures"))
    assert vars(parser.parse_args([])) == {"full": False, "trials": None, "jobs": None, "output": Path("figures")}
    assert parser.parse_args(["--full"]).full
    assert not parser.parse_args(["--quick"]).full
    with pytest.raises(SystemExit):
        parser.parse_args(["--quick", "--full"])
    assert "not allowed with" in capsys.readouterr().err
