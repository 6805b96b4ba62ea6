"""The command `kdtheory reproduce`: what it draws and writes, the table of numbers, exit codes, and mistakes."""

import csv
import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console
from typer.testing import CliRunner

from kdtheory.command_line import _drawing, _progress, _table, _targets
from kdtheory.command_line._targets import choose, find_targets
from kdtheory.command_line.application import app
from kdtheory.command_line.reproduce import complete_target
from kdtheory.reproduced import Reproduced
from tests.examples import EXAMPLES, OF_EXPERIMENTS

SCRIPT = '''"""{title}

More of it.
"""
import os, signal, time
from pathlib import Path
import matplotlib.pyplot as plt
from kdtheory.figures import Reproduction, Script, figure_parser
from kdtheory.reproduced import Reproduced

def main(**options):
    print("printed by {name}", options)
    {body}
    rows = [Reproduced("a number", {here}, "0.25", "Someone (2020), Table 1", tolerance=0.01),
            Reproduced("it is large", 3.0, "large", "Someone (2020), Fig. 1", error=0.5, verdict="not as printed")]
    return Reproduction({{"{name}": plt.figure(figsize=(1.0, 1.0))}}, tuple(rows){numbers})

PARSER = figure_parser(__doc__, Path("figures"))
{options}
SCRIPT = Script(main, PARSER)
'''


def write_script(folder, name, *, title="A title.", body="pass", here=0.251, numbers="", options=""):
    text = SCRIPT.format(name=name, title=title, body=body, here=here, numbers=numbers, options=options)
    (folder / f"fig_{name}.py").write_text(text)


@pytest.fixture
def examples(tmp_path, monkeypatch):
    """Folder for scripts, which are the only ones, beside a package; commands run in another folder."""
    (tmp_path / "examples").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(_targets, "PACKAGE", tmp_path / "kdtheory")
    return tmp_path / "examples"


@pytest.fixture
def in_this_process(monkeypatch):
    """Jobs that were run, each in this process, since others are slow to start."""
    ran = []

    def run_all(jobs, n_processes):
        for number, job in enumerate(jobs):
            ran.append((job, n_processes))
            yield number, None
            yield number, _drawing.run_script(job)

    monkeypatch.setattr(_drawing, "run_all", run_all)
    return ran


def run(*arguments):
    result = CliRunner().invoke(app, ["reproduce", *map(str, arguments)])
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr, exception=result.exception)


def files(folder="."):
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*"))


def test_nothing_asked_for_lists_every_target_with_its_title(examples):
    write_script(examples, "sharp_bias", title="Students are sharper.")
    write_script(examples, "bias", title="Bias falls.")
    result = run()
    assert result.code == 0
    assert [line.strip().split(maxsplit=1) for line in result.out.splitlines()][:2] == [
        ["bias", "Bias falls."],
        ["sharp", "Students are sharper."],
    ]
    assert files() == []


@pytest.mark.usefixtures("in_this_process")
def test_it_writes_figures_and_numbers_and_what_is_printed_and_a_table_of_all(examples):
    write_script(examples, "one")
    write_script(examples, "two_more", here=0.249)
    result = run("one", "two", "--out", "new/folder")
    assert (result.code, result.err) == (0, "")
    expected = [f"{name}.{end}" for name in ("one", "two") for end in ("json", "txt")]
    expected += [f"{name}.{end}" for name in ("one", "two_more") for end in ("pdf", "png")]
    assert files("new/folder") == sorted([*expected, "summary.csv"])
    assert Path("new/folder/one.txt").read_text() == "printed by one {}\n"
    numbers = json.loads(Path("new/folder/two.json").read_text())
    assert numbers["target"] == "two"
    assert (numbers["title"], numbers["script"]) == ("A title.", "fig_two_more.py")
    assert numbers["seconds"] >= 0.0
    assert numbers["figures"] == ["two_more.png", "two_more.pdf"]
    assert numbers["numbers"][0] | {"difference": None} == {
        "quantity": "a number",
        "here": 0.249,
        "published": "0.25",
        "source": "Someone (2020), Table 1",
        "error": None,
        "tolerance": 0.01,
        "difference": None,
        "verdict": "met",
    }
    with Path("new/folder/summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["target"], row["here"], row["verdict"]) for row in rows] == [
        ("one", "0.251", "met"),
        ("one", "3.0", "not as printed"),
        ("two", "0.249", "met"),
        ("two", "3.0", "not as printed"),
    ]
    assert "4 numbers: 2 met, 2 not as printed" in result.out
    assert "new/folder" in result.out


@pytest.mark.usefixtures("in_this_process")
def test_a_number_that_is_not_met_is_named_and_ends_with_1(examples):
    write_script(examples, "good")
    write_script(examples, "bad", here=0.27)
    result = run("bad", "good")
    assert result.code == 1
    assert result.err == "Error: bad: not met: a number\n"
    assert "not met" in result.out


@pytest.mark.usefixtures("in_this_process")
def test_scripts_that_fail_are_told_in_a_line_each_and_the_others_are_drawn(examples):
    write_script(examples, "failing", body="raise RuntimeError('two\\nlines')")
    write_script(examples, "lost", body="import no_such_library")
    write_script(examples, "networks", options="import no_such_library\nfrom kdtheory.nets import train")
    write_script(examples, "named", body="raise ModuleNotFoundError('kdtheory.figures needs it: pip install all')")
    write_script(examples, "refusing", body="PARSER.error('it must be otherwise')")
    write_script(examples, "wrong", body="open('missing')")
    write_script(examples, "good")
    result = run("all", "--out", "out")
    assert result.code == 2
    assert result.err.splitlines() == [
        f"Error: failing failed: lines; see {Path('out/failing.traceback.txt')}",
        'Error: lost needs no_such_library: pip install "kdtheory[examples]"',
        'Error: named needs it: pip install "kdtheory[examples]"',
        'Error: networks needs no_such_library: pip install "kdtheory[experiments]"',
        "Error: refusing: it must be otherwise",
        "Error: wrong: [Errno 2] No such file or directory: 'missing'",
    ]
    assert "RuntimeError: two" in Path("out/failing.traceback.txt").read_text()
    names = ["good.json", "good.pdf", "good.png", "good.txt", "summary.csv"]
    assert files("out") == ["failing.traceback.txt", *names]
    assert run("failing").code == 1


@pytest.mark.usefixtures("in_this_process")
def test_targets_without_published_numbers_are_named(examples):
    write_script(examples, "plain", numbers="[:0]")
    result = run("plain")
    assert result.code == 0
    assert "Nothing published to compare with: plain" in result.out


def test_scripts_get_the_size_the_data_and_their_share_of_the_processes(examples, in_this_process, tmp_path):
    write_script(examples, "knowing", options='PARSER.add_argument("--data"); PARSER.add_argument("--jobs", type=int)')
    write_script(examples, "simple")
    result = run("all", "--full", "--data", tmp_path, "--jobs", 7, "--out", "out")
    assert result.code == 0
    assert result.err == "Note: simple took no --data\n"
    assert Path("out/knowing.txt").read_text() == f"printed by knowing {{'data': {str(tmp_path)!r}, 'jobs': 3}}\n"
    (job, at_once), _ = in_this_process
    assert at_once == 2
    assert job.arguments[:5] == ("--full", "--jobs", "3", "--data", str(tmp_path))
    assert job.arguments[job.arguments.index("--results") + 1] == str(Path("out/trials"))
    assert json.loads(Path("out/simple.json").read_text())["size"] == "full"


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("full", [False, True])
def test_a_value_error_is_the_users_only_where_something_was_given(examples, full):
    write_script(examples, "picky", body="raise ValueError('data must be given')")
    result = run("picky", *(["--full"] if full else []))
    assert result.code == (2 if full else 1)
    assert ("data must be given" in result.err) == full or "picky failed" in result.err


MISTAKES = {
    "an unknown target": (["onw"], "target must be one that there is, got 'onw': did you mean one?"),
    "a target like no other": (["zzzzzz"], "got 'zzzzzz': `kdtheory reproduce` lists them"),
    "a word of several": (["shared"], "target must name one, got 'shared', which is in first, second"),
    "a file for a folder": (["one", "--out", "file"], "file: File exists"),
    "a folder below a file": (["one", "--out", "file/below"], "file/below: Not a directory"),
    "data for the quick size": (["one", "--data", "."], "--data needs --full"),
    "missing data": (
        ["one", "--full", "--data", "none"],
        "a folder that there is, or openml, got 'none'",
    ),
    "no processes": (["one", "--jobs", "0"], "--jobs must be >= 1, or -1 for all cores, got 0"),
}


@pytest.mark.usefixtures("in_this_process")
@pytest.mark.parametrize("kind", MISTAKES)
def test_a_mistake_is_told_in_one_line_before_any_work(kind, examples):
    for name in ("one", "first_shared", "second_shared"):
        write_script(examples, name, body="raise AssertionError")
    Path("file").touch()
    arguments, message = MISTAKES[kind]
    result = run(*arguments)
    assert result.code == 2
    assert isinstance(result.exception, SystemExit)
    assert result.out == ""
    assert result.err.startswith("Error: ")
    assert result.err.count("\n") == 1
    assert message in result.err
    assert files() == ["file"]


def test_a_package_without_scripts_says_so(examples):
    result = run("one")
    assert result.code == 2
    assert "the scripts that draw figures are missing" in result.err
    assert not list(examples.iterdir())


def test_every_script_of_this_package_is_a_target_with_a_short_name_of_its_own():
    targets = find_targets()
    scripts = [target for target in targets if not target.is_programme]
    assert {target.path.stem for target in scripts} == {path.stem for path in EXAMPLES.glob("fig_*.py")}
    assert len({target.name for target in targets}) == len(targets)
    assert all(target.title and set(target.title) != {"="} for target in targets)
    names = ["sine", "gaussian", "eigenspace", "trees", "noise", "risk", "filters", "flatness"]
    assert [target.name for target in choose(names, targets)] == names
    assert [target.name for target in targets if target.is_programme] == ["menon-2020", "pham-2022", "stanton-2021"]
    assert choose(["all"], targets) == scripts
    assert choose(["SINE", "sine_selfdistillation", "selfdistillation"], targets) == choose(["sine"], targets)
    needed = {target.path.stem: target.extra for target in scripts}
    assert {stem for stem, extra in needed.items() if extra == "experiments"} == {
        *OF_EXPERIMENTS,
        *(f"fig_{name}" for name in ("cnn_eigenspace", "mlp_eigenspace", "noisy_random_features", "logit_logit")),
        *(f"fig_{name}" for name in ("loss_switching", "estimated_label_weight", "ntk_vs_network")),
    }


def test_a_shell_completes_names_of_targets():
    words = {"_KDTHEORY_COMPLETE": "complete_bash", "COMP_WORDS": "kdtheory reproduce sin", "COMP_CWORD": "2"}
    result = CliRunner().invoke(app, prog_name="kdtheory", env=words)
    assert result.stdout.split() == ["sine"]
    assert [name for name, _ in complete_target("fi")] == ["fidelity-mnist", "filters"]
    assert complete_target("al") == [("all", "every script")]


ROWS = {
    "one": [
        Reproduced("a loss " + "of many words " * 6, 0.164771, "0.16477", "Someone (2020), Table 1", tolerance=5e-6),
        Reproduced("a loss", 0.1, "0.16477", "Someone (2020), Table 1", tolerance=5e-6),
        Reproduced("a claim", -0.01234, "> 0", "Someone (2020), Fig. 1 " + "with a caption " * 9, error=0.0123),
        Reproduced("a depth", 8.0, "8", "Someone (2020), Fig. 1", verdict="not as printed"),
        Reproduced("a gain", 7.25e-7, "> 0", "Someone (2020), Fig. 1", error=1e-7, verdict="contradicted"),
    ],
    "none": [],
}


def test_numbers_have_the_digits_that_are_published_and_never_fewer_than_it_takes():
    def told(here, published, **more):
        return _table.written(Reproduced("a number", here, published, "Someone (2020)", **more))

    assert told(0.1649, "0.16") == "0.16"
    assert told(7.6, "8") == "7.6"
    assert told(0.0002, "0.123") == "0.0002"
    assert told(-0.5, "< 0", error=0.25) == "-0.5000 ± 0.2500"


@pytest.mark.parametrize("width", [70, 80, 120])
def test_the_table_fits_a_terminal_without_losing_anything(width):
    console = Console(file=io.StringIO(), width=width)
    console.print(_table.summary(ROWS))
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    text = " ".join(console.file.getvalue().split())
    assert "…" not in text
    for part in ("0.16477 0.16477 met", "0.16477 0.10000 not met", "-0.0123 ± 0.0123", "8 8 not as printed"):
        assert part in text
    assert re.search(r"a gain +> 0 +7\.25e-07 ± 1e-07 +contradicted", text)
    assert text.count("Someone (2020), Table 1") == 1
    assert "none" not in text


def test_progress_is_shown_on_terminals_only(monkeypatch):
    for is_terminal in (True, False):
        console = Console(file=io.StringIO(), force_terminal=is_terminal, width=60)
        monkeypatch.setattr(_progress, "Console", lambda console=console, **_: console)
        with _progress.shown(2) as show:
            show("one", None)
            show("two", None)
            show("two", True)
            show("one", False)
        text = re.sub(r"\x1b\[[^a-zA-Z]*[a-zA-Z]", "", console.file.getvalue())
        assert ("✓ two 0." in text) == ("✗ one 0." in text) == ("2 of 2" in text) == is_terminal
        assert bool(text) == is_terminal
