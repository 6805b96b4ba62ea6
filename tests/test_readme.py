"""What the README quotes is what was measured."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def test_the_table_of_searches_is_that_of_the_benchmark():
    table = (ROOT / "benchmarks" / "results" / "selection.md").read_text()
    assert table.count("\n") >= 8
    assert table in (ROOT / "README.md").read_text()
