"""Print the third-party packages of an image: those of pyproject.toml, with the extras named.

An image installs these before it copies the code, so that a change of code does not install them
again. Only the standard library is used: this runs before anything is installed.
"""

import sys
import tomllib
from pathlib import Path


def requirements(extras: list[str]) -> list[str]:
    """The requirements of the project and of some of its extras, in the order they are declared."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    optional = project["optional-dependencies"]
    unknown = sorted(set(extras) - set(optional))
    if unknown:
        sys.exit(f"pyproject.toml has no extra {', '.join(unknown)} (known: {', '.join(optional)})")
    return [*project["dependencies"], *(name for extra in extras for name in optional[extra])]


if __name__ == "__main__":
    sys.stdout.write("\n".join(requirements(sys.argv[1:])) + "\n")
