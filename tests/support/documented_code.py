"""The code blocks of a page, so that tests can run what the page shows."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

__all__ = ["code_blocks", "run_code"]

_PAGES = Path(__file__).parents[2] / "docs"


def code_blocks(page: str, heading: str, language: str = "python") -> list[str]:
    """The blocks of a language below a heading, up to the next heading.

    Args:
        page: The page's name, without ``.md``.
        heading: The heading's text.
        language: What the blocks are marked with.
    """
    text = (_PAGES / f"{page}.md").read_text(encoding="utf-8")
    section = text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


def run_code(page: str, heading: str) -> dict[str, Any]:
    """Run the only Python block below a heading; returns the names it made."""
    (block,) = code_blocks(page, heading)
    names: dict[str, Any] = {"__name__": f"{page}.{heading}"}
    exec(compile(block, f"{page}.md, {heading}", "exec"), names)
    return names
