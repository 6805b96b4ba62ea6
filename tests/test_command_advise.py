"""The command `kdtheory advise`: a model, a picture and numbers, or one line and nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from kdtheory.advice import advise, output
from kdtheory.advice.drawing import draw_advice
from kdtheory.command_line.application import app
from kdtheory.estimators import load
from tests.tables import frame, table


def run(*arguments):
    result = CliRunner().invoke(app, ["advise", *(str(each) for each in arguments)])
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr, exception=result.exception)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frame().to_csv("data.csv", index=False)
    return tmp_path


def test_it_writes_a_model_for_raw_rows_with_a_picture_and_all_numbers(folder):
    frame().to_csv("data.csv", index=False, sep=";", decimal=",")
    result = run("data.csv", "--target", "y", "--steps", 3, "--out", "new/advice")
    assert (result.code, result.err) == (0, "")
    assert sorted(each.name for each in (folder / "new/advice").iterdir()) == [
        "advice.json",
        "advice.png",
        "model.skops",
    ]
    assert sorted(each.name for each in folder.iterdir()) == ["data.csv", "new"]
    numbers = json.loads((folder / "new/advice/advice.json").read_text(encoding="utf-8"))
    assert result.out.startswith("\n".join(numbers["summary"]))
    errors = {
        line[:24].strip(): line.split()[-3:] for line in numbers["summary"] if line[:4] in ("pred", "kern", "chos")
    }
    assert errors["predicting the mean"][2] == "0.0000"
    assert errors["kernel ridge regression"][2] == f"{numbers['plain']['r2']:.4f}"
    assert float(errors["kernel ridge regression"][1]) == pytest.approx(numbers["plain"]["error"] ** 0.5, rel=1e-3)
    load_it = result.out.splitlines()[-1].strip()
    assert load_it == "load('new/advice/model.skops').predict(pandas.read_csv('data.csv', sep=';', decimal=','))"
    predictions = eval(load_it, {"load": load, "pandas": pd})
    assert np.mean((predictions - frame()["y"]) ** 2) < numbers["chosen"]["error"]
    assert plt.imread("new/advice/advice.png").shape[:2] == (1120, 1440)
    assert plt.get_fignums() == []


def test_the_picture_shows_what_is_reported():
    advice = advise(table(), n_steps=2, n_outer_folds=2)
    figure = draw_advice(advice)
    gains, widths, ridges, predictions = figure.axes
    plt.close(figure)
    points = [line.get_xdata()[0] for line in gains.lines if line.get_marker() == "o"]
    assert points == pytest.approx([100 * gain.share for gain in (advice.measured, advice.unseen, advice.refitted)])
    assert advice.verdict.capitalize() in gains.get_title(loc="left")
    assert widths.lines[0].get_ydata() == pytest.approx([width.plain_error for width in advice.widths])
    assert widths.lines[1].get_ydata() == pytest.approx([width.score for width in advice.widths])
    assert len(ridges.get_legend().get_texts()) == 4
    assert predictions.lines[1].get_ydata() == pytest.approx(frame()["y"])


def test_of_a_long_file_a_sample_is_used_and_that_is_said(folder):
    frame(n=3000).to_csv("long.csv", index=False)
    result = run("long.csv", "--target", "y", "--steps", 2, "--rows", 50)
    assert result.code == 0
    assert "Of 3,000 rows a sample of 50 is used." in result.out
    assert json.loads((folder / "advice/advice.json").read_text(encoding="utf-8"))["rows"] == {
        "of_file": 3000,
        "incomplete": 0,
        "used": 50,
    }


def files_that_cannot_be_used(folder):
    (folder / "folder.csv").mkdir()
    (folder / "empty.csv").write_text("")
    (folder / "binary.csv").write_bytes(bytes(range(256)))
    (folder / "file").write_text("")
    (folder / "taken/advice.json").mkdir(parents=True)
    frame()[:2].to_csv("two.csv", index=False)
    frame().assign(y=1.0).to_csv("constant.csv", index=False)
    frame().astype({"x": object}).replace({"x": {frame()["x"][4]: "1 m"}}).to_csv("text.csv", index=False)
    frame().assign(x=[np.inf] + [1.0] * 59).to_csv("infinite.csv", index=False)
    frame().assign(kind=[None] * 40 + ["a"] * 20).to_csv("gaps.csv", index=False)
    frame().to_csv("names.csv", index=False, header=["y", "x", "y"])


MISTAKES = {
    "a missing file": (("missing.csv", "y"), "missing.csv: No such file or directory"),
    "a folder": (("folder.csv", "y"), "folder.csv: Is a directory"),
    "an empty file": (("empty.csv", "y"), "empty.csv must have a header and rows, got an empty file"),
    "a binary file": (("binary.csv", "y"), "binary.csv must be a text file of columns, got a binary one"),
    "a wrong target": (("data.csv", "Y"), "Error: --target must be the name of a column, got 'Y': did you mean y"),
    "a wrong column to drop": (("data.csv", "y", "--drop", "z"), "Error: --drop must be the name of a column, got 'z'"),
    "a target of texts": (("data.csv", "kind"), "column kind must hold a number to predict"),
    "a constant target": (
        ("constant.csv", "y"),
        "Error: --target must vary, got the same value in all rows of column y: 1",
    ),
    "text among numbers": (("text.csv", "y"), "column x must hold numbers, got '1 m' in row 5"),
    "infinite numbers": (("infinite.csv", "y"), "column x must hold numbers up to 1e100 in size, got inf in row 1"),
    "many gaps": (("gaps.csv", "y"), "got 40 of 60 with a missing value, most of them, 40 in column kind"),
    "a name twice": (("names.csv", "y"), "names.csv must name every column once, got 'y' 2 times"),
    "two rows": (("two.csv", "y"), "data must have at least 20 complete rows, got 2"),
    "a sample of few rows": (("data.csv", "y", "--rows", "19"), "data must have at least 20 complete rows, got 19"),
    "no rows": (("data.csv", "y", "--rows", "0"), "Error: --rows must be >= 1, got 0"),
    "one step": (("data.csv", "y", "--steps", "1"), "Error: --steps must be >= 2, got 1"),
    "one outer fold": (("data.csv", "y", "--outer-folds", "1"), "Error: --outer-folds must be 0, or from 2"),
    "a negative seed": (("data.csv", "y", "--seed", "-1"), "Error: --seed must be an integer >= 0"),
    "a file for a folder": (("data.csv", "y", "--out", "file"), "file: Not a directory"),
    "a folder in a file": (("data.csv", "y", "--out", "file/advice"), "file/advice: Not a directory"),
    "a folder that nobody can write to": (("data.csv", "y", "--out", "/proc/advice"), "/proc/advice: "),
    "a folder for a file": (("data.csv", "y", "--out", "taken"), "taken/advice.json: Is a directory"),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_named_in_one_line_and_leaves_nothing(kind, folder):
    files_that_cannot_be_used(folder)
    (data, target, *options), message = MISTAKES[kind]
    before = sorted(folder.rglob("*"))
    result = run(data, "--target", target, *options)
    assert result.code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert sorted(folder.rglob("*")) == before


@pytest.mark.usefixtures("folder")
def test_a_folder_that_cannot_be_written_to_is_named_before_any_work():
    Path("file").touch()
    assert "file: Not a directory" in run("missing.csv", "--target", "y", "--out", "file").err


@pytest.mark.usefixtures("folder")
def test_a_library_that_is_missing_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "kdtheory.advice", None)
    result = run("data.csv", "--target", "y")
    assert result.code == 2
    assert result.err.count("\n") == 1


def test_files_are_replaced_together_or_not_at_all(folder, monkeypatch):
    (folder / "advice").mkdir()
    (folder / "advice/advice.json").write_text("old")
    before = sorted(folder.rglob("*"))

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(output, "draw_advice", interrupt)
    result = run("data.csv", "--target", "y", "--steps", 2)
    assert result.code == 130
    assert sorted(folder.rglob("*")) == before
    assert (folder / "advice/advice.json").read_text() == "old"


def test_an_interrupt_ends_with_one_line_and_leaves_nothing(folder):
    frame(n=1500).to_csv("data.csv", index=False)
    before = sorted(folder.rglob("*"))
    code = "from kdtheory.command_line import main; main()"
    command = [sys.executable, "-c", code, "advise", "data.csv", "--target", "y"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and len(list(folder.iterdir())) == len(before):
            time.sleep(0.02)  # until the command has begun
        time.sleep(0.2)
        os.kill(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert err.count("\n") <= 1
    assert "Traceback" not in err
    assert sorted(folder.rglob("*")) == before
