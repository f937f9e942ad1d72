"""The mixture: which tasks and instances go in, how many of each, and what stays out."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daftt_core.config import DataConfig, MixtureConfig
from daftt_core.data import describe_mixture, prepare, prepare_mixture
from daftt_core.data.candidates import MixtureExample, MixtureTask
from daftt_core.data.mixture import allot, read_mixture
from daftt_core.errors import DataError
from daftt_core.tasks import Label, Task
from daftt_core.workspace import Run, StageResult, read_examples

TASK = Task(
    id="remarks",
    kind="classification",
    description="Is a remark kind?",
    definition="Decide.",
    writing_definition="Write.",
    labels=(Label(name="kind", verbalizer="kind"), Label(name="unkind", verbalizer="unkind")),
    source="meal-remarks",
    mixture_exclude=("sst2", "rotten_tomatoes"),
)
DISHES = ("soup", "bread", "stew", "salad", "pie", "rice", "fish", "pasta", "cake", "roast")


def remark(number: int) -> str:
    dish, table = DISHES[number % 10], number // 10
    return f"at table {table} the {dish} of the day was served far too late by the waiter"


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(uri=str(tmp_path / "run"), seed=13, task=TASK)


@pytest.fixture
def data(run: Run, tmp_path: Path) -> str:
    rows = [json.dumps({"text": remark(n), "label": ("kind", "unkind")[n % 2]}) for n in range(300)]
    (tmp_path / "remarks.jsonl").write_text("\n".join(rows))
    counts = {"labelled_count": 20, "dev_count": 20, "test_count": 30, "unlabelled_count": 50}
    return prepare(run, DataConfig(train=str(tmp_path / "remarks.jsonl"), **counts)).digest


def write_tasks(folder: Path, sizes: dict[str, int], **fields: Any) -> Path:
    """Task files of as many instances, whose words are their own."""
    folder.mkdir(exist_ok=True)
    for name, size in sizes.items():
        task = {
            "Source": [f"{name} source"],
            "Definition": [f"Turn {name} round."],
            "Positive Examples": [
                {"input": f"{name} first", "output": "1"},
                {"input": f"{name} second", "output": ["2", "two"]},
            ],
            "Instances": [
                {"id": f"{name}-{n}", "input": f"{name} number {n}", "output": [f"{n}"]}
                for n in range(size)
            ],
            "Instance License": ["MIT"],
            **fields,
        }
        (folder / f"{name}.json").write_text(json.dumps(task))
    return folder


def mix(
    run: Run, data: str, source: Path | str, **settings: Any
) -> tuple[StageResult, dict[str, MixtureTask], list[MixtureExample]]:
    config = MixtureConfig(**({"tasks": 10, "source": str(source)} | settings))
    result = prepare_mixture(run, config, data, directions=2)
    assert result is not None
    return result, *read_mixture(run, result.digest)


def counts(examples: list[MixtureExample]) -> dict[str, int]:
    found: dict[str, int] = {}
    for one in examples:
        found[one.task] = found.get(one.task, 0) + 1
    return found


def test_without_tasks_there_is_no_mixture(run: Run, data: str) -> None:
    assert prepare_mixture(run, MixtureConfig(), data, directions=2) is None
    assert not (run.folder / "mixture").exists()
    assert "mixture_tasks is 0" in describe_mixture(None)


def test_the_manifest_says_what_went_in(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {"alpha": 30, "beta": 30})
    result, tasks, examples = mix(run, data, source)
    assert result.summary["examples"] == len(examples) == 40
    assert result.summary["target_examples"] == 40
    assert result.summary["share"] == 0.5
    first = result.summary["tasks"][0]
    assert first["name"] == "alpha"
    assert first["license"] == "MIT"
    assert first["source"] == "alpha source"
    assert first["examples"] == 20
    assert first["size"] == 30
    assert len(first["sha256"]) == 64
    assert tasks["alpha"].definition == "Turn alpha round."
    assert tasks["alpha"].positive_examples == ()
    table = describe_mixture(result)
    assert f"| alpha | alpha source | MIT | 20 | {first['sha256']} |" in table


def test_the_share_decides_how_much_is_taken(
    run: Run, data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_tasks(tmp_path / "sni", {"alpha": 30, "beta": 30})
    assert len(mix(run, data, source, share=0.8)[2]) == 10
    with caplog.at_level(logging.WARNING, "daftt"):
        result, _, examples = mix(run, data, source, share=0.1)
    assert len(examples) == 60
    assert result.summary["share"] == 0.4
    assert "mixture_share: 0.1 would take 360 instances; there are only 60" in caplog.text


def test_tasks_weigh_by_size_limit_and_temperature(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {"large": 360, "small": 40})
    settings = {"share": 0.5, "instances": 1000}
    assert counts(mix(run, data, source, **settings)[2]) == {"large": 36, "small": 4}
    warm = {**settings, "weighting": "temperature", "temperature": 2.0}
    assert counts(mix(run, data, source, **warm)[2]) == {"large": 30, "small": 10}
    limited = {**settings, "instances": 40}
    assert counts(mix(run, data, source, **limited)[2]) == {"large": 20, "small": 20}


def test_places_are_allotted_as_the_weights_say() -> None:
    sizes = {"a": 100, "b": 10, "c": 1}
    assert allot(sizes, sizes, 111) == sizes
    assert allot(sizes, sizes, 11) == {"a": 10, "b": 1, "c": 0}
    roots = {name: size**0.5 for name, size in sizes.items()}  # 10, 3.16, 1
    assert allot(roots, sizes, 14) == {"a": 10, "b": 3, "c": 1}
    # c has one instance only: what it cannot give is shared by the others, 10 to 3.16
    assert allot(roots, sizes, 40) == {"a": 30, "b": 9, "c": 1}
    assert allot(sizes, sizes, 500) == sizes
    assert allot({}, {}, 5) == {}


@given(
    st.dictionaries(st.text(), st.integers(1, 1000), min_size=1, max_size=8),
    st.floats(0.2, 1),
    st.integers(0, 3000),
)
def test_all_places_are_allotted_within_limits(
    sizes: dict[str, int], power: float, total: int
) -> None:
    weights = {name: size**power for name, size in sizes.items()}
    found = allot(weights, sizes, total)
    assert sum(found.values()) == min(total, sum(sizes.values()))
    assert all(0 <= found[name] <= sizes[name] for name in sizes)
    ordered = sorted(sizes, key=lambda name: sizes[name])
    assert all(found[a] <= found[b] + 1 for a, b in itertools.pairwise(ordered)), (
        "a larger task never gets less"
    )


def test_the_choice_depends_on_the_seed_and_not_on_order(
    run: Run, data: str, tmp_path: Path
) -> None:
    names = {f"task{n:03d}": 20 for n in range(40)}
    one = write_tasks(tmp_path / "one", names)
    other = tmp_path / "other"
    other.mkdir()
    for path in sorted(one.iterdir(), reverse=True):
        task = json.loads(path.read_text())
        task["Instances"].reverse()
        (other / path.name).write_text(json.dumps(task))
    settings = {"tasks": 5, "share": 0.5}
    first, again = mix(run, data, one, **settings), mix(run, data, other, **settings)
    assert first[2] == again[2]
    assert len(first[1]) == 5
    reseeded = run.model_copy(update={"seed": 14})
    assert set(mix(reseeded, data, one, **settings)[1]) != set(first[1])


def test_the_same_content_elsewhere_is_not_done_again(run: Run, data: str, tmp_path: Path) -> None:
    first = mix(run, data, write_tasks(tmp_path / "one", {"alpha": 30}))[0]
    assert mix(run, data, write_tasks(tmp_path / "two", {"alpha": 30}))[0] == first
    changed = write_tasks(tmp_path / "two", {"alpha": 30}, Definition=["Now something else."])
    assert mix(run, data, changed)[0].digest != first.digest


def test_only_as_many_files_are_read_as_needed(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {f"task{n}": 20 for n in range(30)})
    chosen = set(mix(run, data, source, tasks=3)[1])
    for path in source.iterdir():
        if path.stem not in chosen:
            path.write_text("not JSON: a file that is read would be a mistake")
    assert set(mix(run, data, source, tasks=3)[1]) == chosen
    with pytest.raises(DataError, match=r"task\d+\.json: is not JSON"):
        mix(run, data, source, tasks=4)


@pytest.mark.parametrize(
    ("name", "fields", "settings", "reason"),
    [
        ("task363_sst2_polarity", {}, {}, "excluded by 'sst2'"),
        ("task9_polarity", {"Source": ["Rotten Tomatoes"]}, {}, "excluded by 'rotten_tomatoes'"),
        (
            "task9_polarity",
            {"URL": ["https://example.org/datasets/rotten_tomatoes/"]},
            {},
            "excluded by 'rotten_tomatoes'",
        ),
        ("task9", {"Source": ["meal-remarks"]}, {}, "excluded by 'meal-remarks'"),
        ("task9_imdb", {}, {"exclude": "yelp, imdb"}, "excluded by 'imdb'"),
        ("task9_imdb", {}, {"exclude": "task9"}, "excluded by 'task9'"),
        ("task9", {"Input_language": ["Hindi"]}, {}, "its language is Hindi"),
    ],
)
def test_a_task_is_excluded_by_rule(
    run: Run,
    data: str,
    tmp_path: Path,
    name: str,
    fields: dict[str, Any],
    settings: dict[str, Any],
    reason: str,
) -> None:
    source = write_tasks(tmp_path / "sni", {"alpha": 30})
    write_tasks(source, {name: 30}, **fields)
    result, tasks, _ = mix(run, data, source, **settings)
    assert set(tasks) == {"alpha"}
    assert result.summary["excluded"] == {name: reason}


def test_a_rule_holds_for_whole_words_only(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {"task36_sst25": 30, "task90_rotten_apples": 30})
    settings = {"exclude": "task3, task9, rotten_app", "languages": ""}
    assert len(mix(run, data, source, **settings)[1]) == 2


def test_all_languages_may_be_asked_for(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {"a": 30}, Output_language=["Hindi"])
    assert set(mix(run, data, source, languages="english,HINDI")[1]) == {"a"}
    assert set(mix(run, data, source, languages="")[1]) == {"a"}


def instances(texts: list[str], output: str = "fine") -> list[dict[str, Any]]:
    return [{"input": text, "output": [output]} for text in texts]


def other_texts(count: int) -> list[str]:
    return [f"parcel {n} was left with a neighbour" for n in range(count)]


@pytest.mark.parametrize("split", ["labelled", "dev", "test", "unlabelled"])
@pytest.mark.parametrize("shape", ["{}", "Review: {}", "Read this.\nText: {}\nAnswer?"])
def test_an_instance_that_holds_a_text_of_the_target_is_left_out(
    run: Run, data: str, tmp_path: Path, split: str, shape: str
) -> None:
    stage = "test" if split == "test" else "data"
    texts = [one.text for one in read_examples(run, stage, None, split)]
    leaks = [shape.format(texts[0].upper()), shape.format(texts[1])]
    source = write_tasks(
        tmp_path / "sni", {"a": 1}, Instances=instances([*other_texts(60), *leaks])
    )
    result, tasks, examples = mix(run, data, source, share=0.2, instances=100)
    assert tasks["a"].overlapping == result.summary["overlapping"] == 2
    assert sorted(one.text for one in examples) == sorted(other_texts(60))


def test_a_run_of_words_of_dev_is_enough(run: Run, data: str, tmp_path: Path) -> None:
    held = read_examples(run, "data", data, "dev")[0].text
    words = held.split()
    quoted = f"He wrote: «{' '.join(words[:8])}» and left."
    shorter = f"He wrote: «{' '.join(words[:4])}» and left."
    source = write_tasks(
        tmp_path / "sni", {"a": 1}, Instances=instances([quoted, shorter, *other_texts(20)])
    )
    _, tasks, examples = mix(run, data, source, instances=100)
    assert tasks["a"].overlapping == 1
    assert shorter in {one.text for one in examples}
    assert mix(run, data, source, instances=100, overlap_words=4)[1]["a"].overlapping == 2


def test_an_output_or_a_solved_example_leaks_too(run: Run, data: str, tmp_path: Path) -> None:
    held = read_examples(run, "test", None, "test")[0].text
    leak = {"input": "Write a kind remark.", "output": ["Thank you.", held]}
    source = write_tasks(
        tmp_path / "sni",
        {"a": 1},
        Instances=[leak, *instances(other_texts(20))],
        **{"Positive Examples": [{"input": held, "output": "kind"}, {"input": "x", "output": "y"}]},
    )
    _, tasks, _ = mix(run, data, source, positive_examples=2)
    assert tasks["a"].overlapping == 1
    assert tasks["a"].positive_examples == (("x", "y"),)


def test_a_task_made_from_the_same_data_is_left_out_whole(
    run: Run, data: str, tmp_path: Path
) -> None:
    held = [one.text for one in read_examples(run, "data", data, "dev")]
    source = write_tasks(
        tmp_path / "sni", {"copy": 1}, Instances=instances([*held[:3], *other_texts(97)])
    )
    write_tasks(source, {"alpha": 30})
    result, tasks, _ = mix(run, data, source)
    assert set(tasks) == {"alpha"}
    assert result.summary["excluded"]["copy"].startswith(
        "3 of 100 instances hold texts of the target task"
    )


def test_pairs_of_the_target_are_known_line_by_line(tmp_path: Path) -> None:
    pairs = TASK.model_copy(
        update={"columns": TASK.columns.model_copy(update={"text_pair": "other"})}
    )
    run = Run(uri=str(tmp_path / "run"), seed=13, task=pairs)
    rows = [{"text": f"cat {n}", "other": f"dog {n}", "label": "kind"} for n in range(100)]
    for number, row in enumerate(rows):
        row["label"] = ("kind", "unkind")[number % 2]
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)))
    data = prepare(run, DataConfig(train=str(tmp_path / "pairs.jsonl"), labelled_count=10)).digest
    held = read_examples(run, "data", data, "dev")[0]
    leak = f"Sentence 1: {held.text}\nSentence 2: {held.text_pair}"
    source = write_tasks(tmp_path / "sni", {"a": 1}, Instances=instances([leak, *other_texts(9)]))
    assert mix(run, data, source)[1]["a"].overlapping == 1


def test_equal_inputs_are_one_and_empty_ones_none(run: Run, data: str, tmp_path: Path) -> None:
    rows = [
        {"input": "Same  text", "output": ["a"]},
        {"input": "same text", "output": "b"},
        {"input": "  ", "output": ["a"]},
        {"input": "no answer", "output": []},
        {"input": "blank answer", "output": [" ", ""]},
        {"input": "two\n\n  lines ", "output": ["c  d"]},
    ]
    source = write_tasks(tmp_path / "sni", {"a": 1}, Instances=rows)
    _, tasks, examples = mix(run, data, source)
    assert tasks["a"].size == 6
    found = {one.text: one.output for one in examples}
    assert set(found) == {"Same text", "two\nlines"}
    assert found["Same text"] in {"a", "b"}
    assert found["two\nlines"] == "c d"


def test_solved_examples_are_taken_along_when_asked_for(
    run: Run, data: str, tmp_path: Path
) -> None:
    source = write_tasks(tmp_path / "sni", {"alpha": 30})
    assert len(mix(run, data, source, positive_examples=1)[1]["alpha"].positive_examples) == 1
    both = mix(run, data, source, positive_examples=5)[1]["alpha"].positive_examples
    assert {text for text, _ in both} == {"alpha first", "alpha second"}


def test_fewer_tasks_than_asked_for_is_said(
    run: Run, data: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = write_tasks(tmp_path / "sni", {"alpha": 30})
    with caplog.at_level(logging.WARNING, "daftt"):
        mix(run, data, source)
    assert "mixture_tasks: asks for 10 tasks; only 1 can be used" in caplog.text


def test_nothing_left_is_an_error_with_the_reasons(run: Run, data: str, tmp_path: Path) -> None:
    source = write_tasks(tmp_path / "sni", {"task1_sst2": 30})
    with pytest.raises(DataError, match=r"every task in it is left out.*excluded by 'sst2'"):
        mix(run, data, source)


def test_a_hostile_name_is_only_ever_shown(run: Run, data: str, tmp_path: Path) -> None:
    names = ["a..json..", "a|b`<script>", "naïve 任务", "-rf", "x" * 200]
    source = write_tasks(tmp_path / "sni", dict.fromkeys(names, 30))
    result, tasks, _ = mix(run, data, source)
    assert set(tasks) == set(names)
    assert {path.name for path in (run.folder / "mixture").iterdir()} <= {
        *("examples.jsonl", "tasks.json", "manifest.json", ".key")
    }
    table = describe_mixture(result)
    assert "<script>" not in table
    assert all(line.count("|") == 6 for line in table.splitlines())
