"""The command `kdtheory`.

Needs typer: `pip install "kdtheory[report]"`.
"""

from __future__ import annotations

import importlib.util
import sys


def main() -> None:
    """Run the command, or say which package is missing for it."""
    if importlib.util.find_spec("typer") is None:
        print('Error: the command kdtheory needs typer: pip install "kdtheory[report]"', file=sys.stderr)
        sys.exit(2)
    try:
        from kdtheory.command_line.application import app

        app(prog_name="kdtheory")
    except KeyboardInterrupt:  # before the command has begun; typer says the same after that
        print("Aborted.", file=sys.stderr)
        sys.exit(130)
