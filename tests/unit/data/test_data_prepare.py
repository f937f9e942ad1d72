"""The data stage: what it commits, what it keeps apart, and what it refuses."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import logging
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_run import toy_config

from daftt_core.config import DataConfig
from daftt_core.data import prepare
from daftt_core.data.checks import check_each_label
from daftt_core.data.rows import Row
from daftt_core.data.sources import read_movie_reviews, read_past_tenses, read_word_classes
from daftt_core.errors import DataError, StorageError
from daftt_core.preflight import preflight, resolve
from daftt_core.records import TRAITS, Example, Traits
from daftt_core.records.fingerprints import Heldout
from daftt_core.storage.assets import fetch
from daftt_core.tasks import Label, Task, load_task
from daftt_core.workspace import Run, StageResult, read_examples, read_stage

SENTIMENT = Task(
    id="sentiment",
    kind="classification",
    description="Sentiment.",
    definition="Decide.",
    writing_definition="Write.",
    labels=(
        Label(name="negative", verbalizer="negative", aliases=("0",)),
        Label(name="positive", verbalizer="positive", aliases=("1",)),
    ),
)
REWRITE = Task(
    id="rewrite",
    kind="text2text",
    description="Rewrite.",
    definition="Rewrite.",
    writing_definition="Write.",
)
Pair = tuple[str, str | None]


def pairs(count: int, start: int = 0, topic: str = "film") -> list[Pair]:
    return [
        (f"{topic} number {n} is worth seeing", ["negative", "positive"][n % 2])
        for n in range(start, start + count)
    ]


def write(path: Path, rows: list[Pair]) -> str:
    lines = [json.dumps({"text": text, "label": label}) for text, label in rows]
    path.write_text("\n".join(lines) + "\n")
    return str(path)


def run_in(folder: Path, task: Task = SENTIMENT, seed: int = 13) -> Run:
    return Run(uri=str(folder / "run"), seed=seed, task=task)


def read_all(run: Run, result: StageResult) -> dict[str, list[Example]]:
    names = ["labelled", "dev", "unlabelled"]
    splits = {name: read_examples(run, "data", result.digest, name) for name in names}
    splits["test"] = read_examples(run, "test", result.summary["test_digest"], "test")
    return splits


def small(**changes: Any) -> DataConfig:
    counts = {"labelled_count": 20, "dev_count": 15, "test_count": 30, "unlabelled_count": 50}
    return DataConfig(**(counts | changes))


def test_one_file_is_split_into_everything(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    result = prepare(run, small(train=write(tmp_path / "a.jsonl", pairs(300))))
    splits = read_all(run, result)
    assert {name: len(rows) for name, rows in splits.items()} == {
        "labelled": 20,
        "dev": 15,
        "unlabelled": 50,
        "test": 30,
    }
    assert result.summary["sizes"] == {name: len(rows) for name, rows in splits.items()}
    seen = [row.id for rows in splits.values() for row in rows]
    assert len(set(seen)) == len(seen)
    truth = {Example.of(text).id: label for text, label in pairs(300)}
    for name in ("labelled", "dev", "test"):
        assert all(row.output == truth[row.id] for row in splits[name])
        assert result.summary["labels"][name] == Counter(row.output for row in splits[name])
    assert all(row.output is None for row in splits["unlabelled"])
    gold = read_examples(run, "data", result.digest, "gold")
    assert [row.id for row in gold] == [row.id for row in splits["unlabelled"]]
    assert all(row.output == truth[row.id] for row in gold)


def test_another_draw_has_other_labels_and_the_same_dev_and_test(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", pairs(300))
    draws = []
    for draw in (0, 1, 2, 1):
        run = run_in(tmp_path / str(len(draws)))
        draws.append(read_all(run, prepare(run, small(train=train, draw=draw))))
    first, second, third, again = draws
    for other in (second, third):
        assert [other[name] for name in ("dev", "test")] == [first["dev"], first["test"]]
    taken = [{row.id for row in splits["labelled"]} for splits in (first, second, third)]
    assert all(len(a & b) < 10 for a, b in itertools.combinations(taken, 2))
    labels = [Counter(row.output for row in splits["labelled"]) for splits in draws]
    assert labels[0] == labels[1] == labels[2], "each label in proportion, as ever"
    assert again == second


def test_test_lies_in_a_stage_of_its_own(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    result = prepare(run, small(train=write(tmp_path / "a.jsonl", pairs(300))))
    files = {path.name for path in (run.folder / "data").glob("[!.]*")}
    assert files == {
        "labelled.jsonl",
        "dev.jsonl",
        "unlabelled.jsonl",
        "gold.jsonl",
        "heldout.json",
        "manifest.json",
    }
    everything = b"".join(path.read_bytes() for path in (run.folder / "data").glob("[!.]*"))
    for example in read_all(run, result)["test"]:
        assert example.text.encode() not in everything


def test_dev_and_test_can_be_recognized(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    # no two of these are near copies: of ten words three differ
    rows = [
        (f"film {n} and play {n} and song {n} are fine", label)
        for n, (_, label) in enumerate(pairs(300))
    ]
    result = prepare(run, small(train=write(tmp_path / "a.jsonl", rows)))
    folder, _ = read_stage(run, "data", result.digest)
    heldout = Heldout.load(folder / "heldout.json", words=6)
    splits = read_all(run, result)
    for name, held in [("dev", True), ("test", True), ("labelled", False), ("unlabelled", False)]:
        assert {heldout.collides(row.text) is not None for row in splits[name]} == {held}


def test_given_files_are_used_whole_and_no_region_is_kept_for_them(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = small(
        train=write(tmp_path / "train.jsonl", pairs(40)),
        dev=write(tmp_path / "dev.jsonl", pairs(10, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(80, topic="song")),
        unlabelled=write(tmp_path / "more.jsonl", [(text, None) for text, _ in pairs(60, 100)]),
    )
    result = prepare(run, config)
    splits = read_all(run, result)
    assert {row.text for row in splits["dev"]} == {text for text, _ in pairs(10, topic="play")}
    assert len(splits["test"]) == 30
    assert all(row.text.startswith("song") for row in splits["test"])
    assert len(splits["labelled"]) == 20
    everything = small(train=config.train, dev=config.dev, test=config.test, labelled_fraction=1.0)
    assert prepare(run, everything).summary["sizes"]["labelled"] == 40
    assert not (run.folder / "data" / "gold.jsonl").read_text()


def test_the_truth_of_a_given_unlabelled_file_is_not_known(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = small(
        train=write(tmp_path / "train.jsonl", pairs(200)),
        unlabelled=write(tmp_path / "more.jsonl", pairs(60, 1000)),
    )
    result = prepare(run, config)
    assert not (run.folder / "data" / "gold.jsonl").exists()
    assert all(row.output is None for row in read_all(run, result)["unlabelled"])


def test_unlabelled_rows_that_are_used_elsewhere_are_removed_and_counted(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    train, dev = pairs(200), pairs(10, topic="play")
    config = small(
        train=write(tmp_path / "train.jsonl", train),
        dev=write(tmp_path / "dev.jsonl", dev),
        unlabelled=write(tmp_path / "more.jsonl", [*train, *dev, *pairs(9, 500), train[0]]),
        unlabelled_count=1000,
    )
    result = prepare(run, config)
    assert result.summary["dropped"]["unlabelled"] == {
        "duplicate": 1,
        "also in labelled": 20,
        "also in dev": 10,
        "also in test": 30,
        # what labelled_count leaves over of train is in the pool already
        "also in train": 139,
        # the test region's rows that test_count leaves out are not for learning either
        "set aside for test": 12,
    }
    assert result.summary["sizes"]["unlabelled"] == 200 - 20 - 30 + 9 - 12


def test_duplicates_and_contradictions_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = [*pairs(200), ("FILM number 4  is worth seeing", "negative"), ("Odd.", "positive")]
    rows.append(("odd.", "negative"))
    result = prepare(run_in(tmp_path), small(train=write(tmp_path / "a.jsonl", rows)))
    dropped = result.summary["dropped"]["train"]
    assert dropped["contradicting labels"] == 2
    assert dropped["duplicate"] == 1


def test_the_paper_fraction_of_rte(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = DataConfig(
        train=write(tmp_path / "train.jsonl", pairs(2490)),
        dev=write(tmp_path / "dev.jsonl", pairs(20, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(20, topic="song")),
        labelled_fraction=0.05,
    )
    assert prepare(run, config).summary["sizes"]["labelled"] == 125


def test_texts_as_outputs_have_no_strata(tmp_path: Path) -> None:
    run = run_in(tmp_path, REWRITE)
    rows: list[Pair] = [(f"text {n}", f"other text {n}") for n in range(200)]
    result = prepare(run, small(train=write(tmp_path / "a.jsonl", rows)))
    splits = read_all(run, result)
    assert len(splits["labelled"]) == 20
    assert all(row.output == f"other {row.text}" for row in splits["labelled"])
    assert result.summary["labels"] == {"labelled": {}, "dev": {}, "test": {}}


def test_all_are_used_where_fewer_are_there_than_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = small(
        train=write(tmp_path / "train.jsonl", pairs(12)),
        dev=write(tmp_path / "dev.jsonl", pairs(10, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(10, topic="song")),
    )
    with caplog.at_level(logging.WARNING, "daftt"):
        result = prepare(run_in(tmp_path), config)
    assert result.summary["sizes"]["labelled"] == 12
    assert "asks for 20 labelled examples; there are only 12, and all are used" in caplog.text


def test_the_stage_is_done_again_only_when_content_or_settings_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_in(tmp_path)
    config = small(train=write(tmp_path / "a.jsonl", pairs(300)))
    first = prepare(run, config)
    (tmp_path / "a.jsonl").rename(tmp_path / "b.jsonl")
    moved = config.model_copy(update={"train": str(tmp_path / "b.jsonl")})
    with caplog.at_level(logging.INFO, "daftt"):
        assert prepare(run, moved) == first
    assert [record.message for record in caplog.records] == [
        "test: already done",
        "data: already done",
    ]
    write(tmp_path / "b.jsonl", pairs(301))
    second = prepare(run, moved)
    assert second.digest != first.digest
    assert prepare(run, moved.model_copy(update={"dev_count": 5})).digest != second.digest
    with pytest.raises(StorageError, match="was rebuilt"):
        read_examples(run, "data", first.digest, "dev")


def test_the_summary_says_where_the_data_came_from(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", pairs(300))
    result = prepare(run_in(tmp_path), small(train=path))
    assert result.summary["source"] == "files"
    assert result.summary["license"] is None
    sha256 = hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert result.summary["sha256"] == {"train": sha256}


@given(
    st.sets(st.integers(0, 5000), min_size=150, max_size=250),
    st.sets(st.integers(0, 5000), max_size=100),
    st.integers(0, 100),
)
@settings(max_examples=10)
def test_rows_that_are_added_move_nothing_between_train_dev_and_test(
    tmp_path_factory: pytest.TempPathFactory, numbers: set[int], added: set[int], seed: int
) -> None:
    parts = []
    for some in (numbers, numbers | added):
        folder = tmp_path_factory.mktemp("growing")
        run = run_in(folder, seed=seed)
        rows = [pair for n in sorted(some) for pair in pairs(1, n)]
        config = small(train=write(folder / "a.jsonl", rows))
        splits = read_all(run, prepare(run, config))
        parts.append({name: {row.id for row in rows} for name, rows in splits.items()})
    before, after = parts
    for name in ("dev", "test"):
        for other in set(after) - {name}:
            assert not before[name] & after[other]


@pytest.mark.parametrize(
    ("rows", "changes", "problem"),
    [
        (
            [(f"film {n}", "positive") for n in range(60)],
            {},
            "data_train: has only one class: all 60 examples have the label 'positive'; "
            "at least two of 'negative', 'positive' are needed",
        ),
        (
            pairs(60),
            {"labelled_count": 1},
            "data_labelled_count: makes 1 labelled examples of 60; at least 2 are needed, "
            "one for each label",
        ),
        (
            pairs(60),
            {"labelled_fraction": 0.01},
            "data_labelled_fraction: makes 1 labelled examples of 60; at least 2 are needed, "
            "one for each label",
        ),
    ],
)
def test_too_little_to_learn_from_is_told(
    tmp_path: Path, rows: list[Pair], changes: dict[str, Any], problem: str
) -> None:
    config = small(
        train=write(tmp_path / "train.jsonl", rows),
        dev=write(tmp_path / "dev.jsonl", pairs(10, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(10, topic="song")),
        **changes,
    )
    with pytest.raises(DataError) as caught:
        prepare(run_in(tmp_path), config)
    assert str(caught.value) == problem
    assert not list((tmp_path / "run").glob("*/manifest.json")), "nothing is half made"


def test_of_many_labels_without_an_example_some_are_told(tmp_path: Path) -> None:
    names = [f"label {number:03}" for number in range(900)]
    labels = (*SENTIMENT.labels, *(Label(name=name, verbalizer=name) for name in names))
    task = SENTIMENT.model_copy(update={"labels": labels})
    train = write(tmp_path / "a.jsonl", pairs(2_000))
    with pytest.raises(DataError, match=r"has the label 'label 000', .*'label 019', \.\.\.; add"):
        prepare(run_in(tmp_path, task), small(train=train, labelled_count=1_000))


def test_a_label_without_an_example_is_told(tmp_path: Path) -> None:
    labels = (*SENTIMENT.labels, Label(name="mixed", verbalizer="mixed"))
    task = SENTIMENT.model_copy(update={"labels": labels})
    with pytest.raises(DataError, match="no example to learn from has the label 'mixed'"):
        prepare(run_in(tmp_path, task), small(train=write(tmp_path / "a.jsonl", pairs(200))))


def test_a_rare_label_has_its_example(tmp_path: Path) -> None:
    labels = (*SENTIMENT.labels, Label(name="mixed", verbalizer="mixed"))
    task = SENTIMENT.model_copy(update={"labels": labels})
    rows: list[Pair] = [*pairs(1000), *[(f"well {n}", "mixed") for n in range(8)]]
    result = prepare(run_in(tmp_path, task), small(train=write(tmp_path / "a.jsonl", rows)))
    assert result.summary["labels"]["labelled"]["mixed"] == 1
    assert sum(result.summary["labels"]["labelled"].values()) == 20


def test_a_test_split_that_cannot_tell_good_from_bad_is_refused(tmp_path: Path) -> None:
    only: list[Pair] = [(f"song {n}", "positive") for n in range(10)]
    config = small(
        train=write(tmp_path / "train.jsonl", pairs(200)),
        test=write(tmp_path / "test.jsonl", only),
    )
    with pytest.raises(DataError, match=r"^data_test: has only one class"):
        prepare(run_in(tmp_path), config)


def test_too_few_rows_for_a_split_is_told(tmp_path: Path) -> None:
    config = small(
        train=write(tmp_path / "train.jsonl", pairs(40)),
        test=write(tmp_path / "test.jsonl", pairs(10, topic="song")),
        dev_share=0.0001,
    )
    with pytest.raises(DataError, match=r"^data_dev_share: no example falls into dev; raise it"):
        prepare(run_in(tmp_path), config)


def test_inputs_in_two_given_files_are_told_with_both_places(tmp_path: Path) -> None:
    long = "A sentence that is far too long to be shown as a whole in a message about it."
    train = write(tmp_path / "train.jsonl", [*pairs(50), (long, "positive")])
    dev = write(tmp_path / "dev.jsonl", [*pairs(10, topic="play"), (long.upper(), "positive")])
    test = write(tmp_path / "test.jsonl", [*pairs(10, topic="song"), *pairs(3, 7)])
    with pytest.raises(DataError) as caught:
        prepare(run_in(tmp_path), small(train=train, dev=dev, test=test))
    assert str(caught.value).splitlines() == [
        f"data_train and data_dev: inputs in both: 1; the first one is {long[:57] + '...'!r} "
        f"({train}, line 51; {dev}, line 11); remove them from one of the two",
        "data_train and data_test: inputs in both: 3; the first one is 'film number 7 is worth "
        f"seeing' ({train}, line 8; {test}, line 11); remove them from one of the two",
    ]


def test_a_missing_file_is_told_with_its_parameter(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^data_train: none\.csv: there is no such file$"):
        prepare(run_in(tmp_path), small(train="none.csv"))
    with pytest.raises(DataError, match=r"^data_dev: .*: holds no data file \(\.csv, "):
        prepare(run_in(tmp_path), small(dev=str(tmp_path)))


def test_a_task_without_data_asks_for_a_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data_train: the task 'sentiment' has no data of its"):
        prepare(run_in(tmp_path), small())
    task = SENTIMENT.model_copy(update={"source": "movie-review"})
    with pytest.raises(DataError, match="no data set 'movie-review'; did you mean 'movie-reviews'"):
        prepare(run_in(tmp_path, task), small())


def test_movie_reviews_are_labelled_by_clear_ratings_only(tmp_path: Path) -> None:
    rows = [
        ("0.8", "Just good."),
        ("-0.8", "Just bad."),
        ("0.79", "Rather good."),
        ("-0.79", "Rather bad."),
        ("3.5", "Great\u2014clich\u00e9s and all."),
        ("3.1", "just GOOD."),
        ("2.0", "Both."),
        ("-2.0", "Both."),
    ]
    path = tmp_path / "reviews.txt"
    path.write_bytes("".join(f"{n}\t{r}\t{t}\r\n" for n, (r, t) in enumerate(rows)).encode())
    source = read_movie_reviews(path, load_task("movie-reviews"))
    assert {(row.example.text, row.example.output) for row in source.rows} == {
        ("Just good.", "positive"),
        ("Just bad.", "negative"),
        ("Great\u2014clich\u00e9s and all.", "positive"),
    }
    assert source.dropped == {
        "rating between -0.8 and 0.8": 2,
        "contradicting labels": 2,
        "duplicate": 1,
    }


def test_movie_reviews_need_labels_of_that_name(tmp_path: Path) -> None:
    labels = (Label(name="good", verbalizer="good"), Label(name="bad", verbalizer="bad"))
    task = load_task("movie-reviews").model_copy(update={"labels": labels})
    with pytest.raises(DataError, match="has the labels 'positive' and 'negative'"):
        read_movie_reviews(tmp_path / "reviews.txt", task)


def test_past_tenses_are_those_of_plain_verbs_with_one_of_them(tmp_path: Path) -> None:
    lines = [
        "go,verb,went,gone,going,goes",
        "stop,verb,stopped,stopped,stopping,stops",  # shown in the prompts
        "learn,verb,learned/learnt,learned/learnt,learning,learns",
        "air-lift,verb,air-lifted,air-lifted,air-lifting,air-lifts",
        "Google,verb,Googled,Googled,Googling,Googles",
        "beware,verb,,,,",
        "house,noun,houses",
        "fly,verb,flew,flown,flying,flies",
    ]
    path = tmp_path / "infl_lu.csv.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    source = read_past_tenses(path, load_task("past-tense"))
    assert [(row.example.text, row.example.output, row.line) for row in source.rows] == [
        ("go", "went", 1),
        ("fly", "flew", 8),
    ]
    assert source.dropped == {
        "several past tenses": 1,
        "not a plain word": 3,
        "shown in the prompts": 1,
    }


def test_word_classes_are_all_the_lines_of_a_word(tmp_path: Path) -> None:
    lines = [
        "lock,noun,locks",
        "Aachen,noun,Aachen",
        "lock,verb,locked,,locking,locks",
        "seldom,adv,,",
        "happy,adj,happier,happiest",  # the task's prompts show it
    ]
    path = tmp_path / "infl_lu.csv.gz"
    path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode()))
    source = read_word_classes(path, load_task("word-classes"))
    assert [(row.example.text, row.example.output, row.line) for row in source.rows] == [
        ("lock", "noun; verb", 1),
        ("seldom", "adverb", 4),
    ]
    assert source.dropped == {"not a plain word": 1, "shown in the prompts": 1}
    with pytest.raises(DataError, match="the task must be multilabel and have all of them"):
        read_word_classes(path, load_task("past-tense"))


def test_a_label_that_is_not_among_those_to_learn_from_is_named(tmp_path: Path) -> None:
    task = load_task("word-classes")
    rows = [Row(Example.of("so", output="noun; verb"), "words.csv", 1)]
    with pytest.raises(DataError, match="none of the 1 examples to learn from has the label 'adj"):
        check_each_label(task, rows, "data_labelled_count")
    check_each_label(load_task("past-tense"), rows, "data_labelled_count")


@pytest.mark.network
@pytest.mark.slow
def test_the_published_verbs_are_read() -> None:
    source = read_past_tenses(fetch("english-inflections"), load_task("past-tense"))
    pasts = {row.example.text: row.example.output for row in source.rows}
    assert len(pasts) == len(source.rows) == 6238
    known = {"go": "went", "forgive": "forgave", "picnic": "picnicked", "halve": "halved"}
    assert known.items() <= pasts.items()
    assert source.dropped == {
        "several past tenses": 263,
        "not a plain word": 244,
        "shown in the prompts": 3,
    }


@pytest.mark.network
@pytest.mark.slow
def test_the_built_in_task_has_what_the_demo_needs(tmp_path: Path) -> None:
    run = run_in(tmp_path, load_task("movie-reviews"))
    result = prepare(run, DataConfig())
    assert result.summary["sizes"] == {
        "labelled": 64,
        "dev": 200,
        "test": 1000,
        "unlabelled": 1500,
    }
    assert result.summary["labels"]["labelled"] == {"negative": 32, "positive": 32}
    assert result.summary["dropped"]["train"] == {
        "rating between -0.8 and 0.8": 993,
        "duplicate": 2,
        "beyond dev_count": 780,
        "beyond test_count": 840,
        "beyond labelled_count and unlabelled_count": 5226,
    }


def regions(path: Path, count: int) -> str:
    rows = [
        {"text": text, "label": label, "region": ["north", 7, None, "a\n b" + 99 * "c"][n % 4]}
        for n, (text, label) in enumerate(pairs(count))
    ]
    path.write_text("\n".join(map(json.dumps, rows)) + "\n")
    return str(path)


def test_lengths_and_a_users_column_are_kept_beside_the_test_examples(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    plain = prepare(run, small(train=regions(tmp_path / "a.jsonl", 300)))
    sliced = prepare(run, small(train=str(tmp_path / "a.jsonl"), slice_column="region"))
    # what was learned from the data can stay; what was predicted for the test is made anew
    assert sliced.digest == plain.digest
    assert sliced.summary["test_digest"] != plain.summary["test_digest"]
    test = read_examples(run, "test", sliced.summary["test_digest"], "test")
    traits = Traits.model_validate_json((run.folder / "test" / TRAITS).read_bytes())
    assert traits.characters == {row.id: len(row.text) for row in test}
    assert traits.column == "region"
    assert set(traits.values) == {row.id for row in test}
    assert {value for value in traits.values.values() if len(value) < 60} == {"north", "7", ""}


def test_long_slice_values_that_begin_alike_stay_apart(tmp_path: Path) -> None:
    regions = ["the region of the lakes and of the mountains behind them " + end for end in "NS"]
    rows = [
        {"text": text, "label": label, "region": regions[n % 2]}
        for n, (text, label) in enumerate(pairs(100))
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    run = run_in(tmp_path)
    prepare(run, small(train=str(tmp_path / "a.jsonl"), slice_column="region"))
    traits = Traits.model_validate_json((run.folder / "test" / TRAITS).read_bytes())
    values = set(traits.values.values())
    assert values == set(regions), "of up to 60 characters all are kept"
    longer = [{**row, "region": f"{row['region']} and beyond"} for row in rows]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, longer)) + "\n")
    prepare(run, small(train=str(tmp_path / "a.jsonl"), slice_column="region"))
    traits = Traits.model_validate_json((run.folder / "test" / TRAITS).read_bytes())
    values = set(traits.values.values())
    assert len(values) == 2
    assert all(value.startswith("the region of the lakes") and len(value) == 60 for value in values)


def test_the_users_column_is_that_of_the_test_file_where_there_is_one(tmp_path: Path) -> None:
    files = {
        "train": write(tmp_path / "train.jsonl", pairs(100)),
        "test": regions(tmp_path / "test.jsonl", 40),
    }
    (tmp_path / "test.jsonl").write_text(
        (tmp_path / "test.jsonl").read_text().replace("film", "play")
    )
    prepare(run_in(tmp_path), small(**files, slice_column="region"))
    with pytest.raises(DataError, match="line 1: has no 'regio'; did you mean 'region'"):
        prepare(run_in(tmp_path), small(**files, slice_column="regio"))


def test_a_column_needs_a_file_and_text_or_numbers_in_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="slice_column is a column of data_test or data_train"):
        small(slice_column="region")
    (tmp_path / "a.jsonl").write_text('{"text": "a", "label": "1", "region": ["x"]}\n')
    with pytest.raises(DataError, match="line 1: 'region' must be text, not "):
        prepare(run_in(tmp_path), small(train=str(tmp_path / "a.jsonl"), slice_column="region"))


def count_rows(path: Path) -> int:
    return len(path.read_text().splitlines())


def test_all_labels_are_learned_from_where_no_number_is_asked_for(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    train = write(tmp_path / "train.jsonl", pairs(298))
    with caplog.at_level(logging.INFO, "daftt"):
        result = prepare(run_in(tmp_path), DataConfig(train=train))
    sizes = result.summary["sizes"]
    assert sizes["labelled"] + sizes["dev"] + sizes["test"] == 298
    assert sizes["unlabelled"] == 0
    assert result.summary["gold_is_known"] is False, "it would be the real arm again"
    line = (
        f"data: data_train: 298 rows read: {sizes['labelled']} labelled, {sizes['dev']} dev, "
        f"{sizes['test']} test"
    )
    assert line in [record.message for record in caplog.records]
    assert "there is no unlabelled input, so nothing can be annotated" in caplog.text


def test_a_task_says_how_many_of_its_own_data_are_learned_from() -> None:
    assert load_task("movie-reviews").labelled_count == 64
    assert DataConfig().asked_labelled(64) == 64
    assert DataConfig(labelled_count=7).asked_labelled(64) == 7
    assert DataConfig(train="mine.csv").asked_labelled(64) == 0, "a user's own are all learned from"


def test_labels_left_over_are_hidden_in_the_pool_beside_inputs_of_ones_own(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_in(tmp_path)
    config = DataConfig(
        train=write(tmp_path / "train.jsonl", pairs(100)),
        dev=write(tmp_path / "dev.jsonl", pairs(10, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(10, topic="song")),
        unlabelled=write(tmp_path / "more.jsonl", [(f"book {n}", None) for n in range(30)]),
        labelled_count=40,
    )
    with caplog.at_level(logging.INFO, "daftt"):
        result = prepare(run, config)
    assert result.summary["rows"] == {
        "train": {"read": 100, "labelled": 40, "unlabelled (label hidden)": 60},
        "dev": {"read": 10, "dev": 10},
        "test": {"read": 10, "test": 10},
        "unlabelled": {"read": 30, "unlabelled": 30},
    }
    assert (
        "data: data_train: 100 rows read: 40 labelled, 60 unlabelled (label hidden). data_dev: 10 "
        "rows read: 10 dev. data_test: 10 rows read: 10 test. data_unlabelled: 30 rows read: 30 "
        "unlabelled" in caplog.messages
    )
    splits = read_all(run, result)
    assert len(splits["unlabelled"]) == 90
    assert all(row.output is None for row in splits["unlabelled"])
    assert result.summary["gold_is_known"] is False


@pytest.mark.parametrize("without", ['{"text": "%s", "label": null}', '{"text": "%s"}'])
def test_rows_of_train_without_a_label_are_inputs_to_annotate(tmp_path: Path, without: str) -> None:
    run = run_in(tmp_path)
    lines = [json.dumps({"text": text, "label": label}) for text, label in pairs(100)]
    lines += [without % f"book {n}" for n in range(20)]
    lines.append(without % pairs(1)[0][0])  # is labelled in another row
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    config = DataConfig(
        train=str(tmp_path / "a.jsonl"),
        dev=write(tmp_path / "dev.jsonl", pairs(10, topic="play")),
        test=write(tmp_path / "test.jsonl", pairs(10, topic="song")),
    )
    result = prepare(run, config)
    assert result.summary["rows"]["train"] == {"read": 121, "labelled": 100, "unlabelled": 20}
    assert result.summary["dropped"]["train"] == {"also in labelled": 1}
    assert {row.text for row in read_all(run, result)["unlabelled"]} == {
        f"book {n}" for n in range(20)
    }


def test_of_rows_without_a_label_none_can_become_dev_or_test(tmp_path: Path) -> None:
    rows: list[Pair] = [*pairs(200), *((f"book {n}", None) for n in range(200))]
    result = prepare(run_in(tmp_path), DataConfig(train=write(tmp_path / "a.jsonl", rows)))
    aside = result.summary["dropped"]["train"]
    assert aside["set aside for test"] + aside["set aside for dev"] == (
        200 - result.summary["sizes"]["unlabelled"]
    )
    assert 30 < aside["set aside for test"] + aside["set aside for dev"] < 90


def test_a_training_file_without_any_label_is_told(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", [(f"book {n}", None) for n in range(9)])
    with pytest.raises(DataError) as caught:
        prepare(run_in(tmp_path), DataConfig(train=train))
    assert str(caught.value) == (
        f"data_train: {train}: none of 9 rows has a 'label'; inputs without one belong in "
        "data_unlabelled, beside labelled examples here"
    )


@given(
    st.lists(st.sampled_from(["negative", "positive", None, "", "again", "blank"]), max_size=60),
    st.lists(st.sampled_from(["new", "again", "blank", "not text", "of train"]), max_size=30),
    st.booleans(),
    st.integers(0, 40).filter(lambda count: count != 1),
    st.sampled_from([0, 10, 1000]),
    st.sampled_from([15, 1000]),
)
@settings(max_examples=25)
def test_every_row_that_is_read_is_accounted_for(
    tmp_path_factory: pytest.TempPathFactory,
    kinds: list[str | None],
    more: list[str],
    given_files: bool,
    labelled: int,
    unlabelled: int,
    cap: int,
) -> None:
    folder = tmp_path_factory.mktemp("account")
    rows = [json.dumps({"text": t, "label": label}) for t, label in pairs(200)]
    for n, kind in enumerate(kinds):
        again = kind == "again"
        text = "film number 5 is worth seeing" if again else f"remark {n}"
        label = "positive" if again else kind
        rows.append("" if kind == "blank" else json.dumps({"text": text, "label": label}))
    inputs = ['{"text": "an input"}']
    for n, kind in enumerate(more):
        text = {"new": f"book {n}", "again": "an input", "of train": f"remark {n}"}.get(kind, 5)
        inputs.append("" if kind == "blank" else json.dumps({"text": text}))
    train, pool = folder / "train.jsonl", folder / "pool.jsonl"
    train.write_text("\n".join(rows) + "\n")
    pool.write_text("\n".join(inputs) + "\n")
    files = {"train": str(train)}
    if given_files:
        files["dev"] = write(folder / "dev.jsonl", pairs(8, topic="play"))
        files["test"] = write(folder / "test.jsonl", pairs(8, topic="song"))
        files["unlabelled"] = str(pool)
    counts = {"unlabelled_count": unlabelled, "dev_count": cap, "test_count": cap}
    shares = {"dev_share": 0.25, "test_share": 0.25}
    config = DataConfig(**files, labelled_count=labelled, **counts, **shares)  # type: ignore[arg-type]
    result = prepare(run_in(folder), config)
    account, dropped = result.summary["rows"], result.summary["dropped"]
    for source, path in files.items():
        assert account[source]["read"] == count_rows(Path(path))
        used = sum(count for name, count in account[source].items() if name != "read")
        assert used + sum(dropped[source].values()) == account[source]["read"]
    splits = read_all(run_in(folder), result)
    for split, examples in splits.items():
        counted = sum(
            count
            for of_source in account.values()
            for name, count in of_source.items()
            if name.split(" ")[0] == split
        )
        assert counted == len(examples) == result.summary["sizes"][split]
    seen = [row.id for examples in splits.values() for row in examples]
    assert len(set(seen)) == len(seen)


def test_a_run_that_would_only_annotate_nothing_ends_before_its_teacher(tmp_path: Path) -> None:
    config = toy_config(tmp_path, data_labelled_count=0, synthesis_mode="annotate")
    run = resolve(config)
    preflight(config, run)
    with pytest.raises(DataError, match=r"^synthesis_mode: annotate: there is no unlabelled input"):
        prepare(run, config.data)
    both = toy_config(tmp_path, data_labelled_count=0)
    preflight(both, resolve(both))
    assert prepare(resolve(both), both.data).summary["sizes"]["unlabelled"] == 0


def test_corrections_are_learned_from_and_their_labels_win(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    train = write(tmp_path / "a.jsonl", pairs(300))
    before = read_all(run, prepare(run, small(train=train)))
    spare, known, test, dev = (
        before[name][0] for name in ("unlabelled", "labelled", "test", "dev")
    )
    other = {"negative": "positive", "positive": "negative"}
    truth = {Example.of(text).id: str(label) for text, label in pairs(300)}
    wrong = [(each.text, other[truth[each.id]]) for each in (spare, known, test, dev)]
    corrections = write(tmp_path / "b.jsonl", [*wrong, ("a text of the teacher's", "positive")])
    result = prepare(run, small(train=train, corrections=corrections))
    after = read_all(run, result)
    labelled = {each.id: each.output for each in after["labelled"]}
    assert labelled[spare.id] == other[truth[spare.id]]
    assert labelled[known.id] == other[truth[known.id]]
    assert labelled[Example.of("a text of the teacher's").id] == "positive"
    assert len(labelled) == 20 + 3  # beside those that were asked for
    assert spare.id not in {each.id for each in after["unlabelled"]}
    for name in ("test", "dev"):
        assert after[name] == before[name]
        assert not {each.id for each in after[name]} & set(labelled)
    assert result.summary["rows"]["corrections"] == {"read": 5, "labelled": 3}
    assert result.summary["dropped"]["corrections"] == {"also in dev": 1, "also in test": 1}


def test_it_is_said_that_corrections_of_test_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = run_in(tmp_path)
    train = write(tmp_path / "a.jsonl", pairs(300))
    test = write(tmp_path / "t.jsonl", pairs(40, topic="play"))
    corrections = write(tmp_path / "b.jsonl", pairs(3, topic="play"))
    with caplog.at_level(logging.WARNING, "daftt"):
        result = prepare(run, small(train=train, test=test, corrections=corrections))
    assert "data_corrections: 3 of 3 are of examples in dev or test" in caplog.text
    assert len(read_all(run, result)["labelled"]) == 20


def test_corrections_are_read_as_strictly_as_labels(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", pairs(300))
    corrections = write(tmp_path / "b.jsonl", [("a text", "positve")])
    with pytest.raises(
        DataError, match=r"data_corrections: .*b\.jsonl, line 1: the label 'positve'"
    ):
        prepare(run_in(tmp_path), small(train=train, corrections=corrections))
    write(tmp_path / "b.jsonl", [("a text", "positive")])
    first = prepare(run_in(tmp_path), small(train=train, corrections=corrections))
    write(tmp_path / "b.jsonl", [("a text", "negative")])
    second = prepare(run_in(tmp_path), small(train=train, corrections=corrections))
    assert first.digest != second.digest
