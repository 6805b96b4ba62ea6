"""What the tasks of run.py hand to the programs that they run."""

import importlib.util
import os
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
