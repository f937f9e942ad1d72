"""Environments of their own for packages that are measured against, kept in the cache."""

from __future__ import annotations

import subprocess
import venv
from pathlib import Path

from daftt_core.storage import cache_folder

__all__ = ["peer_folder"]


def peer_folder(name: str, needed: list[str]) -> Path:
    """The folder of an environment, made once; its Python is ``bin/python``.

    Args:
        name: What it is for.
        needed: Requirements as pip reads them.
    """
    folder = cache_folder() / "peers" / name
    installed = folder / "installed"
    wanted = "\n".join(needed)
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {name} in an environment of its own", flush=True)
        venv.create(folder, with_pip=True, clear=True)
        python = folder / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "-q", *needed], check=True)
        installed.write_text(wanted)
    return folder
