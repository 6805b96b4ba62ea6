"""What the tasks of run.py hand to the programs that they run."""

import importlib.util
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
spec = importlib.util.spec_from_file_location("run", ROOT / "run.py")
run = importlib.util.module_from_spec(spec)
spec.loader.exec_module(run)


@pytest.fixture
def ran(monkeypatch):
    """Commands and their variables."""
    commands = []
    monkeypatch.setattr(run, "run", lambda *command, **variables: commands.append((command, variables)))
    return commands


@pytest.fixture
def scripts(tmp_path):
    """Scripts beside the one that draws them all: two that draw, and one that fails if it is told to."""
    folder = tmp_path / "examples"
    folder.mkdir()
    copied = (ROOT / "examples" / "all_figures.py").read_text()
    (folder / "all_figures.py").write_text(copied)
    for name in ("fig_a", "fig_b"):
        text = f"import sys\nprint('drawn by {name} into', sys.argv[2])\nprint(__name__)\n"
        (folder / f"{name}.py").write_text(text)
    return folder


def draw_all(folder, output):
    command = [sys.executable, str(folder / "all_figures.py"), "--output", str(output)]
    return subprocess.run(command, capture_output=True, text=True)


def test_figures_are_drawn_with_one_thread_into_the_folder_that_is_given(ran, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run.figures("--output", "new")
    ((command, variables),) = ran
    assert command[1:] == (ROOT / "examples" / "all_figures.py", "--output", tmp_path / "new")
    assert variables["OMP_NUM_THREADS"] == variables["OPENBLAS_NUM_THREADS"] == "1"


def test_every_script_is_run_as_from_a_shell_and_prints_in_its_turn(scripts, tmp_path):
    done = draw_all(scripts, tmp_path / "new")
    assert done.returncode == 0, done.stderr
    expected = [
        line for name in ("fig_a", "fig_b") for line in (f"drawn by {name} into {tmp_path / 'new'}", "__main__")
    ]
    assert done.stdout.splitlines() == expected


def test_a_script_that_fails_stops_the_figures_with_its_error(scripts, tmp_path):
    (scripts / "fig_b.py").write_text("raise RuntimeError('nothing to draw')")
    done = draw_all(scripts, tmp_path)
    assert done.returncode != 0
    assert "RuntimeError: nothing to draw" in done.stderr


def test_figures_take_no_options_that_some_scripts_do_not_know(ran, capsys):
    with pytest.raises(SystemExit) as info:
        run.figures("--quick")
    assert info.value.code == 2
    assert "the scripts do not all know --quick: run one by itself" in capsys.readouterr().err
    assert not ran


def test_coverage_runs_no_tests_of_the_layers_that_it_does_not_measure(ran):
    run.coverage("-x")
    erase, measure, combine, report = ("\n".join(map(str, command)) for command, _ in ran)
    assert erase.endswith("erase")
    assert "\nrun\n-m\npytest\n" in measure
    assert measure.endswith("\ntests\nkdtheory\n-x")
    omitted = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["coverage"]["run"]["omit"]
    for pattern in omitted:
        assert f"\n--ignore-glob={pattern.removesuffix('/*')}\n" in measure
    assert combine.endswith("combine\n--quiet")
    assert report.endswith("report")


def test_all_mutants_are_made_anew_and_some_are_tried_again(ran, monkeypatch):
    removed = []
    monkeypatch.setattr(run.shutil, "rmtree", lambda folder, **_: removed.append(folder))
    run.mutants("kdtheory.flow*")
    assert not removed
    run.mutants()
    assert removed == [ROOT / "mutants"]
    first, report, second, _ = (command[1:] for command, _ in ran)
    assert first == ("-m", "mutmut", "run", "kdtheory.flow*")
    assert second == ("-m", "mutmut", "run")
    assert report == ("-m", "benchmarks.report_mutation")
