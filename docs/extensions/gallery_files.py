"""Figures and numbers of the gallery: what `kdtheory reproduce all` has written, put into sphinx-gallery's pages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.errors import ExtensionError
from sphinx_gallery.utils import scale_image

FIGURES = Path(__file__).resolve().parents[2] / "figures"
FIRST = ("fig_idea.py", "fig_sine_selfdistillation.py")
THUMBNAIL = (400, 280)
CODE = "\n.. GENERATED FROM PYTHON SOURCE LINES"


class TheoryFirst:
    """Order of the gallery: the idea, closed forms, networks, scripts without a figure, each by name."""

    def __init__(self, source_folder: str) -> None:
        self.folder = Path(source_folder)

    def __call__(self, name: str) -> tuple[bool, bool, bool, str]:
        """Key of a script."""
        text = (self.folder / name).read_text(encoding="utf-8")
        networks = any(f"kdtheory.{package}" in text for package in ("nets", "experiments", "figures.images"))
        return not name.startswith("fig_"), name not in FIRST, networks, name


def read_records() -> dict[str, dict[str, Any]]:
    """Find what was written for every script."""
    records = [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FIGURES.glob("*.json"))]
    return {Path(record["script"]).stem: record for record in records}


def copy_pictures(app: Sphinx) -> None:
    """Put pictures beside the pages, and small ones into the gallery."""
    folder = Path(app.srcdir) / "gallery" / "images"
    records = read_records()
    scripts = {file.stem for file in (Path(app.srcdir).parent / "examples").glob("fig_*.py")}
    if missing := sorted(scripts - set(records)):
        raise ExtensionError(f"{FIGURES} must have what `kdtheory reproduce all` writes for {', '.join(missing)}")
    for stem in scripts:
        pictures = [name for name in records[stem]["figures"] if name.endswith(".png")]
        for name in pictures:
            shutil.copyfile(FIGURES / name, folder / name)
        scale_image(FIGURES / pictures[0], folder / "thumb" / f"sphx_glr_{stem}_thumb.png", *THUMBNAIL)


def put_in(app: Sphinx, docname: str, source: list[str]) -> None:
    """Put figures, numbers and what a script prints between what it says and its code."""
    stem = docname.removeprefix("gallery/")
    record = read_records().get(stem) if docname.startswith("gallery/fig_") else None
    if record is None:
        return
    head, *code = source[0].partition(CODE)
    printed = (FIGURES / f"{record['target']}.txt").read_text(encoding="utf-8")
    source[0] = "\n".join([head, *_pictures(record), *_printed(printed), *_numbers(record), *_how(record)]) + "".join(
        code
    )


def _pictures(record: dict[str, Any]) -> list[str]:
    names = [name for name in record["figures"] if name.endswith(".png")]
    return [line for name in names for line in (f".. image:: images/{name}", f"   :alt: {Path(name).stem}", "")]


def _printed(text: str) -> list[str]:
    if not text.strip():
        return []
    lines = [f"   {line}".rstrip() for line in text.splitlines()]
    return [".. rst-class:: sphx-glr-script-out", "", ".. code-block:: none", "", *lines, ""]


def _numbers(record: dict[str, Any]) -> list[str]:
    """Write a table of numbers beside published ones."""
    if not record["numbers"]:
        return []
    rows = [("What", "Reference", "Here", "Verdict", "Source of the reference")]
    for row in record["numbers"]:
        here = f"{row['here']:.5g}" + (f" ± {row['error']:.2g}" if row.get("error") is not None else "")
        rows.append((row["quantity"], row["published"], here, row["verdict"], row["source"]))
    cells = [f"   {'*' if number == 0 else ' '} - {_escaped(cell)}" for row in rows for number, cell in enumerate(row)]
    heading = ".. rubric:: Beside published numbers, or independent runs where none are in print"
    return [heading, "", ".. list-table::", "   :header-rows: 1", "", *cells, ""]


def _escaped(text: str) -> str:
    for character in "\\*`|_":
        text = text.replace(character, f"\\{character}")
    return text or "\\ "


def _how(record: dict[str, Any]) -> list[str]:
    quick = f"It took {record['seconds']:.1f} s at its {record['size']} size."
    return [f"``kdtheory reproduce {record['target']}`` draws this. {quick}", ""]


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", copy_pictures, priority=900)  # sphinx-gallery has written its pages then
    app.connect("source-read", put_in)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
