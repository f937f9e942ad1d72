"""Make an image's environment small: drop what no run uses, and keep bytecode only where it helps.

Run by the environment's own Python in the build stage; its arguments are the modules to import.

The root file system of a pod is read-only, so a module without bytecode is compiled anew in every
process, which takes longer than all else; bytecode of modules that nothing imports is a tenth of
the image. So all of it goes, and the modules named here are imported once to write theirs.
"""

import importlib
import shutil
import sys
import sysconfig
from pathlib import Path

UNUSED_FOLDERS = (
    "**/__pycache__",
    "**/tests",
    # A second way to download from the Hub; the image says that the first one is to be used.
    "hf_xet",
    # For fonts in PDF and PostScript; figures are SVG.
    "fontTools/cu2qu",
    "fontTools/feaLib",
    "fontTools/otlLib",
    "fontTools/pens",
    "fontTools/qu2cu",
    "fontTools/subset",
    "fontTools/ttLib",
    "fontTools/varLib",
    "fontTools/voltLib",
    # Fonts other than the one that is drawn with, and pictures to try things on.
    "matplotlib/mpl-data/fonts/afm",
    "matplotlib/mpl-data/fonts/pdfcorefonts",
    "matplotlib/mpl-data/sample_data",
    # Which town a phone number belongs to.
    "phonenumbers/geodata",
    "pyarrow/include",
    "pyarrow/src",
    "sklearn/datasets/data",
    "sklearn/datasets/images",
)
UNUSED_FILES = (
    "**/*.a",
    "**/*.c",
    "**/*.cpp",
    "**/*.h",
    "**/*.hpp",
    "**/*.pxd",
    "**/*.pyi",
    "**/*.pyx",
    # Apache Arrow's remote procedure calls and its own S3 client, which pyarrow loads on request.
    "pyarrow/_flight*",
    "pyarrow/_s3fs*",
    "pyarrow/libarrow_flight*",
    "pyarrow/libarrow_python_flight*",
    "pyarrow/libarrow_s3*",
    # Wheels have no links: these are the library under its other two names.
    "pyarrow/libarrow_python.so",
    "pyarrow/libarrow_python.so.*.*.*",
    # Makers of network cards, for a check of their addresses.
    "stdnum/*.dat",
)


KEPT_SERVICES = {"s3", "signin", "sso", "sso-oidc", "sts"}
"""Of the some 400 of Amazon's that botocore describes: S3, and those that give out credentials."""


def drop_unused(packages: Path) -> None:
    """Delete tests, sources of compiled modules, and libraries that are not used."""
    for pattern in UNUSED_FOLDERS:
        for folder in packages.glob(pattern):
            shutil.rmtree(folder, ignore_errors=True)
    for pattern in UNUSED_FILES:
        for file in packages.glob(pattern):
            file.unlink(missing_ok=True)
    for folder in packages.glob("botocore/data/*/"):
        if folder.name not in KEPT_SERVICES:
            shutil.rmtree(folder)


if __name__ == "__main__":
    sys.dont_write_bytecode = False
    drop_unused(Path(sysconfig.get_path("purelib")))
    for name in sys.argv[1:]:
        importlib.import_module(name)
