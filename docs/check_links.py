"""Follow every link within the built pages, to files and to places in them: `python docs/check_links.py FOLDER`.

Reads files alone, no network: links to elsewhere are not followed.
"""

from __future__ import annotations

import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    """What a page refers to, and the places in it that can be referred to."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.links: set[str] = set()
        self.places: set[str] = {""}
        self.feed(file.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note links, and places."""
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name") and value:
                self.places.add(value)


def broken_links(folder: Path) -> list[str]:
    """Return a line for every link that leads nowhere."""
    files = [file.resolve() for file in folder.rglob("*.html") if file.parent.name != "_static"]  # templates
    pages = {file: Page(file) for file in files}
    found = []
    for file, page in pages.items():
        for link in sorted(page.links):
            address = urlsplit(link)
            if address.scheme or address.netloc:
                continue
            target = (file.parent / unquote(address.path)).resolve() if address.path else file
            place = unquote(address.fragment)
            if not target.is_file() or (target in pages and place not in pages[target].places):
                found.append(f"{file.relative_to(folder.resolve())}: {link}")
    return found


def main(folder: Path) -> None:
    """Print what is broken, and stop with an error where something is."""
    if not (folder / "index.html").exists():
        sys.exit(f"{folder} must hold built pages, with an index.html")
    found = broken_links(folder)
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(f"{len(found)} links lead nowhere" if found else 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
