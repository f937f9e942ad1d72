"""The lock and the declared dependencies belong together."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_ROOT = Path(__file__).parents[2]
_PINS = {
    canonicalize_name(name): version
    for line in (_ROOT / "constraints.txt").read_text().splitlines()
    if not line.startswith("#")
    for name, version in [line.split("==")]
}


def _declared() -> list[Requirement]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    return [
        Requirement(r) for r in [*project["dependencies"], *(r for e in extras.values() for r in e)]
    ]


@pytest.mark.parametrize("requirement", _declared(), ids=lambda requirement: requirement.name)
def test_every_dependency_is_pinned_to_a_version_it_allows(requirement: Requirement) -> None:
    assert _PINS[canonicalize_name(requirement.name)] in requirement.specifier


def test_the_lock_fits_every_kind_of_machine() -> None:
    for name, version in _PINS.items():
        assert re.fullmatch(r"[0-9a-z.]+", version), f"{name}: {version} is of one build only"
        assert not name.startswith("nvidia"), f"{name} comes with a CUDA build of torch by itself"
