"""What the tasks of run.py hand to the programs that they run."""

import importlib.util
import subprocess
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


def drawing(monkeypatch, fails=""):
    """Replace the programs that `run.py figures` runs, of which one may fail."""
    calls = []

    def draw(command, *, env, **_):
        calls.append((command, env))
        name = Path(command[1]).name
        return subprocess.CompletedProcess(command, int(name == fails), f"drawn by {name}\n", f"error of {name}\n")

    monkeypatch.setattr(run.subprocess, "run", draw)
    return calls


def test_figures_are_drawn_with_one_thread_into_the_folder_that_is_given(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    calls = drawing(monkeypatch)
    run.figures("--output", "new")
    names = sorted(path.name for path in (ROOT / "examples").glob("fig_*.py"))
    assert sorted(Path(command[1]).name for command, _ in calls) == names
    for command, env in calls:
        assert command[2:] == ["--output", str(tmp_path / "new")]
        assert env["OMP_NUM_THREADS"] == env["OPENBLAS_NUM_THREADS"] == "1"
        assert "VIRTUAL_ENV" not in env
    assert capsys.readouterr().out.splitlines() == [f"drawn by {name}" for name in names]


def test_a_script_that_fails_stops_the_figures_with_its_error(monkeypatch, tmp_path, capsys):
    drawing(monkeypatch, fails="fig_risk.py")
    with pytest.raises(SystemExit) as info:
        run.figures("--output", str(tmp_path))
    assert info.value.code == 1
    assert capsys.readouterr().err == "error of fig_risk.py\n"


def test_figures_take_no_options_that_some_scripts_do_not_know(ran, capsys):
    with pytest.raises(SystemExit) as info:
        run.figures("--quick")
    assert info.value.code == 2
    assert "the scripts do not all know --quick: run one by itself" in capsys.readouterr().err
    assert not ran
