"""What a company looks for first: license, notices, how to report and contribute, the workflows."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from packaging.specifiers import SpecifierSet

from daftt_core.cli.app import cli
from daftt_core.storage.assets import known_assets

_ROOT = Path(__file__).parents[2]
_PROJECT = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
_README = (_ROOT / "README.md").read_text(encoding="utf-8")
_PAGES = sorted(_ROOT.glob("*.md"))
_WORKFLOWS = sorted((_ROOT / ".github" / "workflows").glob("*.yml"))
_FORMS = [
    path
    for path in sorted((_ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    if path.name != "config.yml"
]
# apache.org/licenses/LICENSE-2.0.txt
_APACHE_2 = "cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30"
_TARGETS = set(re.findall(r"^([a-z-]+):", (_ROOT / "Makefile").read_text(), re.MULTILINE))


def _read(name: str) -> str:
    return (_ROOT / name).read_text(encoding="utf-8")


def test_the_license_is_the_one_that_the_package_names() -> None:
    assert _PROJECT["license"] == "Apache-2.0"
    assert hashlib.sha256((_ROOT / "LICENSE").read_bytes()).hexdigest() == _APACHE_2
    assert _PROJECT["license-files"] == ["LICENSE", "NOTICE"]


@pytest.mark.parametrize("name", ["core", "train", "serve"])
def test_an_image_carries_the_license_and_names_it(name: str) -> None:
    recipe = _read(f"docker/{name}.Dockerfile")
    copied = re.findall(r"^COPY (?!--)(.*) \./$", recipe, re.MULTILINE)
    assert set(_PROJECT["license-files"]) <= {file for line in copied for file in line.split()}
    assert f'org.opencontainers.image.licenses="{_PROJECT["license"]}"' in recipe
    allowed = _read(".dockerignore").splitlines()
    assert [file for file in _PROJECT["license-files"] if f"!{file}" not in allowed] == []


def test_the_notice_names_every_part_that_is_not_ours() -> None:
    notice = _read("NOTICE")
    paths = re.findall(r"\b(?:k8s|examples|daftt_core)/[\w./*-]*[\w/]", notice)
    assert len(paths) >= 8
    assert [path for path in paths if not list(_ROOT.glob(path))] == []
    assert {"k8s/crds/*.yaml", "examples/tutorial/reviews.csv"} <= set(paths)


def test_the_notice_names_every_download_with_its_package_and_license() -> None:
    entries = _read("NOTICE").split("keeps its own license:")[1]
    for asset in known_assets().values():
        (entry,) = re.findall(rf"in the package {asset.package}: (.*(?:\n    .*)*)", entries)
        assert asset.license.split()[0] in entry, asset.name


def _steps(workflow: dict[str, Any]) -> list[dict[str, Any]]:
    return [step for job in workflow["jobs"].values() for step in job.get("steps", [])]


@pytest.mark.parametrize("path", _WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_takes_actions_by_commit_and_rights_by_name(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    workflow = yaml.safe_load(text)
    assert set(workflow["permissions"]) <= {"contents"}
    used = re.findall(r"uses: (.*)$", text, re.MULTILINE)
    assert used
    for action in used:
        if action.startswith("./"):
            assert (_ROOT / action).is_file(), action
        else:
            assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    called = [t for step in _steps(workflow) for t in _make_targets(step.get("run", ""))]
    assert set(called) <= _TARGETS
    # What a pull request or a tag is named must not become part of a script.
    assert [step for step in _steps(workflow) if "${{" in step.get("run", "")] == []


def _make_targets(text: str) -> list[str]:
    return [
        target
        for line in re.findall(r"^\s*make ([a-z -]+)", text, re.MULTILINE)
        for target in line.split()
    ]


def test_a_change_and_a_release_pass_the_same_checks() -> None:
    check = yaml.safe_load(_read(".github/workflows/check.yml"))
    assert {"pull_request", "workflow_call"} <= set(check[True])  # YAML 1.1 reads "on" as true
    assert _steps(check)[-1]["run"] == ".ci/run"
    release = yaml.safe_load(_read(".github/workflows/release.yml"))
    assert release["jobs"]["check"]["uses"] == "./.github/workflows/check.yml"
    assert release["jobs"]["release"]["needs"] == "check"


def test_a_release_has_signed_images_with_parts_list_and_provenance() -> None:
    workflow = yaml.safe_load(_read(".github/workflows/release.yml"))
    assert workflow[True] == {"push": {"tags": ["v*"]}}
    release = workflow["jobs"]["release"]
    assert release["permissions"]["id-token"] == "write"
    build, sign, _, publish = [step for step in release["steps"] if "run" in step][2:]
    assert {"--push", "--sbom=true", "--provenance=mode=max"} == set(
        build["env"]["BUILD_FLAGS"].split()
    )
    assert "make images images-lock" in build["run"]
    assert "components/images.lock.json | xargs cosign sign --yes" in sign["run"]
    assert "gh release create" in publish["run"]


@pytest.mark.parametrize("path", _FORMS, ids=lambda path: path.stem)
def test_an_issue_form_asks_for_what_is_needed(path: Path) -> None:
    form = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert {"name", "description", "body"} <= set(form)
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert all(field["type"] == "textarea" and field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields)
    assert any(field.get("validations", {}).get("required") for field in fields)


@pytest.mark.parametrize("path", _PAGES, ids=lambda path: path.stem)
def test_a_page_at_the_root_links_to_what_exists(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("http://", "https://")):
            continue
        name, _, anchor = target.partition("#")
        file = path.parent / name if name else path
        assert file.exists(), f"{path.name}: {target}"
        if anchor:
            assert anchor in _anchors(file), f"{path.name}: {target}"
    assert set(_make_targets(text)) <= _TARGETS


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_a_badge_says_what_the_package_declares() -> None:
    badges = dict(re.findall(r"^!\[([\w ]+): ([^\]]+)\]\(https://img.shields.io/", _README, re.M))
    kfp = SpecifierSet(next(r for r in _PROJECT["dependencies"] if r.startswith("kfp="))[3:])
    python = SpecifierSet(_PROJECT["requires-python"])
    assert badges.keys() == {"License", "Python", "Kubeflow Pipelines"}
    assert badges["License"] == _PROJECT["license"]
    assert badges["Python"].split(", ") == [f"3.{n}" for n in range(20) if f"3.{n}" in python]
    assert f"{badges['Kubeflow Pipelines']}.0" in kfp


def test_the_first_table_has_the_figures_of_the_demo_and_of_the_comparison() -> None:
    first = _README.split("\n## ")[0]
    shown = re.findall(r"^\| .*?([\d.]+)%\*{0,2} \|$", first, re.MULTILINE)
    rows = re.findall(r"^(real|real\+\w+ \*|gold) +[\d,]+ +([\d.]+) ", _README, re.MULTILINE)
    (setfit,) = re.findall(r"^\| SetFit \| ([\d.]+)% \|", _read("docs/comparison.md"), re.M)
    assert [name[-1] for name, _ in rows] == ["l", "*", "d"]  # real, the chosen arm, gold
    assert shown == [setfit, *(mean for _, mean in rows)]


def test_the_first_commands_of_the_readme_exist() -> None:
    first = _README.split("\n## ")[0]
    (block,) = re.findall(r"^```sh\n(.*?)^```$", first, re.MULTILINE | re.DOTALL)
    make, *commands = (line.split("  #")[0].split() for line in block.splitlines())
    assert make == ["make", "demo"]
    for program, *words in commands:
        assert program == ".venv/bin/daftt"
        command: click.Command = cli
        while isinstance(command, click.Group):
            listed = command.get_command(click.Context(command), words.pop(0))
            assert listed is not None
            command = listed
        flags = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} <= flags
