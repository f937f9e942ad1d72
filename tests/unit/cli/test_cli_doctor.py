"""The doctor finds what is missing and names the command that mends it."""

from __future__ import annotations

import json
import re

import pytest

from daftt_core.cli import checks as doctor
from daftt_core.cli.app import main
from daftt_core.cli.checks import Check


def test_a_missing_model_is_found_with_its_remedy(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DAFTT_CACHE", str(tmp_path))
    check = doctor._assets()
    assert not check.ok
    assert str(tmp_path) in check.found
    assert check.fix.startswith("daftt fetch smollm2-135m-instruct")


def test_a_missing_package_is_found_with_its_remedy(monkeypatch) -> None:
    monkeypatch.setattr(
        doctor.metadata, "requires", lambda _: ["no-such-package>=1", "click>=999", "rich>=1"]
    )
    check = doctor._packages()
    assert not check.ok
    assert check.found.startswith("no-such-package is not installed; click is ")
    assert "rich" not in check.found
    assert "pip install" in check.fix


def test_this_environment_has_every_package() -> None:
    assert doctor._packages().ok, doctor._packages().found


def test_a_version_that_is_not_the_pinned_one_is_noted(monkeypatch, tmp_path) -> None:
    (tmp_path / "constraints.txt").write_text("# pins\nclick==0.1\nnot-installed==1\n")
    monkeypatch.setattr(doctor, "_PROJECT", tmp_path)
    check = doctor._pins()
    assert not check.ok
    assert "pinned 0.1" in check.found
    assert not check.needed


@pytest.mark.parametrize(("needed", "code"), [(True, 1), (False, 0)])
def test_exit_code_tells_whether_a_run_would_work(needed, code, monkeypatch, capsys) -> None:
    broken = Check("disk", False, "[0.1 GB] free", "daftt run --output ELSEWHERE", needed=needed)
    monkeypatch.setattr(doctor, "_CHECKS", (lambda: broken, lambda: Check("Python", True, "3.11")))
    assert main(["doctor"]) == code
    heading, first, second, last = capsys.readouterr().out.splitlines()
    assert heading.split() == ["what", "state", "found", "fix", "it", "with"]
    state = "missing" if needed else "note"
    cells = ["disk", state, "[0.1 GB] free", "daftt run --output ELSEWHERE"]
    assert re.split(r" {2,}", first.strip()) == cells
    assert second.split() == ["Python", "ok", "3.11"]
    assert last.startswith("1 missing" if needed else "Everything")
    assert main(["doctor", "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is not needed
    assert found["checks"][0]["fix"] == "daftt run --output ELSEWHERE"


@pytest.mark.slow
def test_torch_is_looked_at_from_outside() -> None:
    check = doctor._torch()
    assert check.ok
    assert check.found.startswith("2.")
