"""Settings as options: all of them, checked by the configuration and by nothing else."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner

from daftt_core.cli.app import cli, main
from daftt_core.cli.local.run import run_command
from daftt_core.config import flat_fields


def _validate(*words: str) -> tuple[int, str, str]:
    result = CliRunner().invoke(cli, ["validate", "--json", *words], standalone_mode=False)
    assert result.exception is None, result.exception
    return result.return_value, result.stdout, result.stderr


def test_every_setting_is_an_option_and_explained() -> None:
    options = {option.name: option for option in run_command.params}
    for name, field in flat_fields().items():
        assert field.description in options[name].help  # type: ignore[union-attr]


def test_help_shows_limits_defaults_and_choices() -> None:
    text = CliRunner().invoke(cli, ["run", "--help-all"], terminal_width=200).output
    assert "--student-warmup-ratio NUMBER" in text
    assert "[at least 0, below 1; default: 0.1]" in text
    assert "[at least 1, at most 1,000,000; default: 64]" in text
    # a number that is equal to False is not "off"
    assert "[at least 0, at most 100; default: 0.0]" in text
    assert "--on-gate-fail stop|continue" in text
    assert "--student-gold-arm / --no-student-gold-arm" in text
    assert "[default: on]" in text


def test_help_shows_the_settings_that_matter_most_and_says_how_to_see_all() -> None:
    text = CliRunner().invoke(cli, ["run", "--help"], terminal_width=200).output
    shown = re.findall(r"^  --([a-z-]+)", text.partition("Settings (--help-all")[2], re.MULTILINE)
    assert len(shown) == 15
    assert {"task", "data-train", "teacher-model", "student-seeds"} < set(shown)
    assert "--student-warmup-ratio" not in text


def test_options_win_over_the_file(tmp_path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("student_epochs: 7\nseed: 5\n")
    code, stdout, _ = _validate("--settings", str(path), "--seed", "6", "--no-student-gold-arm")
    config = json.loads(stdout)["config"]
    assert code == 0
    assert config["student"]["epochs"] == 7
    assert config["run"]["seed"] == 6
    assert config["student"]["gold_arm"] is False


def test_every_mistake_of_file_and_options_is_reported_at_once(tmp_path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("student_epoch: 7\nteacher_learning_rate: -1\n")
    code, stdout, _ = _validate(
        "--settings", str(path), "--data-dev-count", "many", "--synthesis-mode", "wish"
    )
    mistakes = "\n".join(json.loads(stdout)["mistakes"])
    assert code == 2
    assert "student_epoch: there is no such parameter; did you mean 'student_epochs'?" in mistakes
    assert "teacher_learning_rate: -1" in mistakes
    assert "data_dev_count: 'many'" in mistakes
    assert "synthesis_mode: 'wish'" in mistakes


def test_mistakes_go_to_stderr_one_line_each(capsys) -> None:
    assert main(["validate", "--student-seeds", "0", "--teacher-epochs", "-1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = captured.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("error: ") for line in lines)


def test_an_unknown_task_and_a_missing_file_are_users_mistakes(capsys) -> None:
    assert main(["validate", "--task", "movie-review"]) == 2
    assert "did you mean 'movie-reviews'?" in capsys.readouterr().err
    assert main(["validate", "--settings", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_an_unknown_option_gets_a_suggestion(capsys) -> None:
    assert main(["run", "--student-epoch", "3"]) == 2
    assert "--student-epochs" in capsys.readouterr().err


def test_validate_shows_the_configuration(capsys) -> None:
    assert main(["validate", "--student-epochs", "9"]) == 0
    out = capsys.readouterr().out
    assert "student:\n" in out
    assert "  epochs: 9\n" in out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_calls_back(shell, capsys) -> None:
    assert main(["completion", shell]) == 0
    assert f"_DAFTT_COMPLETE={shell}_complete" in capsys.readouterr().out


def test_completion_offers_the_choices_of_a_setting(monkeypatch, capsys) -> None:
    monkeypatch.setenv("_DAFTT_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "daftt run --synthesis-mode ")
    monkeypatch.setenv("COMP_CWORD", "3")
    with pytest.raises(SystemExit):
        main([])
    offered = [line.split(",")[1] for line in capsys.readouterr().out.splitlines()]
    assert offered == ["annotate", "generate", "both"]


def test_a_run_with_wrong_settings_starts_nothing(tmp_path, capsys) -> None:
    output = tmp_path / "runs"
    words = ["run", "--json", "--output", str(output), "--student-seeds", "0"]
    assert main(words) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["exit_code"] == 2
    assert captured.err.startswith("error: student_seeds: ")
    assert not output.exists()
