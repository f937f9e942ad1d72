"""The configuration: all mistakes at once, and nothing defaulted silently."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic.fields import FieldInfo

from daftt_core.config import (
    Config,
    DataConfig,
    TeacherConfig,
    flat_fields,
    from_flat,
    parse_section,
    read_settings,
    to_flat,
)
from daftt_core.errors import ConfigError


def message_of(settings: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        from_flat(settings)
    return str(caught.value)


def parts(annotation: object) -> set[object]:
    """A type and all that it is made of."""
    return {annotation}.union(*map(parts, get_args(annotation)))


@pytest.mark.parametrize(("name", "field"), flat_fields().items())
def test_every_setting_has_a_default_and_a_description(name: str, field: object) -> None:
    assert not field.is_required()  # type: ignore[attr-defined]
    assert len(field.description or "") > 10, name  # type: ignore[attr-defined]


def test_no_two_settings_share_a_flat_name() -> None:
    sections = [getattr(Config(), name) for name in Config.model_fields]
    fields = sum(len(type(section).model_fields) for section in sections)
    assert len(flat_fields()) == fields


def test_defaults_survive_flattening_and_nesting() -> None:
    assert from_flat({}) == Config()
    assert from_flat(to_flat(Config())) == Config()


def test_changed_settings_survive_flattening_and_nesting() -> None:
    settings = {
        "seed": 7,
        "on_gate_fail": "continue",
        "data_train": "reviews.csv",
        "data_labelled_fraction": 0.05,
        "teacher_learning_rate": 1e-4,
        "synthesis_mode": "generate",
        "curation_balance": False,
        "student_min_steps": 0,
        "evaluation_confidence": 0.9,
    }
    config = from_flat(settings)
    assert config.run.seed == 7
    assert config.data.train == "reviews.csv"
    assert config.teacher.learning_rate == 1e-4
    assert config.curation.balance is False
    flat = to_flat(config)
    assert {name: flat[name] for name in settings} == settings
    assert from_flat(flat) == config


def test_all_mistakes_are_told_at_once() -> None:
    message = message_of(
        {
            "teacher_learnig_rate": 1e-4,
            "teacher_learning_rate": -1,
            "student_seeds": 0,
            "synthesis_mode": "invent",
            "labelled_count": 3,
            "data_dev_count": "many",
        }
    )
    lines = message.splitlines()
    assert len(lines) == 6
    for start, part in [
        (
            "teacher_learnig_rate: there is no such parameter",
            "did you mean 'teacher_learning_rate'",
        ),
        ("labelled_count: there is no such parameter", "did you mean 'data_labelled_count'"),
        ("teacher_learning_rate: -1", "greater than 0"),
        ("student_seeds: 0", "greater than or equal to 1"),
        ("synthesis_mode: 'invent'", "'annotate', 'generate' or 'both'"),
        ("data_dev_count: 'many'", "integer"),
    ]:
        assert any(line.startswith(start) and part in line for line in lines), (start, message)


def test_shares_must_leave_something_to_train_on() -> None:
    message = message_of({"data_dev_share": 0.5, "data_test_share": 0.45})
    assert message == "data: dev_share and test_share together must leave a tenth for training"


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_must_be_finite(value: float) -> None:
    assert "finite" in message_of({"teacher_weight_decay": value})


def test_a_section_is_checked_again_when_a_stage_reads_it() -> None:
    section = DataConfig(labelled_count=5)
    assert parse_section(DataConfig, section.model_dump_json()) == section
    with pytest.raises(ConfigError, match="TeacherConfig: epochs: -1"):
        parse_section(TeacherConfig, '{"epochs": -1}')


@pytest.mark.parametrize("name", ["task", "output", "data_train", "teacher_model"])
def test_a_text_with_a_nul_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{name}: 'a\\x00b' holds a NUL character$"):
        from_flat({name: "a\0b"})


def test_settings_are_read_from_yaml(tmp_path: Path) -> None:
    path = tmp_path / "settings.yaml"
    path.write_text("seed: 7\nteacher_learning_rate: 0.0001\n")
    assert from_flat(read_settings(path)).run.seed == 7
    path.write_text("# nothing yet\n")
    assert read_settings(path) == {}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"seed: [1\n", "is not YAML"),
        (b"- seed\n", "must map parameter names to values"),
        (b"7: seed\n", "must map parameter names to values"),
        (b"seed: \xff\n", "is not YAML"),
        (b"seed: 2024-13-45\n", "is not YAML: month must be"),
        (b"seed: " + b"[" * 3000, "is not YAML: it is nested too deeply"),
        (b"seed: " + b"9" * 5000, "is not YAML"),
        (b'a: 1\ntask: "\\ud800"\n', "is not YAML: .* half a surrogate pair is not text .* line 2"),
        (b"seed: 1\nname: a\nseed: 2\n", "is not YAML: 'seed' occurs twice .* line 3"),
        (b"a: &a {k: 1}\nb: {<<: [*a, *a]}\n", "is not YAML: '<<' .* line 2"),
        (b"!!python/object/apply:os.system [id]", "is not YAML: could not determine a constructor"),
    ],
)
def test_a_broken_settings_file_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "settings.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=rf"settings\.yaml: {problem}"):
        read_settings(path)


def test_a_missing_settings_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read: No such file"):
        read_settings(tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"synthesis_samples": 3, "synthesis_annotate_temperature": 0},
            "synthesis: 3 samples would be the same text 3 times, because annotate_temperature is "
            "0: raise it, or set samples to 1",
        ),
        (
            {"synthesis_label_balance": "as-labelled"},
            "synthesis_label_balance: as-labelled is undone by curation_balance, which keeps as "
            "many generated examples of each label: set it to false",
        ),
    ],
)
def test_settings_that_undo_each_other_are_refused(
    settings: dict[str, object], sentence: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_flat(settings)
    assert str(caught.value) == sentence


_EXACT_IN_A_DOUBLE = 2**53
"""Whole numbers up to here survive Kubeflow Pipelines, which carries numbers as doubles."""


@pytest.mark.parametrize(
    ("name", "field"),
    [(n, f) for n, f in flat_fields().items() if not {int, float}.isdisjoint(parts(f.annotation))],
)
def test_every_number_has_two_limits_that_a_double_holds(name: str, field: FieldInfo) -> None:
    limits = {
        key: getattr(rule, key)
        for rule in field.metadata
        for key in ("ge", "gt", "le", "lt")
        if hasattr(rule, key)
    }
    assert {"ge", "gt"} & limits.keys(), name
    assert {"le", "lt"} & limits.keys(), name
    assert all(abs(limit) <= _EXACT_IN_A_DOUBLE for limit in limits.values()), name
    beyond = max(limits.values()) * 2 + 1
    assert message_of({name: beyond}).startswith(f"{name}: {beyond} should be less than")


def test_an_amount_that_is_written_as_text_has_a_limit() -> None:
    assert from_flat({"cluster_cpus": "9999", "job_memory": "9999Gi"})
    for name in ("cluster_cpus", "job_cpus", "cluster_memory", "job_shm_size"):
        assert "should match" in message_of({name: "9" * 5000})


@pytest.mark.parametrize("seed", [2**32, 20230807093130621, "20230807093130621", -1])
def test_a_seed_is_one_that_every_library_takes(seed: object) -> None:
    bound = "greater than or equal to 0" if seed == -1 else "less than or equal to 4294967295"
    assert message_of({"seed": seed}) == f"seed: {seed!r} should be {bound}"
    assert from_flat({"seed": 2**32 - 1}).run.seed == 2**32 - 1


@pytest.mark.parametrize("name", ["task", "name", "data_train", "synthesis_mode", "job_cpus"])
def test_a_text_with_half_a_surrogate_pair_is_refused(name: str) -> None:
    assert re.match(
        rf"{name}: 'a\\udcff' (holds half|should be a valid str)", message_of({name: "a\udcff"})
    )


@pytest.mark.parametrize(
    "name", ["cluster_node_selector", "cluster_tolerations", "job_env", "job_tolerations"]
)
@pytest.mark.parametrize(
    ("text", "said"), [("[" * 100_000, "nested too deeply"), ('["\\ud800"]', "half a surrogate")]
)
def test_json_that_cannot_be_used_is_refused_in_a_sentence(name: str, text: str, said: str) -> None:
    message = message_of({name: text})
    assert said in message
    assert len(message) < 200


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"A": "{{workflow.name}}"}, "holds a placeholder of Argo or Kubernetes"),
        ({"A": "$(HF_TOKEN)"}, "holds a placeholder of Argo or Kubernetes"),
        ({"A": "two\nlines"}, "a character that cannot be printed"),
        ({"A B": "x"}, "is no name of an environment variable"),
    ],
)
def test_an_environment_of_steps_is_plain(environment: dict[str, str], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        from_flat({"cluster_environment": environment})


@pytest.mark.parametrize(
    "settings",
    [
        {"cluster_node_selector": {"pool": "{{workflow.name}}"}},
        {"cluster_tolerations": [{"key": "{{$.x}}"}]},
        {"cluster_tolerations": [{"value": {"deep": "x"}}]},
        {"cluster_tolerations": [{"tolerationSeconds": 2**60}]},
    ],
)
def test_what_kubeflow_puts_into_pods_by_itself_holds_nothing_it_would_replace(
    settings: dict[str, object],
) -> None:
    message = message_of(settings)
    assert "Kubernetes takes there" in message or "must be a whole number" in message


def test_the_name_of_a_run_is_short_enough_for_a_folder() -> None:
    assert from_flat({"name": "a" * 128})
    assert message_of({"name": "a" * 5000}).endswith("should have at most 128 characters")


HOSTILE = ["many", -1, 1e30, 2.5, "2.5x", float("nan"), True, None, [], {}, "", "\ud800", 10**400]


def test_no_setting_is_told_about_in_the_words_of_a_library() -> None:
    sentences = set()
    for name in flat_fields():
        for value in HOSTILE:
            try:
                from_flat({name: value})
            except ConfigError as error:
                sentences |= {line.partition(": ")[2] for line in str(error).splitlines()}
    assert len(sentences) > 50
    foreign = ("Input", "String", "unable to", "valid", "Field required", "pattern '", "got a ")
    assert [said for said in sentences if any(word in said for word in foreign)] == []


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"data_dev_count": "many"}, "data_dev_count: 'many' should be an integer"),
        ({"data_dev_count": 2.5}, "data_dev_count: 2.5 should be an integer"),
        ({"data_dev_share": "x"}, "data_dev_share: 'x' should be a number"),
        ({"curation_balance": "maybe"}, "curation_balance: 'maybe' should be true or false"),
        ({"output": ""}, "output: '' should not be empty"),
    ],
)
def test_what_a_setting_should_be_is_told_in_a_sentence(
    settings: dict[str, object], sentence: str
) -> None:
    assert message_of(settings) == sentence
