"""MathJax out of a package, beside the pages: formulas are set without a network."""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SCRIPT = "tex-svg.js"


def write_script(app: Sphinx, exception: Exception | None) -> None:
    """Write it into the built pages."""
    if exception is None:
        source = importlib.resources.files("mathjax") / "static" / "mathjax" / "es5" / SCRIPT
        target = Path(app.outdir) / "_static" / "mathjax" / SCRIPT
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(source.read_bytes())


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.setup_extension("sphinx.ext.mathjax")
    app.config.mathjax_path = f"mathjax/{SCRIPT}"
    app.connect("build-finished", write_script)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
