"""docs/architecture.md shows the floors that import-linter enforces, and every room is on one."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
CONTRACT = "A floor of the library knows only the floors below it"


def layers_on_the_page() -> list[set[str]]:
    """The rooms by layer, lowest first; a floor with ", then" is several layers."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \|", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(len(rows)))
    return [
        set(re.findall(r"`(\w+)`", layer)) for _, rooms in rows for layer in rooms.split(", then ")
    ]


def layers_in_the_contract() -> list[set[str]]:
    """The rooms by layer as import-linter has them, lowest first."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    (contract,) = (
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["name"] == CONTRACT
    )
    return [set(layer.split(" | ")) for layer in reversed(contract["layers"])]


def test_the_page_shows_the_floors_that_import_linter_enforces() -> None:
    assert layers_on_the_page() == layers_in_the_contract()


def test_every_room_of_the_library_is_on_a_floor() -> None:
    folders = {file.parent.name for file in ROOT.glob("daftt_core/*/__init__.py")}
    modules = {file.stem for file in ROOT.glob("daftt_core/*.py")} - {"__init__"}
    assert set().union(*layers_on_the_page()) == folders | modules
