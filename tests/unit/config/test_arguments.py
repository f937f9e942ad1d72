"""What a user wrote reaches the stages as it is, whatever the programs on the way replace."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.local import config, placeholder_utils, subprocess_task_handler

from daftt_core.config import (
    JobConfig,
    as_argument,
    form_arguments,
    from_argument,
    from_flat,
    to_flat,
)
from daftt_core.jobs.requests import teacher_request
from daftt_core.tasks import load_task
from daftt_core.workspace import Run

HOSTILE = [
    "{{$.Values.image}}",
    "{{$}}",
    "{{$.x}} and {{$.inputs.parameters['run']}}",
    "{{workflow.name}} {{=1+1}} {{{{{",
    "{{channel:task=a;name=b;type=String;}}",
    "/kfp-workspace/data.csv",
    "in python3, not python",
    "$$ $(HOME) $",
    'json:"quoted"',
    "json:",
    '\\{{ "{{" \\python3',
]
_PIECES = ["{", "{{", "}}", "$", "python3", "/kfp-workspace", "json:", '"', "\\", "é", "a", "\n"]
_texts = st.lists(st.sampled_from(_PIECES)).map("".join)


def is_plain(text: str) -> bool:
    return not any(part in text for part in ("{{", "$", "python3", "/kfp-workspace"))


@given(_texts)
def test_any_text_comes_back_and_holds_no_pattern_on_its_way(text: str) -> None:
    sent = as_argument(text)
    assert is_plain(sent)
    assert from_argument(sent) == text


@pytest.mark.parametrize("text", ["", "plain", "{a}", "a {b} c", "python", "kfp-workspace"])
def test_a_text_without_a_pattern_travels_as_it_is(text: str) -> None:
    assert as_argument(text) == text == from_argument(text)


def test_lists_mappings_and_numbers_come_back() -> None:
    value = {"a": ["{{x}}", 1, 0.5, True, None], "b": {"c": "$$"}}
    sent = as_argument(value)
    assert is_plain(json.dumps(sent))
    assert from_argument(sent) == value


def test_what_a_person_types_into_a_form_is_no_json_by_its_mark_alone() -> None:
    assert from_argument("json:not so") == "json:not so"
    assert from_argument('json:"\\u007b{a}}"') == "{{a}}"


@pytest.mark.parametrize("text", HOSTILE)
def test_what_fills_a_form_holds_no_pattern_and_comes_back(text: str) -> None:
    settings = {"data_train": text, "output": text, "mixture_exclude": text, "task": text}
    form = form_arguments(presets=["minilm"], settings=settings)
    assert is_plain(json.dumps(form))
    assert from_argument(form) == {
        "preset": "minilm",
        "settings": {"mixture_exclude": text},
        **dict.fromkeys(("data_train", "output", "task"), text),
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_kfp_local_leaves_what_it_is_given(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = to_flat(from_flat({"data_train": text, "mixture_exclude": text}))
    sent = as_argument(settings)
    monkeypatch.setattr(config.LocalExecutionConfig, "instance", _Instance())
    seen = as_a_stage_sees_it(sent)
    assert seen == sent
    assert from_argument(seen) == settings


class _Instance:
    workspace_root = "/elsewhere"
    runner = None


def as_a_stage_sees_it(parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters in the command with which kfp.local starts a stage."""
    command = placeholder_utils.replace_placeholders(
        ["--executor_input", "{{$}}"],
        {"inputs": {"parameterValues": parameters}, "outputs": {"outputFile": "out.json"}},
        pipeline_resource_name="name",
        task_resource_name="task",
        pipeline_root="root",
        unique_pipeline_id="1",
    )
    command = subprocess_task_handler.replace_python_executable(command, "/usr/bin/other")
    return json.loads(command[1])["inputs"]["parameterValues"]


def test_without_the_escapes_kfp_local_would_change_a_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.LocalExecutionConfig, "instance", _Instance())
    assert as_a_stage_sees_it({"a": "{{$.Values.image}} in python3"}) == {
        "a": "null in /usr/bin/other"
    }


def test_nothing_in_the_command_of_a_jobs_pod_is_replaced_by_kubernetes() -> None:
    run = Run(uri="gs://b/$(HOME) costs $$5", seed=1, task=load_task("movie-reviews"))
    request = teacher_request(run, "settings", JobConfig(), "digest", "image")
    assert all(is_plain(word) for word in request.program)
    assert from_argument(request.program[3]) == run.uri
