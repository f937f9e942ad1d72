"""Data that arrives in parts: what a pattern names, and that no example ever changes sides."""

from __future__ import annotations

import json
import tempfile
from collections import defaultdict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daftt_core.config import DataConfig
from daftt_core.data import prepare
from daftt_core.data.locate import locate
from daftt_core.errors import DataError
from daftt_core.tasks import Label, Task
from daftt_core.workspace import Run, read_examples

TASK = Task(
    id="sentiment",
    kind="classification",
    description="Sentiment.",
    definition="Decide.",
    writing_definition="Write.",
    labels=(Label(name="bad", verbalizer="bad"), Label(name="good", verbalizer="good")),
)


def write(path: Path, numbers: list[int], *, labelled: bool = True) -> None:
    rows = [
        {"text": f"film number {n}"} | ({"label": ["bad", "good"][n % 7 % 2]} if labelled else {})
        for n in numbers
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def splits(folder: Path, config: DataConfig, seed: int) -> dict[str, set[str]]:
    run = Run(uri=str(folder / "run"), seed=seed, task=TASK)
    result = prepare(run, config)
    names = {"labelled": "data", "unlabelled": "data", "dev": "data", "test": "test"}
    found = {
        name: {one.id for one in read_examples(run, stage, None, name)}
        for name, stage in names.items()
    }
    assert result.summary["sizes"] == {name: len(ids) for name, ids in found.items()}
    return found


numbers = st.lists(st.integers(0, 400), max_size=60, unique=True)


@settings(max_examples=40, deadline=None)
@given(
    arrivals=st.lists(st.tuples(numbers, numbers), min_size=1, max_size=5),
    seed=st.integers(0, 1000),
    counts=st.tuples(st.integers(2, 40), st.integers(4, 30), st.integers(4, 30)),
    with_pool=st.booleans(),
)
def test_nothing_is_learned_from_that_ever_is_dev_or_test(
    arrivals: list[tuple[list[int], list[int]]],
    seed: int,
    counts: tuple[int, int, int],
    with_pool: bool,
) -> None:
    """Whatever arrives, in whatever order, labelled at once or later, and whatever the caps."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        config = DataConfig(
            train=str(folder / "labelled-*.jsonl"),
            unlabelled=str(folder / "pool-*.jsonl") if with_pool else "",
            labelled_count=counts[0],
            dev_count=counts[1],
            test_count=counts[2],
            dev_share=0.25,
            test_share=0.25,
        )
        sides: defaultdict[str, set[str]] = defaultdict(set)
        write(folder / "labelled-0.jsonl", list(range(1000, 1300)))
        write(folder / "pool-0.jsonl", list(range(1300, 1320)), labelled=False)
        for week, (labelled, pool) in enumerate([([], []), *arrivals], start=1):
            write(folder / f"labelled-{week}.jsonl", labelled)
            write(folder / f"pool-{week}.jsonl", pool, labelled=False)
            found = splits(folder, config, seed)
            for example in found["labelled"] | found["unlabelled"]:
                sides[example].add("learned from")
            for name in ("dev", "test"):
                for example in found[name]:
                    sides[example].add(name)
        assert all(len(seen) == 1 for seen in sides.values())


@settings(max_examples=15, deadline=None)
@given(arrivals=st.lists(numbers, min_size=1, max_size=4), seed=st.integers(0, 1000))
def test_without_a_cap_every_split_only_grows(arrivals: list[list[int]], seed: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        many = {"labelled_count": 1000, "dev_count": 1000, "test_count": 1000}
        shares = {"dev_share": 0.25, "test_share": 0.25}  # enough for both labels
        config = DataConfig(train=str(folder / "*.jsonl"), **many, **shares)
        write(folder / "0.jsonl", list(range(1000, 1080)))
        before = splits(folder, config, seed)
        for week, labelled in enumerate(arrivals, start=1):
            write(folder / f"{week}.jsonl", labelled)
            after = splits(folder, config, seed)
            assert all(before[split] <= after[split] for split in before)
            before = after


def test_a_cap_keeps_the_lowest_places_and_leaves_the_others_unused(tmp_path: Path) -> None:
    config = DataConfig(train=str(tmp_path / "*.jsonl"), test_count=10, dev_count=10)
    write(tmp_path / "0.jsonl", list(range(100)))
    before = splits(tmp_path, config, 13)
    write(tmp_path / "1.jsonl", list(range(100, 300)))
    after = splits(tmp_path, config, 13)
    gone = before["test"] - after["test"]
    assert 0 < len(gone) < 10
    assert not gone & (after["labelled"] | after["unlabelled"] | after["dev"])


def test_a_pattern_names_what_is_there_at_that_moment(tmp_path: Path) -> None:
    for name in ("b.csv", "a.csv", "c.tsv", ".hidden.csv"):
        (tmp_path / name).write_text("text,label\n")
    (tmp_path / "deeper").mkdir()
    (tmp_path / "deeper" / "d.csv").write_text("text,label\n")
    found = locate("data_train", str(tmp_path / "*.csv"), tmp_path)
    assert [file.path.name for file in found] == ["a.csv", "b.csv"]
    (tmp_path / "odd[1].csv").write_text("text,label\n")  # a name before it is a pattern
    assert len(locate("data_train", str(tmp_path / "odd[1].csv"), tmp_path)) == 1
    with pytest.raises(DataError, match=r"^data_train: .*none-\*\.csv: no file matches$"):
        locate("data_train", str(tmp_path / "none-*.csv"), tmp_path)
    with pytest.raises(DataError, match=r"\*\*: has no place for a bucket's name"):
        locate("data_train", "gs://**", tmp_path)


def test_other_files_of_a_folder_are_named_and_broken_links_are_mistakes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a.csv", "B.PARQUET", "c.csv.gz", "_SUCCESS"):
        (tmp_path / name).touch()
    with caplog.at_level("INFO", logger="daftt"):
        found = locate("data_train", str(tmp_path), tmp_path)
    assert [file.path.name for file in found] == ["B.PARQUET", "a.csv"]
    assert "not read, by their names: '_SUCCESS', 'c.csv.gz'" in caplog.text
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere.csv")
    with pytest.raises(DataError, match=r"gone\.csv: is a link that leads to no file"):
        locate("data_train", str(tmp_path), tmp_path)


@pytest.mark.parametrize(
    ("place", "problem"),
    [
        ("/dev/zero", "is no regular file"),
        ("a.zip", r"its name must end in \.csv, \.tsv, \.jsonl, \.parquet, \.arrow, \.json"),
        (f"{'x' * 300}.csv", "cannot be read: File name too long"),
        ("~nobody-of-that-name/a.csv", "home"),
    ],
)
def test_a_place_that_holds_no_file_of_data_is_a_mistake(
    tmp_path: Path, place: str, problem: str
) -> None:
    with pytest.raises(DataError, match=rf"^data_train: .*{problem}"):
        locate("data_train", place, tmp_path)


def test_some_files_of_a_pattern_may_be_empty_but_not_all(tmp_path: Path) -> None:
    config = DataConfig(train=str(tmp_path / "*.jsonl"))
    write(tmp_path / "0.jsonl", [])
    write(tmp_path / "1.jsonl", [])
    with pytest.raises(DataError, match=r"^data_train: all 2 files are empty"):
        splits(tmp_path, config, 13)
    write(tmp_path / "1.jsonl", list(range(100)))
    assert splits(tmp_path, config, 13)["test"]


def test_names_of_files_do_not_make_other_data(tmp_path: Path) -> None:
    config = DataConfig(train=str(tmp_path / "*.jsonl"))
    write(tmp_path / "0.jsonl", list(range(100)))
    write(tmp_path / "1.jsonl", list(range(100, 200)))
    run = Run(uri=str(tmp_path / "run"), seed=13, task=TASK)
    first = prepare(run, config).digest
    (tmp_path / "0.jsonl").rename(tmp_path / "2.jsonl")
    assert prepare(run, config).digest == first
