"""Where data may come from, beside files of text; and what is drawn from much of it."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from daftt_core.config import DataConfig
from daftt_core.data import prepare
from daftt_core.data.files import read_file
from daftt_core.data.locate import DataFile, fetch_hub, locate
from daftt_core.data.rows import Row, drop_duplicates
from daftt_core.data.splits import Sampler, cut, take
from daftt_core.errors import DataError
from daftt_core.records import Example
from daftt_core.tasks import Columns, Hub, Label, Splits, Task
from daftt_core.workspace import Run, read_examples

TASK = Task(
    id="sentiment",
    kind="classification",
    description="Sentiment.",
    definition="Decide.",
    writing_definition="Write.",
    labels=(
        Label(name="bad", verbalizer="bad", aliases=("0",)),
        Label(name="good", verbalizer="good", aliases=("1", "true")),
    ),
)
PAIRS = TASK.model_copy(update={"columns": Columns(text_pair="other")})
TEXTS = TASK.model_copy(update={"kind": "text2text", "labels": ()})


def read(path: Path, task: Task = TASK, **how: Any) -> list[Row]:
    how = {"left_out": Counter(), "with_output": True, "strict": True} | how
    return list(read_file(DataFile(path.name, path), task, "data_train", **how))


def examples(path: Path, task: Task = TASK) -> list[Example]:
    return [row.example for row in read(path, task)]


def write(path: Path, table: pa.Table) -> Path:
    """In the format that the file's name says; ``.stream.arrow`` is Arrow's other form."""
    if path.suffix == ".parquet":
        parquet.write_table(table, path, row_group_size=2)
        return path
    new = pa.ipc.new_stream if ".stream" in path.name else pa.ipc.new_file
    with path.open("wb") as file, new(file, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.stream.arrow"])
def test_columns_of_parquet_and_arrow(tmp_path: Path, name: str) -> None:
    words = pa.array(["good", "bad", "good"]).dictionary_encode()
    texts = ["Fine.", " Dull. ", "Café\n!"]
    expected = [
        Example.of(t.strip(), output=o) for t, o in zip(texts, words.to_pylist(), strict=True)
    ]
    for labels in (words, [1, 0, 1], [True, None, True], ["1", "0", "good"]):
        table = pa.table({"id": [7, 7, 7], "label": labels, "text": texts})
        path = write(tmp_path / name, table)
        if None in table["label"].to_pylist():
            with pytest.raises(DataError) as caught:
                examples(path)
            assert str(caught.value).startswith(f"data_train: {name}, row 2: has no 'label'; rows")
        else:
            assert examples(path) == expected
    with pytest.raises(DataError, match=r"there is no column 'other'.* 'id', 'label', 'text'"):
        examples(path, PAIRS)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(DataError, match=rf"{name}: (cannot be read as|is an Arrow stream)"):
        examples(path)


def test_an_arrow_stream_cut_between_two_batches_is_no_shorter_stream(tmp_path: Path) -> None:
    table = pa.table({"text": ["Fine.", "Dull.", "Good."], "label": ["1", "0", "1"]})
    path = write(tmp_path / "a.stream.arrow", table)
    assert len(examples(path)) == 3
    with pa.ipc.open_stream(path.read_bytes()) as reader:
        first = next(iter(reader))
    with path.open("wb") as file:
        writer = pa.ipc.new_stream(file, table.schema)
        writer.write_batch(first)
        file.flush()
        end = file.tell()
        writer.close()
    path.write_bytes(path.read_bytes()[:end])
    with pytest.raises(DataError, match="without its end mark, so rows may be missing"):
        examples(path)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.stream.arrow"])
def test_names_of_columns_are_compared_as_unicode_does_and_are_there_once(
    tmp_path: Path, name: str
) -> None:
    task = TASK.model_copy(update={"columns": Columns(text="caf\u00e9")})
    table = pa.table({"label": ["good"], "cafe\u0301": ["Fine."]})
    assert [one.text for one in examples(write(tmp_path / name, table), task)] == ["Fine."]
    twice = pa.table([["a"], ["b"], ["good"]], names=["text", "text", "label"])
    with pytest.raises(DataError, match=r"there are 2 columns 'text' \(columns found: 'text', "):
        examples(write(tmp_path / name, twice))


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
def test_a_label_that_is_no_number_is_none(tmp_path: Path, name: str) -> None:
    table = pa.table({"text": ["Fine.", "Dull."], "label": [float("nan"), None]})
    path = write(tmp_path / name, table)
    assert [row.example.output for row in read(path, may_lack_output=True)] == [None, None]
    with pytest.raises(DataError, match="row 1: has no 'label'"):
        examples(path)


def test_a_number_where_a_text_should_be_is_told_with_its_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.parquet", pa.table({"text": [1, 2], "label": ["good", "bad"]}))
    with pytest.raises(DataError) as caught:
        examples(path)
    first, second = str(caught.value).splitlines()
    assert first == "data_train: a.parquet, row 1: 'text' must be text, not 1"
    assert second.startswith("data_train: a.parquet, row 2")


def raw_texts(*texts: bytes) -> pa.Array:
    """A column of texts, some of which are not UTF-8."""
    raw = pa.array(texts, pa.binary())
    return pa.Array.from_buffers(pa.string(), len(raw), raw.buffers())


def test_bytes_that_are_not_utf_8_are_found_in_columns_too(tmp_path: Path) -> None:
    table = pa.table({"text": raw_texts(b"fine", b"Caf\xe9"), "label": ["good", "bad"]})
    path = write(tmp_path / "a.parquet", table)
    with pytest.raises(DataError, match="row 2: 'text' holds bytes that are not UTF-8"):
        examples(path)


def sni(path: Path, instances: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps({"Definition": ["Decide."], "Instances": instances}))
    return path


def test_an_sni_file(tmp_path: Path) -> None:
    path = sni(
        tmp_path / "task1.json",
        [{"input": "Fine.", "output": ["good"]}, {"input": "Dull.", "output": "0"}],
    )
    assert examples(path) == [
        Example.of("Fine.", output="good"),
        Example.of("Dull.", output="bad"),
    ]
    with pytest.raises(DataError, match="an instance has one input, but the task's inputs are"):
        examples(path, PAIRS)
    several = [{"input": "a", "output": ["x", "b"]}, {"input": "", "output": ["c"]}]
    with pytest.raises(DataError, match=r"task1\.json, instance 2: has no 'text'"):
        examples(sni(path, several), TEXTS)
    rows = read(sni(path, several[:1]), TEXTS)
    kept = drop_duplicates(rows, labelled=False)
    assert ([row.example.output for row in kept.rows], kept.dropped) == (["b"], {"duplicate": 1})


def test_a_folder_is_all_its_shards(tmp_path: Path) -> None:
    for name in ("b.parquet", "a.JSONL", "README.md", "state.json", ".c.csv"):
        (tmp_path / name).write_text("")
    found = locate("data_train", str(tmp_path), tmp_path)
    assert [file.path.name for file in found] == ["a.JSONL", "b.parquet"]


def many(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    texts = [f"{path.stem} {n}" for n in range(238)] + ["", "In every split."]
    parquet.write_table(pa.table({"text": texts, "label": [n % 2 for n in range(240)]}), path)


def test_a_data_set_of_a_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``datasets`` reads a folder of that name as it would read the hub's."""
    import datasets

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    datasets.disable_progress_bars()
    for split in ("train", "validation"):
        many(tmp_path / "acme" / "reviews" / f"{split}.parquet")
    hub = Hub(path="acme/reviews", revision="v1", splits=Splits(test="validation"))
    task = TASK.model_copy(update={"hub": hub})
    run = Run(uri=str(tmp_path / "run"), seed=13, task=task)
    result = prepare(run, DataConfig())
    assert result.summary["source"] == "hub:acme/reviews@v1#train"
    assert result.summary["sizes"]["test"] == 239
    # nobody can edit a public data set: its gaps and overlaps are left out and counted
    assert result.summary["dropped"] == {
        "train": {"also in test": 1, "no input": 1},
        "test": {"no input": 1},
    }
    other = run.model_copy(update={"task": task.model_copy(update={"labels": TASK.labels[1:]})})
    with pytest.raises(DataError, match="row 1: the label '0' is not known"):
        prepare(other, DataConfig())
    named = DataConfig(
        train="hub:acme/reviews", test="hub:acme/reviews:default@main#validation", test_count=1000
    )
    assert prepare(run, named).digest == result.digest, "content counts, not how it is named"
    assert all(
        one.text.startswith(("validation", "In every")) and one.output in ("good", "bad")
        for one in read_examples(run, "test", None, "test")
    )


@pytest.mark.parametrize("place", ["hub:", "hub:../x", "hub:a/b/c", "hub:a/b#train[:10%]"])
def test_a_data_set_that_is_not_written_as_it_should_be(place: str) -> None:
    with pytest.raises(DataError, match="is not written as hub:ORG/NAME:CONFIG@REVISION#SPLIT"):
        fetch_hub("data_train", place)


def test_a_hub_that_does_not_deliver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets
    import huggingface_hub.constants

    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", str(tmp_path))
    task = TASK.model_copy(update={"hub": Hub(path="acme/nothing", config="x")})
    with pytest.raises(DataError) as caught:
        prepare(Run(uri=str(tmp_path / "run"), seed=13, task=task), DataConfig())
    assert str(caught.value).startswith(
        "data_train (task sentiment): hub:acme/nothing:x@main#train: the Hugging Face Hub could"
    )
    assert str(caught.value).endswith("; name files there")


def row_of(number: int, shout: bool = False) -> Row:
    text = f"film number {number}"
    return Row(Example.of(text.upper() if shout else text), "a", 1)


@settings(max_examples=60, deadline=None)
@given(
    numbers=st.lists(st.tuples(st.integers(0, 120), st.booleans()), max_size=300),
    count=st.integers(0, 80),
    seed=st.integers(0, 1000),
    shares=st.sampled_from([(0.0, 0.0), (0.2, 0.1)]),
)
def test_what_is_drawn_is_what_would_be_taken_of_all_rows_in_memory(
    numbers: list[tuple[int, bool]], count: int, seed: int, shares: tuple[float, float]
) -> None:
    rows = [row_of(*number) for number in numbers]
    used = {row_of(n).example.id: "dev" for n in range(7)}
    found = []
    for order in (rows, random.Random(seed).sample(rows, len(rows))):
        sampler = Sampler(count, seed, *shares, used)
        for row in order:
            sampler.offer(row)
        found.append(sampler.drawn())
    assert found[0] == found[1], "the order of rows does not matter"
    free = [r for r in drop_duplicates(rows, labelled=False).rows if r.example.id not in used]
    expected = take(cut(free, seed, *shares).train, count, seed, by_label=False)
    assert found[0].rows == expected
    assert sum(found[0].dropped.values()) == len(rows) - len(expected), "every row is accounted for"


def test_rows_that_are_added_displace_few_of_a_sample() -> None:
    def draw(size: int) -> set[str]:
        sampler = Sampler(100, 13, 0.2, 0.1, {})
        for number in range(size):
            sampler.offer(row_of(number))
        return {row.example.id for row in sampler.drawn().rows}

    before, after = draw(1000), draw(1100)
    assert len(before & after) >= 80  # ten in a hundred are expected to go


def test_unlabelled_rows_that_cannot_be_used_are_left_out_and_counted(tmp_path: Path) -> None:
    train = [{"text": f"film {n}", "label": n % 2} for n in range(200)]
    (tmp_path / "train.jsonl").write_text("\n".join(map(json.dumps, train)))
    path = tmp_path / "more.jsonl"
    rows = [b'{"text": "one"}', b"", b'{"text": "  "}', b'{"text": 5}', b'{"text": null, "x": 1}']
    rows += [b'{"text": "Caf\xe9"}', b'{"text": "a\\u0000"}', b'{"text": ', b'{"txt": "a"}']
    path.write_bytes(b"\n".join([*rows, b'{"text": "ONE"}']))
    config = DataConfig(
        train=str(tmp_path / "train.jsonl"),
        unlabelled=str(tmp_path / "more.jsonl"),
        dev_share=0.2,
    )
    run = Run(uri=str(tmp_path / "run"), seed=13, task=TASK)
    summary = prepare(run, config).summary
    assert summary["sizes"]["unlabelled"] == 1
    assert summary["dropped"]["unlabelled"] == {
        "duplicate": 1,
        "empty row": 3,
        "malformed row": 2,
        "not UTF-8": 1,
        "not text": 2,
    }
    path.write_bytes(b'{"text": 5}\n')
    with pytest.raises(DataError, match=r"at least one example \(left out: not text: 1\)$"):
        prepare(run, config)
    path.write_bytes('{"text": "Café"}\n{"text": "Déjà vu"}\n'.encode("cp1252"))
    with pytest.raises(DataError) as caught:
        prepare(run, config)
    assert str(caught.value) == (
        f"data_unlabelled: {path}: no row can be used; there must be at least one example (left "
        "out: not UTF-8: 2); save it as UTF-8, which a spreadsheet offers where it saves CSV (of a "
        "file from Windows: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW)"
    )


def test_every_rule_of_the_table_for_labelled_rows(tmp_path: Path) -> None:
    """``docs/data.md`` has them; those that stop a run are in test_data_files.py."""
    path = tmp_path / "a.csv"
    good = "".join(f"{n % 9},film {n},{n % 2}\n" for n in range(200))  # ids that repeat
    path.write_text(f"id,text,label\n{good}\n,,\n1,Film 3,1\n2,Odd.,1\n2,odd.,0\n")
    result = prepare(
        Run(uri=str(tmp_path / "run"), seed=13, task=TASK), DataConfig(train=str(path))
    )
    assert result.summary["dropped"]["train"] == {
        "contradicting labels": 2,
        "duplicate": 1,
        "empty row": 2,
    }
    assert sum(result.summary["sizes"].values()) == 200
