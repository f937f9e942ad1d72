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


# Without torch, and what it brings: their builds differ from index to index.
_UNHASHED = {"torch"}


def _hashed(name: str) -> dict[str, str]:
    """The versions that an image's requirements name, each with its hashes."""
    text = (_ROOT / "docker" / f"{name}-requirements.txt").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", "").splitlines()
    versions = {}
    for line in lines:
        parts = re.fullmatch(r"(\S+)==(\S+)( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+ *", line)
        assert parts, line
        versions[canonicalize_name(parts[1])] = parts[2]
    return versions


@pytest.mark.parametrize("name", ["core", "train"])
def test_the_images_get_the_versions_that_are_tested(name: str) -> None:
    for_others = {"httpx2-jsfetch", "pywin32"}  # no Linux has them
    hashed = {name: pin for name, pin in _hashed(name).items() if name not in for_others}
    assert hashed
    different = {name: pin for name, pin in hashed.items() if _PINS.get(name) != pin}
    assert different == {}, "run `make lock-images`"


def test_the_images_get_every_dependency_with_its_hashes() -> None:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text())["project"]
    core = {canonicalize_name(Requirement(r).name) for r in project["dependencies"]}
    train = {
        canonicalize_name(Requirement(r).name) for r in project["optional-dependencies"]["train"]
    }
    assert core - set(_hashed("core")) == set(), "run `make lock-images`"
    assert train - set(_hashed("core")) - set(_hashed("train")) == _UNHASHED
    assert {"setuptools", "wheel", "cyclonedx-bom"} <= set(_hashed("build"))


def test_each_image_has_its_hashes_checked() -> None:
    for name in ("core", "train", "serve"):
        recipe = (_ROOT / "docker" / f"{name}.Dockerfile").read_text().replace("\\\n", "")
        checked = re.findall(
            r"pip install (?:--no-compile )?--require-hashes --no-deps (.*)", recipe
        )
        files = [re.findall(r"-r (\w+)-requirements.txt", words) for words in checked]
        assert files == [["build"], ["core"] if name == "core" else ["core", "train"]]
