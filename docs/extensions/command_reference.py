"""The page about the command, from its own help."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

COMMAND = (sys.executable, "-m", "typer", "kdtheory.command_line.application", "utils", "docs", "--name", "kdtheory")


def write_page(app: Sphinx) -> None:
    """Write it where it has changed, so that it is not read again otherwise."""
    page = Path(app.srcdir) / "reference" / "command.md"
    text = subprocess.run(COMMAND, capture_output=True, text=True, check=True).stdout
    text = text.replace("# `kdtheory`", "# The command", 1)
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.connect("builder-inited", write_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
