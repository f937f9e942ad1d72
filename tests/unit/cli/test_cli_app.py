"""The top command: its help, its exit codes, its version."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from daftt_core import __version__, errors
from daftt_core.cli import app as app_module
from daftt_core.cli import cli, main


def test_help_lists_every_command_and_every_exit_code(capsys) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in cli.commands:
        assert f"\n  {name} " in out
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.exit_code for kind in kinds if isinstance(kind, type)} | {0, 130}
    for code in codes:
        assert f"\n  {code} " in out


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_every_command_has_help_with_an_example(name, capsys) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert "Examples:" in out
    assert f"  daftt {name}" in out or f"(daftt {name}" in out


def test_version(capsys) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"daftt, version {__version__}\n"


def test_an_unknown_command_gets_exit_code_2(capsys) -> None:
    assert main(["rum"]) == 2
    assert "rum" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("raised", "code", "said"),
    [
        (errors.GateError("the teacher is not better"), 8, "error: the teacher is not better\n"),
        (errors.ConfigError("a: wrong\nb: wrong"), 2, "error: a: wrong\nerror: b: wrong\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
    ],
)
def test_errors_become_a_sentence_and_an_exit_code(raised, code, said, monkeypatch, capsys) -> None:
    @click.command("fail")
    def fail() -> None:
        raise raised

    monkeypatch.setitem(app_module.cli.commands, "fail", fail)
    assert main(["fail"]) == code
    assert capsys.readouterr().err.lstrip("\n") == said


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    script = (
        "import sys; from daftt_core.cli import main; main(['--help']); "
        "print('slow:', {'kfp', 'torch', 'matplotlib', 'datasets'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stdout.endswith("slow: set()\n"), done.stdout + done.stderr
