"""Trials of an experiment: the same on any number of processes, each with a seed of its own."""

import re
import sys

import joblib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from kdtheory.figures import draw_trials, figure_parser, mean_and_error
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


def test_progress_is_shown_under_the_title_on_a_terminal_only(capsys, monkeypatch):
    run_trials(draw_normal, 3, title="figure 2")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
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


def test_trials_of_one_process_have_one_blas_thread_each():
    def count(_):
        return {"threads": max(pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas")}

    with threadpool_limits(limits=2, user_api="blas"):
        assert run_trials(count, 2)["threads"].tolist() == [1, 1]
        assert count(0)["threads"] == 2


def test_the_command_line_is_quick_unless_the_full_size_is_asked_for(capsys, tmp_path):
    parser = trial_parser("An experiment.", tmp_path)
    assert vars(parser.parse_args([])) == {"full": False, "trials": None, "jobs": None, "output": tmp_path}
    assert parser.parse_args(["--full"]).full
    assert not parser.parse_args(["--quick"]).full
    assert parser.parse_args(["--jobs", "-1"]).jobs == -1
    with pytest.raises(SystemExit):
        parser.parse_args(["--quick", "--full"])
    assert "not allowed with" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--trials", "0"], "argument --trials: must be an integer >= 2, for standard errors, got '0'"),
        (["--trials", "1"], "must be an integer >= 2, for standard errors, got '1'"),
        (["--trials", "-3"], "got '-3'"),
        (["--trials", "2.5"], "got '2.5'"),
        (["--jobs", "0"], "argument --jobs: must be an integer > 0, or -1 for all cores, got '0'"),
        (["--jobs", "-2"], "must be an integer >= -1, got '-2'"),
    ],
)
def test_sizes_that_cannot_be_are_refused_on_the_command_line(arguments, message, capsys, tmp_path):
    with pytest.raises(SystemExit) as info:
        trial_parser("An experiment.", tmp_path).parse_args(arguments)
    assert info.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("make", [trial_parser, figure_parser])
def test_the_folder_for_figures_is_made_before_the_work_or_refused(make, capsys, tmp_path):
    folder, file = tmp_path / "a" / "b" / "c", tmp_path / "file"
    file.touch()
    assert make("A figure.", folder).parse_args([]).output == folder
    assert folder.is_dir()
    other = tmp_path / "d" / "e"
    assert make("A figure.", folder).parse_args(["--output", str(other)]).output == other
    assert other.is_dir()
    for wrong in (file, file / "below"):
        with pytest.raises(SystemExit):
            make("A figure.", folder).parse_args(["--output", str(wrong)])
        assert "argument --output: must be a folder that can be written to, got" in capsys.readouterr().err
