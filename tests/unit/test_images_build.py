"""The recipes of the images, and the script that builds them and locks their digests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from components.images import locked_images
from daftt_core import __version__

_ROOT = Path(__file__).parents[2]
_RECIPES = sorted((_ROOT / "docker").glob("*.Dockerfile"))
_DIGEST = "sha256:" + "ab" * 32
# Stands in for buildah: notes its words, and answers a push with a digest as a registry would.
_BUILDER = f"""#!/bin/sh
echo "$*" >> "$WORDS"
[ "$1" = push ] && echo {_DIGEST} > "$4"
exit 0
"""

# Stands in for docker, which asks the registry for a digest.
_DOCKER = f"""#!/bin/sh
echo "$*" >> "$WORDS"
[ "$1 $2" = "buildx imagetools" ] && echo {_DIGEST}
exit 0
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("docker/build.sh", "daftt_core/__init__.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(_ROOT / name, tmp_path / name)
    (tmp_path / "components").mkdir()
    (tmp_path / "bin").mkdir()
    for name, script in (("buildah", _BUILDER), ("docker", _DOCKER)):
        builder = tmp_path / "bin" / name
        builder.write_text(script, encoding="utf-8")
        builder.chmod(0o755)
    return tmp_path


def _run(checkout: Path, *words: str, **env: str) -> subprocess.CompletedProcess[str]:
    path = f"{checkout / 'bin'}:{os.environ['PATH']}"
    env = {"PATH": path, "WORDS": str(checkout / "words"), "BUILDER": "buildah", **env}
    command = ["bash", str(checkout / "docker" / "build.sh"), *words]
    return subprocess.run(command, env=env, capture_output=True, text=True)


def test_every_image_is_built_by_version_on_the_base_that_was_asked_for(checkout: Path) -> None:
    done = _run(checkout, BASE_IMAGE="mirror/python@sha256:1", BUILD_FLAGS="--no-cache --squash")
    assert done.returncode == 0, done.stderr
    builds = (checkout / "words").read_text(encoding="utf-8").splitlines()
    assert len(builds) == 3
    for name, build in zip(("core", "train", "serve"), builds, strict=True):
        assert f"-f docker/{name}.Dockerfile -t daftt/{name}:{__version__} " in build
        assert "--build-arg BASE_IMAGE=mirror/python@sha256:1" in build
        assert build.endswith("--no-cache --squash .")


def test_one_image_can_be_built_alone(checkout: Path) -> None:
    assert _run(checkout, "serve", REGISTRY="registry.example/team").returncode == 0
    build = (checkout / "words").read_text(encoding="utf-8")
    assert f"registry.example/team/serve:{__version__}" in build
    assert "core" not in build


def test_only_the_images_that_ask_the_teacher_carry_another_engine(checkout: Path) -> None:
    assert _run(checkout, SERVE_EXTRA="vllm==0.32.0 ray").returncode == 0
    core, train, serve = (checkout / "words").read_text(encoding="utf-8").splitlines()
    assert "SERVE_EXTRA" not in core
    for build, name in ((train, "train"), (serve, "serve")):
        assert "--build-arg SERVE_EXTRA=vllm==0.32.0 ray" in build
        recipe = (_ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
        # DAFTT's own python stays the first in the PATH
        assert "ENV PATH=/opt/daftt/bin:$PATH:/opt/engine/bin" in recipe


def test_the_lock_that_is_written_is_the_one_that_is_read(checkout: Path) -> None:
    done = _run(checkout, "--lock", REGISTRY="registry.example/team")
    assert done.returncode == 0, done.stderr
    images = locked_images(checkout / "components" / "images.lock.json")
    assert images["serve"] == f"registry.example/team/serve@{_DIGEST}"


@pytest.mark.parametrize(("flags", "pushes"), [("", 3), ("--push --sbom=true", 0)])
def test_docker_pushes_what_its_builder_has_not_pushed(
    checkout: Path, flags: str, pushes: int
) -> None:
    lock = {"BUILDER": "docker", "REGISTRY": "registry.example/team", "BUILD_FLAGS": flags}
    done = _run(checkout, "--lock", **lock)
    assert done.returncode == 0, done.stderr
    words = (checkout / "words").read_text(encoding="utf-8").splitlines()
    assert sum(line.startswith("push ") for line in words) == pushes
    images = locked_images(checkout / "components" / "images.lock.json")
    assert images["core"] == f"registry.example/team/core@{_DIGEST}"


def test_a_lock_needs_a_registry(checkout: Path) -> None:
    done = _run(checkout, "--lock")
    assert done.returncode == 1
    assert done.stderr == "REGISTRY is not set: a digest is a registry's\n"
    assert not (checkout / "components" / "images.lock.json").exists()


def test_there_is_a_recipe_for_each_image() -> None:
    assert {path.stem for path in _RECIPES} == set(locked_images())


@pytest.mark.parametrize("path", _RECIPES, ids=lambda path: path.stem)
def test_an_image_is_without_root_and_without_what_it_was_built_with(path: Path) -> None:
    recipe = path.read_text(encoding="utf-8")
    *_, last = re.split(r"^FROM ", recipe, flags=re.MULTILINE)
    assert re.search(r"^ARG BASE_IMAGE=\S+:(?!latest)\S+$", recipe, flags=re.MULTILINE)
    assert last.startswith("${BASE_IMAGE}\n")
    assert not re.search(r"^RUN", last, flags=re.MULTILINE), (
        "nothing is installed in the last stage"
    )
    assert re.findall(r"^USER (.*)$", recipe, flags=re.MULTILINE) == ["1000:1000"]
    for place in ("HOME", "DAFTT_CACHE", "HF_HOME", "MPLCONFIGDIR"):
        assert re.search(rf"\b{place}=/tmp\b", last)


def test_train_and_serve_have_their_large_layer_in_common() -> None:
    # A builder takes a layer from its cache only where every step before it is the same.
    train, serve = (_steps_to_the_large_layer(name) for name in ("train", "serve"))
    assert train == serve
    assert train[0].startswith("ARG BASE_IMAGE=")
    assert any("requirements.py train >" in step for step in train)
    assert train[-1] == "COPY --from=dependencies /opt/daftt /opt/daftt"


def _steps_to_the_large_layer(name: str) -> list[str]:
    """The base, the stage ``dependencies`` and the last stage down to its first ``COPY``."""
    recipe = (_ROOT / "docker" / f"{name}.Dockerfile").read_text(encoding="utf-8")
    recipe = re.sub(r"^#.*\n", "", recipe, flags=re.MULTILINE).replace("\\\n", "")
    steps = [line for line in recipe.splitlines() if line]
    stages = [i for i, step in enumerate(steps) if step.startswith("FROM ")]
    assert steps[stages[0]].endswith(" AS dependencies")
    copy = next(i for i in range(stages[-1], len(steps)) if steps[i].startswith("COPY"))
    return steps[: stages[1]] + steps[stages[-1] : copy + 1]


def _requirements(*extras: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(_ROOT / "docker" / "requirements.py"), *extras]
    return subprocess.run(command, cwd=_ROOT, capture_output=True, text=True)


def test_the_core_image_asks_for_no_torch_and_the_others_do() -> None:
    core, train = _requirements(), _requirements("train", "cluster")
    assert "kfp==" in core.stdout
    assert "torch" not in core.stdout
    assert core.stdout in train.stdout
    assert "torch==" in train.stdout
    assert "deepspeed==" in train.stdout


def test_an_unknown_extra_is_named() -> None:
    done = _requirements("trian")
    assert done.returncode == 1
    assert done.stderr.startswith("pyproject.toml has no extra trian (known: train, ")


def test_slimming_drops_tests_and_writes_bytecode_of_what_is_named_only(tmp_path: Path) -> None:
    packages = tmp_path / "site-packages"
    services = [f"botocore/data/{name}/1.json" for name in ("s3", "ec2")]
    modules = ["used/__init__.py", "used/tests/test_it.py", "used/fast.pyx", "idle/__init__.py"]
    for name in (*modules, *services):
        (packages / name).parent.mkdir(parents=True, exist_ok=True)
        (packages / name).write_text("", encoding="utf-8")
    (packages / "idle" / "__pycache__").mkdir()
    script = (
        "import runpy, sys, sysconfig; sysconfig.get_path = lambda _: sys.path[0]; "
        "runpy.run_path(sys.argv.pop(1), run_name='__main__')"
    )
    slim = str(_ROOT / "docker" / "slim.py")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; sys.path[0] = {str(packages)!r}; {script}",
            slim,
            "used",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    left = {str(path.relative_to(packages)) for path in packages.rglob("*") if path.is_file()}
    assert left - {"used/__init__.py", "idle/__init__.py", services[0]} == {
        f"used/__pycache__/__init__.{sys.implementation.cache_tag}.pyc"
    }
