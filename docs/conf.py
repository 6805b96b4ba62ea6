"""How Sphinx builds the documentation: `python3 run.py docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

import kdtheory

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

project = "kdtheory"
author = "The kdtheory authors"
project_copyright = "2026, the kdtheory authors"
version = release = kdtheory.__version__
html_title = "kdtheory"

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "extensions.gallery_files",
    "extensions.mathjax",
    "extensions.command_reference",
    "extensions.explorer",
]
source_suffix = {".md": "markdown", ".rst": "restructuredtext"}
exclude_patterns = ["_build", "gallery/*.py", "gallery/*.md5"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath", "attrs_inline"]
myst_heading_anchors = 3

default_role = "py:obj"  # what is no name is shown as code

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "none"  # numpydoc's sections say them in words
autosummary_generate = False
suppress_warnings = ["ref.python"]  # attributes of one name in several classes, which numpydoc refers to by name alone
numpydoc_show_class_members = False

copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["kdtheory.css"]
html_theme_options = {
    "show_prev_next": False,
    "navbar_end": ["theme-switcher"],
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "pygments_light_style": "tango",
    "pygments_dark_style": "monokai",
}
html_sidebars = {"explorer/index": [], "index": []}
html_show_sourcelink = False

sphinx_gallery_conf = {
    "examples_dirs": ["../examples"],
    "gallery_dirs": ["gallery"],
    "plot_gallery": False,  # figures and numbers are those of `kdtheory reproduce all`
    "within_subsection_order": "extensions.gallery_files.TheoryFirst",
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_signature": False,
}


def leave_out_routing(app: object, what: str, name: str, *others: object) -> bool | None:
    """Leave out what scikit-learn adds to every estimator for metadata routing."""
    return True if name.startswith("set_") and name.endswith("_request") else None


def end_doctests(app: object, docname: str, source: list[str]) -> None:
    """Leave out the blank line with which a doctest has to end."""
    source[0] = source[0].replace("\n\n```\n", "\n```\n")


def setup(app: Sphinx) -> None:
    """Called by Sphinx."""
    app.connect("source-read", end_doctests)
    app.connect("autodoc-skip-member", leave_out_routing)
