"""Sphinx's settings: the Markdown files of this folder, and pages that the code itself gives."""

from __future__ import annotations

import sys
from pathlib import Path

from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import picture  # noqa: E402
import reference  # noqa: E402

from daftt_core import __version__  # noqa: E402

project = "DAFTT"
version = release = __version__
author = "DAFTT"
project_copyright = ""
html_show_copyright = False

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx_copybutton"]
exclude_patterns = ["README.md"]
myst_heading_anchors = 4
smartquotes = False  # it would make a dash of an option's two hyphens
autodoc_typehints = "none"  # the docstrings say shapes and units, which types do not
napoleon_use_rtype = False

# What is typed has a button that copies it; what a command prints has none.
copybutton_selector = ", ".join(
    f".highlight-{language} pre" for language in ("python", "sh", "yaml")
)

html_theme = "furo"
html_title = f"DAFTT {__version__}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sphinx = False
html_copy_source = False
templates_path: list[str] = []
linkcheck_ignore = [r"^http://localhost"]


def setup(app: Sphinx) -> None:
    """Write what is generated before Sphinx reads its sources."""
    app.connect("builder-inited", _generate)


def _generate(_: Sphinx) -> None:
    picture.write()
    reference.write()
