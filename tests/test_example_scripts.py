"""How the scripts that draw figures are called, and what they refuse."""

from urllib.error import URLError

import matplotlib.pyplot as plt
import numpy as np
import pytest

from kdtheory import datasets
from kdtheory.figures import save_figures
from kdtheory.figures.images import read_digits, split_images
from tests.examples import DRAWING, OF_TRIALS, call_example, load_example


def test_figures_are_written_as_vectors_and_as_pixels(drawn, capsys, tmp_path):
    figures, _ = drawn("fig_eigenspace", capsys)
    save_figures(figures, tmp_path / "not" / "there")
    written = [str(tmp_path / "not" / "there" / f"{figure}.{end}") for figure in figures for end in ("png", "pdf")]
    assert capsys.readouterr().out.splitlines() == written
    for figure in figures:
        assert plt.imread(tmp_path / "not" / "there" / f"{figure}.png").shape[1] == 5.5 * 300


@pytest.mark.parametrize("name", [*DRAWING, "table_double_distillation"])
def test_scripts_tell_their_options(name, capsys, monkeypatch):
    assert call_example(name, "--help", monkeypatch=monkeypatch) == 0
    shown = capsys.readouterr().out
    assert load_example(name).__doc__.splitlines()[0] in shown
    assert ("--output FOLDER" in shown) == (name in DRAWING)


@pytest.mark.parametrize("name", OF_TRIALS)
def test_no_number_of_trials_is_taken_for_none_given(name):
    with pytest.raises(ValueError, match="n_trials must be >= 1, got 0"):
        load_example(name).main(trials=0)


def test_images_are_fetched_by_name_and_what_is_wrong_is_said_before_any_work(tmp_path, monkeypatch, capsys):
    def no_network(**_):
        raise URLError("no route to host")

    monkeypatch.setattr(datasets, "fetch_openml", no_network)
    common = ["--output", tmp_path]
    assert call_example("fig_fashion_mnist", *common, "--data", "openml", monkeypatch=monkeypatch) == 2
    assert "fashion_mnist could not be fetched from OpenML" in capsys.readouterr().err
    assert call_example("fig_fashion_mnist", *common, "--data", tmp_path, monkeypatch=monkeypatch) == 2
    assert "folder must hold fashion_mnist.npz" in capsys.readouterr().err
    assert call_example("fig_cnn_eigenspace", *common, "--data", tmp_path, monkeypatch=monkeypatch) == 2
    assert "argument --data: folder must hold cifar10.npz" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("fig_logit_logit", lambda size: (size.n_train, size.n_test)),
        ("fig_estimated_label_weight", lambda size: size.n_images),
    ],
)
def test_the_full_size_is_cut_to_the_digits_built_in(name, parts, monkeypatch):
    example = load_example(name)
    asked = []
    monkeypatch.setattr(example, "run_trials", lambda trial, *_, **__: asked.append(trial.args[0]) or {})
    monkeypatch.setattr(example, "print_table", lambda *_: None)
    with pytest.raises(KeyError):  # nothing to draw
        example.main(full=True)
    drawn = split_images(read_digits(), parts(asked[0]), np.random.default_rng(0))
    assert sum(len(part.y) for part in drawn) == len(read_digits().y)
    assert min(len(part.y) for part in drawn) >= 400


def test_digits_are_refused_where_patches_have_no_room_before_any_network_is_trained():
    with pytest.raises(ValueError, match="data must be given but for the quick size"):
        load_example("fig_cnn_eigenspace").main(full=True)


@pytest.mark.parametrize(
    ("sizes", "message"),
    [((1000, 798), "images must be 1798 or more, .* got 1797"), ((1920, -123), "sizes must be >= 1, got -123")],
)
def test_parts_of_images_that_cannot_be_are_refused_by_name(sizes, message):
    with pytest.raises(ValueError, match=message):
        split_images(read_digits(), sizes, np.random.default_rng(0))
