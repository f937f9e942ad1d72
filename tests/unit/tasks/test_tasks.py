"""Tasks: reading and checking their files, the prompts, and the strict reading of answers."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from daftt_core.errors import TaskError
from daftt_core.records import Example
from daftt_core.tasks import (
    MOST_LABELS,
    Columns,
    Form,
    Forms,
    Label,
    Solved,
    Task,
    answer_prompt,
    builtin_tasks,
    load_task,
    parse_answer,
    parse_input,
    spelling,
    writing_prompt,
)

REVIEWS = load_task("movie-reviews")
PAIRS = Task(
    id="entailment",
    kind="classification",
    description="Does the first sentence imply the second?",
    definition="Decide.",
    writing_definition="Write two sentences.",
    labels=(
        Label(name="entailment", verbalizer="yes", aliases=("0",)),
        Label(name="not_entailment", verbalizer="no", aliases=("1",)),
    ),
    columns=Columns(text="premise", text_pair="hypothesis"),
)
REWRITE = Task(
    id="rewrite",
    kind="text2text",
    description="Rewrite.",
    definition="Rewrite the sentence.",
    writing_definition="Write a sentence.",
)


def as_yaml(tmp_path: Path, **changes: object) -> str:
    fields = REVIEWS.model_dump(mode="json") | changes
    path = tmp_path / "some.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in fields.items() if v is not None}))
    return str(path)


@pytest.mark.parametrize("name", builtin_tasks())
def test_every_built_in_task_can_be_used(name: str) -> None:
    task = load_task(name)
    assert task.id == name
    assert task.source is None or task.license
    for label in task.labels:
        assert parse_answer(task, f" {task.verbalize(label.name)}", Form()) == label.name


@pytest.mark.parametrize(
    "spelled",
    [
        "cafe\u0301",
        "caf\u00e9\u200b",
        "\ufeffcaf\u00e9",
        " caf\u00e9 ",
        "caf\u00e9\u200d",
        "ca\u00adf\u00e9",
    ],
)
def test_a_label_is_found_however_its_look_is_spelled(spelled: str) -> None:
    label = Label(name="caf\u00e9", verbalizer="coffee house")
    task = PAIRS.model_copy(update={"labels": (label, *PAIRS.labels)})
    assert task.label_for(spelled) == "caf\u00e9"
    assert task.label_for("CAF\u00c9") is None
    assert parse_answer(task, "coffee\u00a0house\u200b.", Form()) == "caf\u00e9"


def test_joiners_stay_where_letters_or_pictures_are_joined() -> None:
    persian, family = "\u062e\u0627\u0646\u0647\u200c\u0647\u0627", "\U0001f468\u200d\U0001f469"
    assert spelling(persian) == persian
    assert spelling(f"{family}\u200d") == family


def test_names_and_aliases_that_look_alike_are_shared() -> None:
    labels = [
        {"name": "caf\u00e9", "verbalizer": "a"},
        {"name": "b", "verbalizer": "b", "aliases": ["cafe\u0301"]},
    ]
    with pytest.raises(ValidationError, match="'caf\u00e9' and 'b' share the name or alias"):
        Task.model_validate(PAIRS.model_dump() | {"labels": labels})


def test_an_unknown_task_is_told_with_a_suggestion() -> None:
    with pytest.raises(TaskError, match="no task 'movie-review'; did you mean 'movie-reviews'"):
        load_task("movie-review")


def test_a_task_is_read_from_a_file(tmp_path: Path) -> None:
    assert load_task(as_yaml(tmp_path)) == REVIEWS


def test_all_mistakes_of_a_task_file_are_told_at_once(tmp_path: Path) -> None:
    path = as_yaml(tmp_path, id="My Task", kind="sorting", colour="red", definition="")
    with pytest.raises(TaskError) as caught:
        load_task(path)
    lines = str(caught.value).splitlines()
    assert len(lines) == 4
    for field in ("id", "kind", "colour", "definition"):
        assert any(line.startswith(f"task {path}: {field}: ") for line in lines)


@pytest.mark.parametrize(
    ("labels", "problem"),
    [
        ([], "at least two labels"),
        ([{"name": "a", "verbalizer": "x"}], "at least two labels"),
        (
            [{"name": "a", "verbalizer": "x"}, {"name": "a", "verbalizer": "y"}],
            "share the name or alias 'a'",
        ),
        (
            [{"name": "a", "verbalizer": "x", "aliases": ["b"]}, {"name": "b", "verbalizer": "y"}],
            "'a' and 'b' share the name or alias 'b'",
        ),
        ([{"name": "a", "verbalizer": "Yes"}, {"name": "b", "verbalizer": "yes"}], "verbalizer"),
        ([{"name": "a", "verbalizer": "yes."}, {"name": "b", "verbalizer": "yes"}], "verbalizer"),
        ([{"name": "a", "verbalizer": " "}, {"name": "b", "verbalizer": "y"}], "one line of text"),
        ([{"name": "a", "verbalizer": "."}, {"name": "b", "verbalizer": "y"}], "one line of text"),
        ([{"name": "a", "verbalizer": "x\ny"}, {"name": "b", "verbalizer": "y"}], "one line"),
        ([{"name": "a ", "verbalizer": "x"}, {"name": "b", "verbalizer": "y"}], "one line of text"),
    ],
)
def test_labels_that_answers_could_not_tell_apart_are_refused(
    tmp_path: Path, labels: list[object], problem: str
) -> None:
    with pytest.raises(TaskError, match=problem):
        load_task(as_yaml(tmp_path, labels=labels))


def many_labels(count: int) -> list[dict[str, object]]:
    return [
        {"name": f"class-{number}", "verbalizer": f"class {number}", "aliases": [str(number)]}
        for number in range(count)
    ]


def test_more_labels_than_a_teacher_can_score_are_refused(tmp_path: Path) -> None:
    path = as_yaml(tmp_path, labels=many_labels(3_000))
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert str(caught.value) == (
        f"task {path}: labels: there are 3,000; a task has at most 1,000: join rare ones, or "
        "divide the task"
    )


def test_labels_are_looked_over_once_however_many_they_and_the_rows_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task(as_yaml(tmp_path, labels=many_labels(MOST_LABELS)))
    asked: list[str] = []

    def counted(text: str) -> str:
        asked.append(text)
        return spelling(text)

    monkeypatch.setattr("daftt_core.tasks.task.spelling", counted)
    for number in range(MOST_LABELS):
        label = f"class-{number}"
        assert task.label_for(label) == task.label_for(f" {number} ") == label
        assert parse_answer(task, f"Class {number}.", Form()) == label
        assert task.verbalize(label) == f"class {number}"
    assert task.label_for("1000") is None
    assert parse_answer(task, "class", Form()) is None
    assert len(asked) < 10 * MOST_LABELS


def test_a_copy_with_other_labels_finds_those() -> None:
    assert PAIRS.label_for("0") == "entailment"
    other = Label(name="contradiction", verbalizer="No", aliases=("0",))
    task = PAIRS.model_copy(update={"labels": (other,)})
    assert task.label_for("0") == "contradiction"
    assert task.label_for("entailment") is None
    assert parse_answer(task, "no.", Form()) == "contradiction"
    assert task.verbalize("contradiction") == "No"
    assert PAIRS.label_for("0") == "entailment"
    assert PAIRS.model_copy() == PAIRS


def test_a_message_lists_some_of_many_labels(tmp_path: Path) -> None:
    example = {"input": "x", "output": "none of these at all"}
    path = as_yaml(tmp_path, labels=many_labels(500), positive_examples=[example])
    with pytest.raises(TaskError) as caught:
        load_task(path)
    assert "(allowed: class-0, 0, class-1, 1," in str(caught.value)
    assert str(caught.value).endswith("class-9, 9, ...)")


def test_a_text_task_has_no_labels() -> None:
    with pytest.raises(ValidationError, match="a text2text task has no labels"):
        Task.model_validate(REVIEWS.model_dump() | {"kind": "text2text"})


@pytest.mark.parametrize(
    ("content", "problem"), [(b"id: [", "is not YAML"), (b"id: \xff", "is not UTF-8")]
)
def test_a_broken_task_file_is_named(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "some.yaml"
    path.write_bytes(content)
    with pytest.raises(TaskError, match=rf"some\.yaml: .*{problem}"):
        load_task(str(path))


def test_a_missing_task_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TaskError, match=r"none\.yml: there is no such file"):
        load_task(str(tmp_path / "none.yml"))


def test_spellings_in_data_files_are_exact() -> None:
    assert [PAIRS.label_for(s) for s in ("entailment", "0", "1")] == [
        "entailment",
        "entailment",
        "not_entailment",
    ]
    assert [PAIRS.label_for(s) for s in ("yes", "Entailment", "", "2")] == [None] * 4


def test_prompts_of_a_task_share_their_prefix_and_end_open() -> None:
    prompts = [answer_prompt(REVIEWS, Example.of(text)) for text in ("Good.", "Bad\n film.")]
    assert len({prompt.prefix for prompt in prompts}) == 1
    assert prompts[0].prefix.startswith(f"Definition: {REVIEWS.definition}\n\nInput:")
    whole = prompts[1].prefix + prompts[1].body + prompts[1].suffix
    assert "Bad film." in whole
    assert whole.endswith("\nOutput:")
    assert prompts[0].answer is None


def test_a_known_output_is_the_answer_in_its_verbalizer() -> None:
    example = Example.of("It rains.", "It is wet.", output="entailment")
    prompt = answer_prompt(PAIRS, example)
    assert "It rains.\nIt is wet." in prompt.body
    assert prompt.answer == " yes"


def test_asking_for_an_input_states_the_label_and_shows_no_example() -> None:
    asked = writing_prompt(REVIEWS, None, "positive")
    learned = writing_prompt(REVIEWS, Example.of("Fun.", output="positive"))
    assert (asked.prefix, asked.body, asked.suffix) == (
        learned.prefix,
        learned.body,
        learned.suffix,
    )
    assert "positive" in asked.body
    assert asked.answer is None
    assert learned.answer == " Fun."
    assert writing_prompt(REWRITE, None).suffix == "\nOutput:"


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        (" positive", "positive"),
        ("Positive.", "positive"),
        ("\n NEGATIVE \n\nInput: more", "negative"),
        ("positively", None),
        ("not positive", None),
        ("positive negative", None),
        ("positive..", None),
        ("", None),
        (".", None),
        ("Output: positive", None),
    ],
)
def test_an_answer_states_a_label_whole_or_none(answer: str, label: str | None) -> None:
    assert parse_answer(REVIEWS, answer, Form()) == label


def test_a_text_answer_is_its_first_line() -> None:
    assert parse_answer(REWRITE, " One line.\nAnother.", Form()) == "One line."
    assert parse_answer(REWRITE, " \n ", Form()) is None


def test_a_text_answer_is_whole_where_the_tasks_own_texts_have_several_lines() -> None:
    examples = [Example.of("a", output="one line"), Example.of("b", output="two\nlines")]
    form = Forms.of(REWRITE, examples).outputs
    assert parse_answer(REWRITE, " One line.\nAnother.\n\n  - a third\n", form) == (
        "One line.\nAnother.\n\n  - a third"
    )
    assert parse_answer(REWRITE, " \n ", form) is None
    assert Forms.of(REWRITE, examples[:1]).outputs == Form()
    shown = REWRITE.model_copy(
        update={"positive_examples": (Solved(input="a", output="two\nlines"),)}
    )
    assert Forms.of(shown, examples[:1]).outputs.lines, "the prompts show such a text"


def test_labels_are_one_line_whatever_the_inputs_are() -> None:
    form = Forms.of(REVIEWS, [Example.of("two\nlines", output="positive")]).outputs
    assert form == Form()
    assert parse_answer(REVIEWS, "positive\nand more", form) == "positive"
    assert parse_answer(REVIEWS, "very\npositive", form) is None


def test_what_begins_a_prompts_next_example_ends_a_text_unless_the_tasks_own_hold_it() -> None:
    form = Form.of(["a\nb"])
    assert 1 <= len(form.stops) <= 4, "servers take four"
    assert "\n\nInput:" in form.stops
    assert not any(stop in "a\nb\n\nc" for stop in form.stops)
    own = Form.of(["a\n\nInput: b"])
    assert own.lines
    assert "\n\nInput:" not in own.stops
    assert "\n\nInput:" not in Form.of(["a\r\n\r\nInput: b"]).stops
    assert "\n\nDefinition:" in own.stops


def test_an_input_of_several_lines_is_written_as_it_is_and_read_back() -> None:
    poem = Example.of("Roses are red,\n  violets are blue.\n\nThe end.", output="positive")
    form = Forms.of(REVIEWS, [poem]).inputs
    written = writing_prompt(REVIEWS, poem)
    assert written.answer == f" {poem.text}"
    again = parse_input(REVIEWS, written.answer, form)
    assert again is not None
    assert again.text == poem.text
    asked = writing_prompt(REVIEWS, None, "positive", [poem])
    assert poem.text in str(asked), "a demonstration keeps its lines, too"
    assert "violets are blue. The end." in answer_prompt(REVIEWS, poem).body
    assert parse_input(REVIEWS, " two\nlines", Form()) is None


def test_a_pair_is_written_on_two_lines_whatever_its_texts_hold() -> None:
    pair = Example.of("It\nrains.", "It is wet.", output="entailment")
    form = Forms.of(PAIRS, [pair]).inputs
    assert form == Form()
    again = parse_input(PAIRS, writing_prompt(PAIRS, pair).answer or "", form)
    assert again is not None
    assert (again.text, again.text_pair) == ("It rains.", "It is wet.")
    assert again.id == pair.id


words = st.text(min_size=1, max_size=12)


@given(st.lists(words, min_size=2, max_size=5, unique=True), st.booleans(), words)
def test_every_allowed_verbalizer_is_understood_and_nothing_else(
    verbalizers: list[str], with_stop: bool, other: str
) -> None:
    try:
        labels = tuple(
            Label(name=f"label{number}", verbalizer=verbalizer)
            for number, verbalizer in enumerate(verbalizers)
        )
        task = Task.model_validate(PAIRS.model_dump() | {"labels": labels})
    except ValidationError:
        return
    for label in task.labels:
        stop = "." if with_stop and not label.verbalizer.endswith(".") else ""
        assert parse_answer(task, f" {label.verbalizer}{stop}\nInput:", Form()) == label.name
    said = parse_answer(task, other, Form())
    assert said is None or said in task.label_names


@given(st.text())
def test_whatever_is_answered_nothing_breaks(answer: str) -> None:
    assert parse_answer(REVIEWS, answer, Form()) in {None, "positive", "negative"}
    line = parse_answer(REWRITE, answer, Form())
    assert line is None or (line.strip() == line != "" and "\n" not in line)
