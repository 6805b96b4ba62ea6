"""What can be reproduced: the scripts that draw figures, and the papers' whole programmes."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]
ALL = "all"
_NETWORKS = re.compile(r"^(import jax|from kdtheory\.(experiments|nets|figures\.(images|networks))\b)", re.MULTILINE)


@dataclass(frozen=True)
class Target:
    """A script with a `SCRIPT`, by a short name.

    Attributes
    ----------
    name : str
        Short, and of no other target.
    path : Path
    title : str
        First line of its docstring.
    extra : str
        Of this package, with which the script runs.
    is_programme : bool
        All experiments of a paper, of which each is a target of its own too.
    """

    name: str
    path: Path
    title: str
    extra: str
    is_programme: bool = False

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the file name, of which any that is in no other will do for a name."""
        return tuple(self.path.stem.removeprefix("fig_").split("_"))


def find_targets() -> list[Target]:
    """Find all scripts and programmes, in the order of their files.

    Returns
    -------
    list of Target

    Raises
    ------
    FileNotFoundError
        Where the package has lost its scripts.
    """
    scripts = sorted(examples_folder().glob("fig_*.py"))
    words = Counter(word for path in scripts for word in set(path.stem.split("_")))
    return [
        *(_read(path, short_name(path.stem.removeprefix("fig_").split("_"), words)) for path in scripts),
        *(
            _read(path, path.stem.replace("_", "-"), is_programme=True)
            for path in sorted((PACKAGE / "experiments").glob("*_[12][0-9][0-9][0-9].py"))
        ),
    ]


def examples_folder() -> Path:
    """Folder of the scripts: in the package that was installed, or beside it in the repository."""
    for folder in (PACKAGE / "examples", PACKAGE.parent / "examples"):
        if next(folder.glob("fig_*.py"), None) is not None:
            return folder
    raise FileNotFoundError(2, "the scripts that draw figures are missing", str(PACKAGE / "examples"))


def short_name(words: Sequence[str], counts: Counter[str]) -> str:
    """First word that is in one name only, or all of them.

    Examples
    --------
    >>> counts = Counter(["bias", "bias", "trees", "noise"])
    >>> short_name(["bias", "trees"], counts), short_name(["bias"], counts)
    ('trees', 'bias')
    """
    return next((word for word in words if counts[word] == 1), "-".join(words))


def choose(names: Sequence[str], targets: Sequence[Target]) -> list[Target]:
    """Find targets by name, each once.

    Parameters
    ----------
    names : sequence of str
        Short names, whole names of files, words that are in one name only, or "all", which are all scripts.
    targets : sequence of Target

    Returns
    -------
    list of Target

    Raises
    ------
    ValueError
        For a name that is none, or that of several.
    """
    chosen: dict[str, Target] = {}
    for name in names:
        if name == ALL:
            found = [target for target in targets if not target.is_programme]
        else:
            found = [_choose_one(name, targets)]
        chosen |= {target.name: target for target in found}
    return list(chosen.values())


def _choose_one(name: str, targets: Sequence[Target]) -> Target:
    wanted = name.lower().replace("_", "-")
    whole = {"-".join(target.words): target for target in targets} | {target.name: target for target in targets}
    if wanted in whole:
        return whole[wanted]
    found = [target for target in targets if wanted in target.words]
    if len(found) == 1:
        return found[0]
    if found:
        raise ValueError(f"target must name one, got {name!r}, which is in {', '.join(each.name for each in found)}")
    close = get_close_matches(wanted, {ALL, *whole, *(word for target in targets for word in target.words)}, n=3)
    advice = f"did you mean {' or '.join(close)}?" if close else "`kdtheory reproduce` lists them"
    raise ValueError(f"target must be one that there is, got {name!r}: {advice}")


def _read(path: Path, name: str, *, is_programme: bool = False) -> Target:
    text = path.read_text(encoding="utf-8")
    title = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return Target(
        name, path, title, "experiments" if is_programme or _NETWORKS.search(text) else "examples", is_programme
    )
