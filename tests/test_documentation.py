"""The pages quote what was measured, lead somewhere, and name everything that is public."""

import importlib
import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PUBLIC = sorted(
    ".".join(
        file.relative_to(ROOT).parent.parts if file.stem == "__init__" else file.relative_to(ROOT).with_suffix("").parts
    )
    for file in [*(ROOT / "kdtheory").glob("[!_]*.py"), *(ROOT / "kdtheory").glob("**/__init__.py")]
    if "__all__" in file.read_text()
)


def test_the_table_of_searches_is_that_of_the_benchmark():
    table = (ROOT / "benchmarks" / "results" / "selection.md").read_text()
    assert table.count("\n") >= 8
    assert table in (DOCS / "comparison.md").read_text()


@pytest.mark.parametrize("package", PUBLIC)
def test_the_reference_has_every_public_name(package):
    assert len(PUBLIC) >= 20
    documented = {}
    for page in (DOCS / "reference").glob("*.rst"):
        module = ""
        for line in page.read_text().splitlines():
            if found := re.match(r"\.\. currentmodule:: (\S+)", line):
                module = found[1]
            elif found := re.match(r"\.\. auto(?:class|exception|function|data):: (\w+)", line):
                documented.setdefault(module, set()).add(found[1])
    shown = {
        id(getattr(importlib.import_module(module), name)) for module, names in documented.items() for name in names
    }
    public = importlib.import_module(package)
    missing = [name for name in public.__all__ if id(getattr(public, name)) not in shown]
    assert not missing


def test_the_readme_links_to_files_and_headings_that_exist():
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)", text)
    assert len(links) > 10
    for path, heading in links:
        target = ROOT / path
        assert target.is_file(), path
        if heading:
            headings = re.findall(r"(?m)^#+ (.*)$", target.read_text())
            anchors = [re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings]
            assert heading in anchors, (path, heading)


def test_links_of_built_pages_are_followed(tmp_path):
    spec = importlib.util.spec_from_file_location("check_links", DOCS / "check_links.py")
    checker = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(checker)
    (tmp_path / "index.html").write_text(
        '<a href="a/b.html#here">1</a><a href="#top">2</a><a href="https://x.y/z">3</a>'
    )
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b.html").write_text('<p id="here"><img src="../no%20picture.png"></p>')
    assert checker.broken_links(tmp_path) == ["index.html: #top", "a/b.html: ../no%20picture.png"]
