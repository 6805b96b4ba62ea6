"""Pictures of the gallery: the files that the scripts write, as from a shell."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx_gallery.scrapers import figure_rst


def folder(target_file: str) -> Path:
    """Where a script writes."""
    return Path(target_file).with_suffix(".written")


def arguments(gallery_conf: dict[str, Any], script_vars: dict[str, Any]) -> list[str]:
    """Command line of a script."""
    return ["--output", str(folder(script_vars["target_file"]))]


def scrape(block: Any, block_vars: dict[str, Any], gallery_conf: dict[str, Any]) -> str:
    """Take the pictures that a script has written, one below the other in their order."""
    written = folder(block_vars["target_file"])
    pictures = sorted(written.glob("*.png"), key=lambda file: file.stat().st_mtime_ns)
    shown = []
    for picture in pictures:
        path = next(block_vars["image_path_iterator"])
        shutil.move(picture, path)
        shown.append(figure_rst([path], gallery_conf["src_dir"], fig_titles=picture.stem.replace("_", " ")))
    shutil.rmtree(written, ignore_errors=True)
    return "\n".join(shown)


FIRST = ("fig_idea.py", "fig_sine_selfdistillation.py")


class TheoryFirst:
    """Order of the gallery: the idea, closed forms, networks, scripts without a figure, each by name."""

    def __init__(self, source_folder: str) -> None:
        self.folder = Path(source_folder)

    def __call__(self, name: str) -> tuple[bool, bool, bool, str]:
        """Key of a script."""
        text = (self.folder / name).read_text(encoding="utf-8")
        networks = any(f"kdtheory.{package}" in text for package in ("nets", "experiments", "figures.images"))
        return not name.startswith("fig_"), name not in FIRST, networks, name


def leave_out_files(app: Sphinx, docname: str, source: list[str]) -> None:
    """Take the names of written files out of what a script prints."""
    if docname.startswith("gallery/"):
        source[0] = re.sub(r"(?m)^ .*\.written[/\\].*\n", "", source[0])


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("source-read", leave_out_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
