"""A task's own examples in the teacher's training."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from toy_run import toy_config
from toy_task import TASK, remarks, write_remarks

from daftt_core.data import prepare
from daftt_core.errors import TaskError
from daftt_core.preflight import resolve
from daftt_core.records import Example, read_jsonl
from daftt_core.teacher.examples import check_own_examples


@pytest.mark.parametrize("field", ["positive_examples", "negative_examples"])
@pytest.mark.parametrize("split", ["dev", "test", "data/labelled"])
def test_no_prompt_shows_an_example_of_dev_or_test(tmp_path: Path, field: str, split: str) -> None:
    # nearly every remark is a near copy of another, so those of dev and test are worded otherwise
    told = [(f"my friends told me that {text}", tone) for text, tone in remarks()[400:450]]
    dev = write_remarks(tmp_path / "dev.csv", told[:20])
    test = write_remarks(tmp_path / "test.csv", told[20:])
    config = toy_config(tmp_path, name="one", data_dev=str(dev), data_test=str(test))
    run = resolve(config)
    data = prepare(run, config.data)
    folder = {"dev": "data/dev", "test": "test/test"}.get(split, split)
    one = read_jsonl(run.folder / f"{folder}.jsonl", Example)[0]
    own = [
        {"input": "the tea was warm", "output": "kind"},
        {"input": one.text.upper(), "output": "kind"},
    ]
    (tmp_path / "meals.yaml").write_text(yaml.safe_dump(TASK | {field: own}))
    if split == "data/labelled":
        check_own_examples(resolve(config), data.digest)
        return
    with pytest.raises(TaskError, match=f"task meals: {field}: example 2 is an example of dev or"):
        check_own_examples(resolve(config), data.digest)
