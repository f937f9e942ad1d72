"""The top command: its help, its exit codes, its version."""

from __future__ import annotations

import importlib
import os
import pkgutil
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

import daftt_core.cli
from daftt_core import __version__, errors
from daftt_core.cli import app as app_module
from daftt_core.cli.app import cli, main
from daftt_core.cli.commands import GROUPS

NAMES = sorted(name for group in GROUPS.values() for name in group)


def test_help_lists_every_command_and_every_exit_code(capsys) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    for name in NAMES:
        assert f"\n  {name} " in out
    kinds = [getattr(errors, name) for name in errors.__all__]
    codes = {kind.exit_code for kind in kinds if isinstance(kind, type)} | {0, 11, 130}
    for code in codes:
        assert f"\n  {code} " in out


@pytest.mark.parametrize("words", [[], ["--help"]])
def test_commands_stand_in_groups_with_a_line_each(words, capsys) -> None:
    assert main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    places = [lines.index(f"{title}:") for title in GROUPS]
    assert places == sorted(places)
    for (title, group), place in zip(GROUPS.items(), places, strict=True):
        for line, (name, listed) in zip(lines[place + 1 :], group.items(), strict=False):
            assert line.split(maxsplit=1) == [name, listed.summary], title
    assert len(lines) < 45 or words
    assert max(map(len, lines)) <= 80


def test_no_command_is_left_out_of_the_list_or_in_it_twice() -> None:
    """Every command in any module of the command line is reached from the list."""
    assert len(NAMES) == len(set(NAMES))
    reached = list(commands_below(cli))
    left_out = {
        f"{module.name}.{name}"
        for module in pkgutil.walk_packages(daftt_core.cli.__path__, "daftt_core.cli.")
        if not module.name.endswith("__main__")
        for name, value in vars(importlib.import_module(module.name)).items()
        if isinstance(value, click.Command) and value not in reached
    }
    assert left_out == {"daftt_core.cli.app.cli"}


def commands_below(group: click.Group) -> Iterator[click.Command]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command
        if isinstance(command, click.Group):
            yield from commands_below(command)


def completions(line: str) -> list[str]:
    """What the Tab key offers after a line, as the script of bash asks for it."""
    words = line.split(" ")
    environment = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "daftt_core.cli"],
        env={**os.environ, "_DAFTT_COMPLETE": "bash_complete", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return [offered.partition(",")[2] for offered in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("daftt ru", ["run", "runs"]),
        ("daftt --ver", ["--version"]),
        ("daftt run --student-ep", ["--student-epochs"]),
        ("daftt schedule re", ["remove", "resume"]),
        ("daftt registry roll", ["rollback"]),
    ],
)
def test_the_tab_key_completes_commands_and_options(line, offered, monkeypatch) -> None:
    assert completions(line) == offered


@pytest.mark.parametrize("name", NAMES)
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
