"""The project that pyright checks strictly (`run.py check`) also runs, so that what it types is what there is."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("sklearn")
pytest.importorskip("jinja2")

FOLDER = Path(__file__).parent / "strict_user"


def test_a_strict_project_runs(tmp_path, capsys):
    from tests.strict_user import project

    project.main(tmp_path)
    assert "'steps': 4" in capsys.readouterr().out
    assert (tmp_path / "report.html").stat().st_size > 1000


@pytest.mark.skipif(find_spec("equinox") is None, reason="trains networks")
def test_a_strict_project_with_networks_runs(tmp_path, capsys):
    from tests.strict_user import networks

    networks.main(tmp_path)
    assert "forecast" in capsys.readouterr().out


def test_the_project_is_checked_strictly():
    config = json.loads((FOLDER / "pyrightconfig.json").read_text())
    assert config["typeCheckingMode"] == "strict"
    assert [name for name in config if name.startswith("report")] == ["reportMissingTypeStubs"]
    assert not any(
        "type: ignore" in file.read_text() or "# pyright" in file.read_text() for file in FOLDER.glob("*.py")
    )
