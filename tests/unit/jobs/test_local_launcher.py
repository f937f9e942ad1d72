"""The same program on this machine."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from job_requests import job_request

from daftt_core.config import JobConfig
from daftt_core.errors import JobError
from daftt_core.jobs import launcher_for


def run(program: str) -> None:
    launcher_for(JobConfig()).launch(replace(job_request(), program=("-c", program)))


def test_output_is_shown_as_it_comes(capfd: pytest.CaptureFixture[str]) -> None:
    run("import sys; print('one'); print('two', file=sys.stderr)")
    assert sorted(capfd.readouterr().out.split()) == ["one", "two"]


def test_a_users_mistake_keeps_its_sentence_and_its_exit_code(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(JobError) as caught:
        run("import sys; print('error 4: there is no such model', file=sys.stderr); sys.exit(4)")
    assert str(caught.value) == "there is no such model"
    assert caught.value.exit_code == 4
    assert "no such model" not in capfd.readouterr().out  # it is told once, by who catches it


def test_a_program_that_breaks_shows_its_last_lines() -> None:
    with pytest.raises(JobError) as caught:
        run("for i in range(50): print('line', i)\nraise SystemExit(3)")
    said = str(caught.value)
    assert said.startswith("stage teacher ended with exit code 3:")
    assert "line 49" in said
    assert "line 20\n" not in said


def test_a_program_that_is_killed_is_a_failure() -> None:
    with pytest.raises(JobError, match="exit code -9"):
        run("import os; os.kill(os.getpid(), 9)")


def test_sigterm_is_the_programs_to_act_on() -> None:
    program = (
        "import os, signal, sys, time\n"
        "def save(*_):\n"
        "    print('error 143: told to end; saved'); sys.exit(143)\n"
        "signal.signal(signal.SIGTERM, save)\n"
        "os.kill(os.getppid(), signal.SIGTERM)\n"
        "time.sleep(60)\n"
    )
    with pytest.raises(JobError, match="told to end; saved") as caught:
        run(program)
    assert caught.value.exit_code == 143


def test_it_is_this_very_python() -> None:
    assert job_request().local_command()[0] == sys.executable
