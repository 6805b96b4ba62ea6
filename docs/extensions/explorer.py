"""Scripts, data and style of the interactive explorer, beside the page that loads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from explorer_data import write_explorer
from sphinx.application import Sphinx


def write_files(app: Sphinx, exception: Exception | None) -> None:
    """Write them into the built pages."""
    if exception is None:
        write_explorer(Path(app.outdir) / "_static" / "explorer")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("build-finished", write_files)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
