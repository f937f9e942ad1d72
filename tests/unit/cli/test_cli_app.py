"""The top command: its help, its exit codes, its version."""

from __future__ import annotations

import subprocess
import sys

import click
import pytest

from daftt_core import __version__, errors
from daftt_core.cli import app as app_module
from daftt_core.cli.app import cli, main


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


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        (
            "serve",
            "; a champion is served from the folder that this writes: daftt export TASK FOLDER",
        ),
        ("rum", "; did you mean 'run'?"),
        ("zzzz", ""),
    ],
)
def test_an_unknown_command_is_told_what_serves_in_its_place(word, hint, capsys) -> None:
    assert main([word]) == 2
    assert capsys.readouterr().err == f"error: there is no command {word!r}{hint}\n"


@pytest.mark.parametrize(
    "words",
    [
        ["compile", "{file}/../x"],
        ["compile", "{file}/x"],
        ["compile", "{long}"],
        ["compile", "--check", "{long}"],
        ["runs", "{long}"],
        ["runs", "{file}/../x"],
        ["report", "{long}"],
        ["costs", "{long}"],
        ["review", "{long}"],
        ["notify", "{long}", "--show"],
        ["registry", "list", "--registry", "{long}"],
        ["registry", "promote", "{long}"],
        ["plan", "--job-gpu-model", "l4-24", "--teacher-model", "{long}"],
        ["sweep", "--output", "{long}"],
        ["run", "--output", "{file}/../x"],
    ],
)
def test_a_place_that_cannot_be_is_said_in_one_sentence(words, tmp_path, capsys) -> None:
    file = tmp_path / "file"
    file.touch()
    given = [word.format(file=file, long="a" * 5000) for word in words]
    assert main(given) == 5
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("number", ["nan", "inf", "-inf"])
def test_a_number_that_is_none_is_refused(number, capsys) -> None:
    assert main(["clean", "x", "--older-than", number]) == 2
    assert "--older-than" in capsys.readouterr().err


@pytest.mark.parametrize("host", ["http://[::1", "http://a\nb", "http://a:b", "http://", "a"])
def test_an_address_that_is_none_is_refused(host, capsys) -> None:
    assert main(["runs", "--remote", "--host", host]) == 2
    err = capsys.readouterr().err
    assert "is not an address" in err
    assert err.count("\n") == 1
