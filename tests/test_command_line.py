"""The command `kdtheory`: files in, a page and its numbers out, and one line for every mistake."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

import kdtheory
from kdtheory import command_line
from kdtheory.command_line.application import app
from kdtheory.report import Report, report
from tests.test_report import logits


def run(*arguments):
    result = CliRunner().invoke(app, [str(each) for each in arguments])
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr, exception=result.exception)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Folder of logits and labels, in which commands run; drawing is left out, since other tests draw."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Report, "to_html", lambda self: f"page of {self.title}")
    teacher, student, labels, controls = logits(n=60)
    np.save("teacher.npy", teacher)
    np.savez("logits.npz", student=student, fewer=student[:-1], classes=student[:, :3], controls=controls)
    np.savetxt("labels.csv", labels, fmt="%d", header="label", comments="")
    for number, control in enumerate(controls):
        np.save(f"control{number}.npy", control)
    return tmp_path


def test_it_prints_its_version():
    result = run("version")
    assert (result.code, result.out) == (0, f"{kdtheory.__version__}\n")


def test_the_installed_program_prints_its_version_and_loads_nothing_heavy():
    code = (
        "import sys; from kdtheory.command_line import main; sys.argv = ['kdtheory', 'version']\n"
        "heavy = ('matplotlib', 'jinja2', 'sklearn', 'jax', 'rich.progress', 'scipy.stats')\n"
        "try: main()\n"
        "finally: print([name for name in heavy if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split("\n") == [kdtheory.__version__, "[]", ""]


def test_it_writes_the_report_that_python_writes(files):
    options = ("--temperature", "2", "--quantile", "0.4", "--bins", "8", "--seed", "5", "--title", "A <b> title")
    result = run(
        "report", "teacher.npy", "logits.npz:student", "labels.csv", *options,
        "--control", "control0.npy", "--control", "control1.npy", "--output", "out.html",
    )  # fmt: skip
    assert (result.code, result.err) == (0, "")
    teacher, student, labels, controls = logits(n=60)
    expected = report(
        teacher, student, labels, control_logits=controls,
        temperature=2.0, quantile=0.4, n_bins=8, seed=5, title="A <b> title",
    )  # fmt: skip
    assert (files / "out.json").read_text(encoding="utf-8") == expected.to_json()
    assert (files / "out.html").read_text(encoding="utf-8") == "page of A <b> title"
    assert result.out.splitlines() == [*expected.summary, "out.html", "out.json"]
    together = run(
        "report", "teacher.npy", "logits.npz:student", "labels.csv", *options, "--control", "logits.npz:controls"
    )
    assert together.code == 0
    assert (files / "report.json").read_text(encoding="utf-8") == expected.to_json()


def test_the_page_is_named_after_the_files_by_default(files):
    assert run("report", "teacher.npy", "logits.npz:student", "labels.csv").code == 0
    numbers = json.loads((files / "report.json").read_text(encoding="utf-8"))
    assert numbers["title"] == "logits.npz:student and its teacher teacher.npy"
    assert numbers["control"] is None


def bad(files):
    """Files that cannot be used, by name."""
    teacher, student, labels, _ = logits(n=60)
    student[7, 2] = np.nan
    np.save("nan.npy", student)
    np.save("short.npy", labels[:-1])
    np.save("large.npy", labels + 1)
    np.save("fewer.npy", teacher[:, :3])
    np.save("objects.npy", np.array([{}], dtype=object))
    (files / "folder.html").mkdir()
    (files / "file").write_text("")


GOOD = ("teacher.npy", "logits.npz:student", "labels.csv")
MISTAKES = {
    "a missing file": (("missing.npy", *GOOD[1:]), "missing.npy: No such file or directory"),
    "a folder for a file": ((".", *GOOD[1:]), "must end in .npy, .npz or .csv"),
    "a wrong key": ((GOOD[0], "logits.npz:pupil", GOOD[2]), "logits.npz must hold an array named 'pupil'"),
    "no key": ((GOOD[0], "logits.npz", GOOD[2]), "be followed by a colon and a name"),
    "logits that are not finite": (
        (GOOD[0], "nan.npy", GOOD[2]),
        "Error: nan.npy must be finite, got nan at index (7, 2)",
    ),
    "other points": (
        (GOOD[0], "logits.npz:fewer", GOOD[2]),
        "Error: logits.npz:fewer must have the 60 points of teacher.npy, got 59",
    ),
    "other classes": (
        (GOOD[0], "logits.npz:classes", GOOD[2]),
        "Error: logits.npz:classes must have the 5 classes of teacher.npy, got 3",
    ),
    "a teacher with fewer classes": (
        ("fewer.npy", *GOOD[1:]),
        "Error: logits.npz:student must have the 3 classes of fewer.npy, got 5",
    ),
    "fewer labels": ((*GOOD[:2], "short.npy"), "short.npy must be 60 integers, one label a point, got shape (59,)"),
    "labels out of range": ((*GOOD[:2], "large.npy"), "large.npy must lie in 0..4, got 5"),
    "labels that are logits": ((*GOOD[:2], "teacher.npy"), "teacher.npy must hold one column of labels"),
    "a pickle": (("objects.npy", *GOOD[1:]), "objects.npy must be a file that numpy.save or numpy.savez wrote"),
    "a missing folder": ((*GOOD, "--output", "missing/r.html"), "missing/r.html: No such file or directory"),
    "a file for a folder": ((*GOOD, "--output", "file/r.html"), "file/r.html: Not a directory"),
    "a folder for a page": ((*GOOD, "--output", "folder.html"), "folder.html: Is a directory"),
    "another ending": ((*GOOD, "--output", "r.json"), "output must end in .html, got 'r.json'"),
    "no temperature": ((*GOOD, "--temperature", "0"), "--temperature must be > 0, got 0.0"),
    "no number": ((*GOOD, "--temperature", "nan"), "--temperature must be finite, got nan"),
    "ends that overlap": ((*GOOD, "--quantile", "0.9"), "--quantile must be > 0 and <= 0.5, since the two ends may"),
    "no bins": ((*GOOD, "--bins", "0"), "--bins must be >= 1, got 0"),
    "a negative seed": ((*GOOD, "--seed", "-1"), "--seed must be >= 0, got -1"),
    "an empty title": ((*GOOD, "--title", ""), "--title must be one line of 1 to 200 characters"),
    "a control of other classes": (
        (*GOOD, "--control", "logits.npz:classes"),
        "Error: logits.npz:classes must have the 5 classes of teacher.npy, got 3",
    ),
    "controls of different shapes": (
        (*GOOD, "--control", "control0.npy", "--control", "logits.npz:classes"),
        "logits.npz:classes must hold logits of the points and classes of the other controls",
    ),
}


@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_named_in_one_line(kind, files):
    bad(files)
    arguments, message = MISTAKES[kind]
    before = sorted(files.rglob("*"))
    result = run("report", *arguments)
    assert result.code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert sorted(files.rglob("*")) == before


@pytest.mark.usefixtures("files")
def test_a_folder_that_cannot_be_written_to_is_named_before_any_work():
    result = run("report", "missing.npy", *GOOD[1:], "--output", "missing/r.html")
    assert "missing/r.html" in result.err


@pytest.mark.parametrize("arguments", [("report",), ("report", "a.npy"), ("rapport",), ("report", "--bins", "x"), ()])
def test_a_command_that_makes_no_sense_is_refused(arguments):
    result = run(*arguments)
    assert result.code == 2
    assert "Usage" in result.err
    assert "Traceback" not in result.err


def test_an_interrupt_leaves_old_files_whole_and_no_others(files, monkeypatch):
    (files / "report.html").write_text("old")
    before = sorted(files.iterdir())

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Report, "to_json", interrupt)
    result = run("report", *GOOD)
    assert result.code == 130
    assert "Traceback" not in result.err
    assert sorted(files.iterdir()) == before
    assert (files / "report.html").read_text() == "old"


def test_what_is_missing_for_the_command_is_said_in_one_line(monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "typer" else object())
    with pytest.raises(SystemExit) as caught:
        command_line.main()
    assert caught.value.code == 2
    message = 'Error: the command kdtheory needs typer: pip install "kdtheory[report]"\n'
    assert capsys.readouterr().err == message


def test_what_is_missing_for_a_report_is_said_in_one_line(monkeypatch, capsys):
    for module in [name for name in sys.modules if name.startswith("kdtheory.report")]:
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setattr("importlib.util.find_spec", lambda name, *_: None if name == "jinja2" else object())
    with pytest.raises(SystemExit) as caught:
        app(["report", "teacher.npy", "student.npy", "labels.npy"])
    assert caught.value.code == 2
    assert capsys.readouterr().err == (
        'Error: kdtheory.report needs jinja2 and matplotlib: pip install "kdtheory[report]"\n'
    )
