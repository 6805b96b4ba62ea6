"""Writing files that belong together: whole, or not at all."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Mapping
from contextlib import suppress
from os import PathLike
from pathlib import Path


def require_page_path(output: str | PathLike[str]) -> Path:
    """`output` as the path of a page, with the ending `.html`."""
    page = Path(output)
    if page.suffix.lower() != ".html":
        raise ValueError(f"output must end in .html, got {str(page)!r}")
    return page


def require_writable(path: Path) -> None:
    """Raise OSError unless a file can be written there, before any work is done for it."""
    _require_no_folder(path)
    _beside(path, "").unlink()


def write_together(contents: Mapping[Path, str]) -> None:
    """Write texts to files beside those that they replace, and move them there when all are complete.

    Raises
    ------
    OSError
        When a folder does not exist or cannot be written to; no file is changed then.
    """
    written: dict[Path, Path] = {}
    try:
        for path, text in contents.items():
            _require_no_folder(path)
            written[path] = _beside(path, text)
        for path in contents:
            written[path].replace(path)
            del written[path]
    finally:
        for temporary in written.values():
            temporary.unlink(missing_ok=True)


def _require_no_folder(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))


def _beside(path: Path, text: str) -> Path:
    """Write `text` to a new hidden file in the folder of `path`, with the usual permissions."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        with temporary.open("x", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink()
        if isinstance(error, OSError):
            raise type(error)(error.errno, error.strerror, str(path)) from error
        raise
    return temporary
