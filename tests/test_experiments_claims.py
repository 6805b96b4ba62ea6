"""What trials say of claims; experiments that are not repeated; and programmes of them, on ones that train nothing."""

import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from kdtheory import datasets
from kdtheory.experiments import Claim, Experiment, Programme, claims_table, experiment_parser, run_and_draw
from kdtheory.experiments.experiment import read_set


@dataclass(frozen=True)
class Setting:
    data: str = "digits"
    n_trials: int = 3
    shift: float = 1.0


def measure(setting, images, seed):
    with Path(f"measured-{seed}").open("a") as file:  # counts calls, in the folder of the test
        file.write(".")
    return {"value": setting.shift + 0.01 * seed, "images": len(images.train.y)}


def claims(setting, results):
    return [Claim("Someone (2020), Fig. 1", "it is positive", f"shift {setting.shift:g}", results["value"], "units")]


def draw(_, results):
    figure, axes = plt.subplots(figsize=(2.0, 1.0))
    axes.plot(results["value"])
    return {"toy": figure}


SIZES = {"quick": Setting(), "full": Setting(n_trials=2, shift=-1.0), "paper": Setting("mnist")}
TOY = Experiment("toy", SIZES, measure, claims, draw)


@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8), st.sampled_from([0.5, 0.95, 0.99]))
def test_the_verdict_is_that_of_students_t_test(values, level):
    claim = Claim("s", "c", "d", np.array(values))
    if np.ptp(values) <= 1e-9 * max(1.0, np.abs(values).max()):
        return
    found = stats.ttest_1samp(values, 0.0).confidence_interval(level)
    expected = "reproduced" if found.low > 0.0 else "contradicted" if found.high < 0.0 else "undecided"
    if min(abs(found.low), abs(found.high)) > 1e-9 * np.abs(values).max():
        assert claim.verdict(level) == expected
    assert claim.error == pytest.approx(stats.sem(values))


@pytest.mark.parametrize(
    ("values", "verdict"), [([0.0, 0.0], "undecided"), ([1.0, 1.0], "reproduced"), ([-1.0, -1.0], "contradicted")]
)
def test_trials_that_do_not_vary_are_decided_by_their_sign(values, verdict):
    assert Claim("s", "c", "d", np.array(values)).verdict() == verdict


def test_tables_hold_every_claim_with_its_numbers():
    table = claims_table([
        Claim("One (2020)", "up", "here", np.array([1.0, 1.2, 1.1]), "points"),
        Claim("One (2020)", "down", "there", np.array([-20.0, -21.0])),
    ])  # fmt: skip
    assert table.columns.tolist() == ["source", "claim", "setting", "result", "trials", "verdict"]
    assert table["result"].tolist() == ["+1.10 ± 0.06 points", "-20.50 ± 0.50"]
    assert table["trials"].tolist() == [3, 2]
    assert table["verdict"].tolist() == ["reproduced", "contradicted"]


@pytest.mark.parametrize(
    ("values", "message"),
    [([1.0], "values must be of 2 trials or more"), ([1.0, np.nan], "values must"), ([[1.0], [2.0]], "values must")],
)
def test_what_are_no_trials_is_refused_by_name(values, message):
    with pytest.raises((TypeError, ValueError), match=message):
        Claim("s", "c", "d", np.array(values))


def test_a_level_outside_the_unit_interval_is_refused():
    with pytest.raises(ValueError, match="level must be <= 1, got 95"):
        Claim("s", "c", "d", np.array([1.0, 2.0])).verdict(95)


def test_trials_in_a_folder_are_not_repeated(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for trials in (2, 3, 3):
        found = TOY.run(results=tmp_path / "kept", trials=trials)
    np.testing.assert_allclose(found["value"], [1.0, 1.01, 1.02])
    assert [(tmp_path / f"measured-{seed}").read_text() for seed in range(3)] == ["."] * 3
    again = Experiment("toy", {"quick": Setting(shift=2.0)}, measure, claims, draw)
    np.testing.assert_allclose(again.run(results=tmp_path / "kept")["value"], [2.0, 2.01, 2.02])
    assert (tmp_path / "measured-0").read_text() == ".."  # of another setting


def test_a_size_that_an_experiment_has_not_is_its_full_one(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    without = Experiment("toy", {name: SIZES[name] for name in ("quick", "full")}, measure, claims, draw)
    made = run_and_draw(without, "paper")
    assert list(made.figures) == ["toy"]
    assert [(row.published, row.verdict) for row in made.numbers] == [("> 0", "contradicted")]
    assert capsys.readouterr().out == (
        "Someone (2020), Fig. 1: it is positive\n  -0.9950 ± 0.0050 units on shift -1: contradicted\n"
    )
    plt.close("all")


def test_images_to_test_on_are_none_to_train_on():
    train, test = read_set("digits", None)
    rows = {each.tobytes() for each in train.X}
    assert len(train.y) + len(test.y) == 1797
    assert sum(each.tobytes() in rows for each in test.X) == 0
    with pytest.raises(ValueError, match=r"data must be a folder with mnist\.npz"):
        read_set("mnist", None)


def test_public_images_are_scaled_and_keep_their_own_test_set(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    arrays = {name: rng.integers(0, 256, (n, 28, 28), dtype=np.uint8) for name, n in (("x_train", 12), ("x_test", 5))}
    labels = {name: (np.arange(n) % 10).astype(np.uint8) for name, n in (("y_train", 12), ("y_test", 5))}
    path = tmp_path / "mnist.npz"
    np.savez(path, **arrays, **labels)
    monkeypatch.setitem(datasets.SHA256, "mnist", hashlib.sha256(path.read_bytes()).hexdigest())
    train, test = read_set("mnist", str(tmp_path))
    np.testing.assert_allclose(test.X, arrays["x_test"] / 255.0, rtol=1e-6)
    assert train.X.dtype == np.float32
    np.testing.assert_array_equal(train.y, labels["y_train"])


def test_a_programme_writes_its_table_and_figures_and_goes_on_where_it_was(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    other = Experiment("other", TOY.sizes, measure, claims, lambda *_: {})
    programme = Programme("someone_2020", "Someone (2020)", (TOY, other))
    call = functools.partial(programme.main, ["--output", str(tmp_path / "out")])
    call()
    first = capsys.readouterr().out
    assert "Someone (2020), Fig. 1: it is positive" in first
    assert first.splitlines()[-1] == "2 reproduced, 0 contradicted, 0 undecided"
    table = pd.read_csv(tmp_path / "out" / "someone_2020.csv")
    assert table["verdict"].tolist() == ["reproduced"] * 2
    assert (tmp_path / "out" / "toy.png").stat().st_size > 0
    call()
    assert capsys.readouterr().out == first
    assert (tmp_path / "measured-0").read_text() == "."
    programme.main(["--output", str(tmp_path / "out"), "--only", "other"])
    assert len(pd.read_csv(tmp_path / "out" / "someone_2020-other.csv")) == 1
    assert len(pd.read_csv(tmp_path / "out" / "someone_2020.csv")) == 2


def test_what_was_done_before_a_failure_is_in_the_table(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fails(*_):
        raise KeyboardInterrupt

    stopped = Experiment("stopped", TOY.sizes, fails, claims, draw)
    with pytest.raises(SystemExit) as left:
        Programme("someone_2020", "Someone (2020)", (stopped,)).main(["--output", str(tmp_path)])
    assert left.value.code == 130
    with pytest.raises(KeyboardInterrupt):
        Programme("someone_2020", "Someone (2020)", (TOY, stopped)).run(tmp_path)
    assert len(pd.read_csv(tmp_path / "someone_2020.csv")) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--paper"], "--data: data must be a folder with mnist.npz"),
        (["--data", "nowhere"], "--data needs --full or --paper"),
        (["--paper", "--data", "nowhere"], "--data: folder must exist, got 'nowhere'"),
        (["--quick", "--full"], "not allowed with argument"),
        (["--trials", "1"], "must be an integer >= 2"),
        (["--only", "nothing"], "invalid choice: 'nothing'"),
    ],
)
def test_a_command_line_that_asks_for_nothing_that_is_there_ends_with_a_message(arguments, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as stopped:
        Programme("someone_2020", "Someone (2020)", (TOY,)).main(["--output", str(tmp_path), *arguments])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_sizes_are_told_apart_on_the_command_line(tmp_path):
    parser = experiment_parser("An experiment.", tmp_path)
    found = [parser.parse_args([f"--{size}"]).size for size in ("quick", "full", "paper")]
    assert found == ["quick", "full", "paper"]
    assert parser.parse_args([]).size == "quick"


def test_a_programme_is_a_script_of_all_its_experiments_and_its_numbers(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    other = Experiment("other", TOY.sizes, measure, claims, lambda *_: {})
    made = Programme("someone_2020", "Someone (2020)", (TOY, other)).script.make(
        ["--output", str(tmp_path), "--trials", "3"]
    )
    assert list(made.reproduction.figures) == ["toy"]
    first, second = made.reproduction.numbers
    assert first == second
    assert (first.quantity, first.published, first.verdict) == ("it is positive", "> 0", "reproduced")
    assert first.source == "Someone (2020), Fig. 1; here shift 1"
    np.testing.assert_allclose([first.here, first.error], [1.01, 0.01 / np.sqrt(3.0)])
    plt.close("all")
