"""What the tasks of run.py hand to the programs that they run."""

import importlib.util
import os
import subprocess
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


def test_figures_are_drawn_with_one_thread_into_the_folder_that_is_given(ran, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    run.figures("--output", "new")
    ((command, variables),) = ran
    assert Path(command[0]).name == "kdtheory"
    assert command[1:] == ("reproduce", "all", "--quick", "--out", tmp_path / "new")
    assert variables["OMP_NUM_THREADS"] == variables["OPENBLAS_NUM_THREADS"] == "1"


def test_figures_take_no_options_that_some_scripts_do_not_know(ran, capsys):
    with pytest.raises(SystemExit) as info:
        run.figures("--quick")
    assert info.value.code == 2
    assert "the scripts do not all know --quick: run one by itself" in capsys.readouterr().err
    assert not ran


def test_pages_are_built_around_figures_that_are_newer_than_what_draws_them(ran, monkeypatch, tmp_path):
    monkeypatch.setattr(run, "FIGURES", tmp_path)
    run.docs()
    assert [command[1] for command, _ in ran] == ["reproduce", "-m", ROOT / "docs" / "check_links.py"]
    (tmp_path / "summary.csv").write_text("")
    ran.clear()
    run.docs()
    assert [command[1] for command, _ in ran] == ["-m", ROOT / "docs" / "check_links.py"]
    os.utime(tmp_path / "summary.csv", (0, 0))
    ran.clear()
    run.docs()
    assert ran[0][0][1] == "reproduce"


@pytest.fixture
def environments(monkeypatch, tmp_path):
    """What is asked of uv and of pytest, where there is every Python but 3.12, and where tests fail on 3.13."""
    asked = []

    def uv(*arguments):
        asked.append(arguments)
        if "compile" in arguments:
            output = arguments[arguments.index("--output-file") + 1]
            output.parent.mkdir()
            output.write_text("numpy==2.0.0\n    # via kdtheory\nscipy==1.16.0\n")

    def run_tests(python, *options):
        asked.append((python.parent.parent.name, *options))
        if ".venv-3.13" in python.parts:
            raise SystemExit(1)

    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setattr(run, "interpreter", lambda version: None if version == "3.12" else f"python{version}")
    monkeypatch.setattr(run, "uv", uv)
    monkeypatch.setattr(run, "run_tests", run_tests)
    return asked


def test_every_python_and_the_lowest_versions_are_tested_and_failures_named_at_the_end(environments, capsys):
    with pytest.raises(SystemExit, match=r"^the tests fail with 3\.13$"):
        run.compatibility("-x")
    assert [asked for asked in environments if asked[-1] == "-x"] == [(".venv-3.13", "-x"), (".venv-lowest", "-x")]
    assert capsys.readouterr().out.splitlines() == [
        "3.12: not tested, for there is no Python 3.12",
        "3.13: python3.13 numpy==2.0.0 scipy==1.16.0",
        "lowest: python3.11 numpy==2.0.0 scipy==1.16.0",
    ]


def test_only_the_lowest_case_is_resolved_to_the_lowest_versions(environments):
    run.compatibility("lowest", "3.14")
    compiled = {asked[4].name: asked for asked in environments if "compile" in asked}
    assert list(compiled) == [".venv-lowest", ".venv-3.14"]
    assert "lowest-direct" in compiled[".venv-lowest"]
    assert run.MAIN.constraints not in compiled[".venv-lowest"]
    assert "lowest-direct" not in compiled[".venv-3.14"]
    assert run.MAIN.constraints in compiled[".venv-3.14"]


def test_an_interpreter_is_looked_for_among_those_of_pyenv_first(monkeypatch, tmp_path):
    python = tmp_path / "versions" / "3.99.1" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    assert run.interpreter("3.99") == str(python)


def test_an_interpreter_that_nobody_has_is_none(monkeypatch, tmp_path):
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setattr(run, "install_uv", lambda: None)
    failed = subprocess.CompletedProcess((), returncode=2, stdout="", stderr="No interpreter found for Python 3.99")
    monkeypatch.setattr(run.subprocess, "run", lambda *_, **__: failed)
    assert run.interpreter("3.99") is None


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
