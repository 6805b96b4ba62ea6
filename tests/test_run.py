"""What the tasks of run.py hand to the programs that they run."""

import importlib.util
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


def test_figures_are_drawn_with_one_thread_into_the_folder_that_is_given(ran, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run.figures("--output", "new")
    scripts = {command[1].name: (command[2:], variables) for command, variables in ran}
    assert set(scripts) == {path.name for path in (ROOT / "examples").glob("fig_*.py")}
    for arguments, variables in scripts.values():
        assert arguments == ("--output", tmp_path / "new")
        assert variables["OMP_NUM_THREADS"] == variables["OPENBLAS_NUM_THREADS"] == "1"


def test_figures_take_no_options_that_some_scripts_do_not_know(ran, capsys):
    with pytest.raises(SystemExit) as info:
        run.figures("--quick")
    assert info.value.code == 2
    assert "the scripts do not all know --quick: run one by itself" in capsys.readouterr().err
    assert not ran
