"""Write the requirements of the images with the hash of every file of each version.

Three files come from what pyproject.toml declares and constraints.txt pins: ``core`` for all
images, ``train`` for what the extra of that name adds, and ``build`` for the tools of the build
stage, whose versions are those that the file has. Run by ``make lock-images``, with uv on the path.

Left out is torch with all that it brings: its builds differ from index to index, and their hashes
with them.
"""

import re
import subprocess
from pathlib import Path

_FOLDER = Path(__file__).parent
_TORCH = re.compile(r"(torch|triton|setuptools|(cuda|nvidia)-.*)")
_HEADER = "# {0} Written by `make lock-images`; pip checks the hashes.\n"


def resolve(source: str, *options: str) -> dict[str, str]:
    """The lines of every package that a file asks for, by its name."""
    command = ["uv", "pip", "compile", source, *options, "--universal", "--python-version=3.11"]
    command += ["--generate-hashes", "--no-annotate", "--no-header", "--no-sources"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    packages = re.split(r"\n(?=\S)", done.stdout.rstrip("\n"))
    return {lines.split("==")[0]: lines for lines in packages}


def write(name: str, purpose: str, packages: dict[str, str]) -> None:
    """Replace one of the files."""
    lines = [packages[package] for package in sorted(packages)]
    text = _HEADER.format(purpose) + "\n".join(lines) + "\n"
    (_FOLDER / f"{name}-requirements.txt").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    pinned = ("pyproject.toml", "--constraints=constraints.txt")
    core = resolve(*pinned, "--extra=s3")
    with_torch = resolve(*pinned, "--extra=s3", "--extra=train")
    train = {
        package: lines
        for package, lines in with_torch.items()
        if package not in core and not _TORCH.fullmatch(package)
    }
    write("core", "What every image needs.", core)
    write("train", "What train and serve need besides, without torch.", train)
    tools = resolve("docker/build-requirements.txt", "--no-deps")
    write("build", "What makes the images' wheels and parts lists; it stays behind.", tools)
