"""The last stage: a student takes the champion's place or is refused, and the history says so."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from registry_runs import TEST, finished_run, promoted

from daftt_core.errors import StorageError
from daftt_core.registry import TaskRegistry, read_decision
from daftt_core.workspace import run_stage


def registry(folder: Path) -> TaskRegistry:
    return TaskRegistry(str(folder / "runs" / "registry"), "meals")


def test_without_a_champion_the_arm_must_be_better_than_real(tmp_path: Path) -> None:
    run, config = finished_run(tmp_path, "first", right=0.61)
    result = promoted(run, config)
    assert result.summary["promoted"] is False
    decision = read_decision(run)
    assert decision.reason.startswith("Not promoted: real+annotated, seed 1 (")
    assert "there is no champion yet, and its arm is +1.7 points (95% interval" in decision.reason
    ledger = registry(tmp_path).read()
    assert ledger.champion is None
    assert [(e.action, e.by, e.run, e.why) for e in ledger.events] == [
        ("refused", "ann", "first", decision.reason)
    ]


def test_promotion_then_refusal_then_a_better_one(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first")
    assert promoted(first, config).summary["promoted"] is True
    version = read_decision(first).version
    assert registry(tmp_path).read().champion == version
    again = promoted(first, config)
    assert again.summary["promoted"] is True
    assert len(registry(tmp_path).read().events) == 1, "done once"

    worse, config = finished_run(tmp_path, "worse", right=0.2, model_seed=1)
    assert promoted(worse, config, "bob").summary["promoted"] is False
    assert registry(tmp_path).read().champion == version

    better, config = finished_run(tmp_path, "better", right=1.0, model_seed=2)
    assert promoted(better, config, "bob").summary["promoted"] is True
    decision = read_decision(better)
    assert decision.champion == version
    assert decision.reason.startswith("Promoted: real+annotated, seed 1 (")
    assert "takes the champion's place: 100.0 accuracy on 120 test examples, +" in decision.reason
    assert {part.name for part in decision.slices} >= {"class kind", "class unkind"}
    events = registry(tmp_path).read().events
    assert [(e.action, e.by, e.run) for e in events] == [
        ("promoted", "ann", "first"),
        ("refused", "bob", "worse"),
        ("promoted", "bob", "better"),
    ]


def test_the_score_is_of_the_student_that_is_best_on_dev(tmp_path: Path) -> None:
    run, config = finished_run(tmp_path, "first", right=0.9)
    promoted(run, config)
    decision = read_decision(run)
    assert (decision.seed, decision.dev_score, decision.score) == (1, 0.9, 0.9)


def test_a_flipped_byte_keeps_the_pointer_where_it_is(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first")
    promoted(first, config)
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    promoted(second, config)
    tasks = registry(tmp_path)
    old = read_decision(first).version
    weights = tmp_path / "runs" / "registry" / "meals" / "versions" / old / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    before = tasks.read()
    with pytest.raises(StorageError, match=r"model.safetensors: does not match the manifest"):
        tasks.roll_back("", "try", "ann")
    assert tasks.read() == before


def test_a_damaged_champion_is_an_error_and_not_a_refusal(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first")
    promoted(first, config)
    version = read_decision(first).version
    folder = tmp_path / "runs" / "registry" / "meals" / "versions" / version
    (folder / "config.json").unlink()
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    with pytest.raises(StorageError, match=r"config\.json: is missing"):
        promoted(second, config)


def test_what_people_took_back_is_not_promoted_again(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first")
    promoted(first, config)
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    promoted(second, config)
    tasks = registry(tmp_path)
    tasks.roll_back("", "wrong on short remarks", "eve")
    assert promoted(second, config).summary["promoted"] is False
    reason = read_decision(second).reason
    assert "eve has taken it back (" in reason
    assert "wrong on short remarks" in reason
    taken = read_decision(second).version
    tasks.roll_back(taken[:6], "it was the data", "eve")
    assert tasks.read().champion == taken


def test_a_promotion_that_the_registry_has_lost_is_made_again(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first")
    promoted(first, config)
    pointer = tmp_path / "runs" / "registry" / "meals" / "champion.json"
    backup = pointer.read_bytes()
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    promoted(second, config)
    version = read_decision(second).version
    pointer.write_bytes(backup)
    assert promoted(second, config).summary["promoted"] is True
    assert registry(tmp_path).read().champion == version
    shutil.rmtree(tmp_path / "runs" / "registry")
    assert promoted(second, config).summary["promoted"] is True
    assert registry(tmp_path).read().champion == version
    assert promoted(second, config).summary["promoted"] is True
    assert len(registry(tmp_path).read().events) == 1, "done once"


def test_test_examples_that_the_champion_has_learned_from_are_left_out(tmp_path: Path) -> None:
    first, config = finished_run(tmp_path, "first", learned=TEST[:30])
    promoted(first, config)
    second, config = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    promoted(second, config)
    decision = read_decision(second)
    assert decision.left_out == 30
    assert "30 test examples left out that the champion has learned from" in decision.reason
    third, config = finished_run(tmp_path, "third", learned=TEST, right=1.0, model_seed=3,
                                 promotion_registry=str(tmp_path / "own"))  # fmt: skip
    assert promoted(third, config).summary["promoted"] is True
    fourth, config = finished_run(tmp_path, "fourth", right=1.0, model_seed=4,
                                  promotion_registry=str(tmp_path / "own"))  # fmt: skip
    assert promoted(fourth, config).summary["promoted"] is False
    assert "has learned from all 120 test examples" in read_decision(fourth).reason


def test_a_run_that_was_overtaken_is_told_and_compared_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, config = finished_run(tmp_path, "first")
    second, _ = finished_run(tmp_path, "second", right=1.0, model_seed=2)
    tasks = registry(tmp_path)
    real_promote = TaskRegistry.promote

    def overtaken(self: TaskRegistry, *args: object) -> object:
        monkeypatch.setattr(TaskRegistry, "promote", real_promote)
        promoted(second, config, "bob")
        return self.promote(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(TaskRegistry, "promote", overtaken)
    assert promoted(first, config).summary["promoted"] is False
    winner = read_decision(second).version
    assert tasks.read().champion == winner
    assert (
        f"meanwhile bob has made {winner} of run second the champion" in read_decision(first).reason
    )
    promoted(first, config)
    assert read_decision(first).champion == winner


def test_only_the_champions_answers_are_made_from_test(tmp_path: Path) -> None:
    source = Path(__file__).parents[3] / "daftt_core" / "registry"
    readers = [path.name for path in source.glob("*.py") if "TEST, None" in path.read_text()]
    assert readers == ["versions.py"]


def test_the_settings_of_promotion_do_not_make_another_run(tmp_path: Path) -> None:
    run, _ = finished_run(tmp_path, "first")
    other, _ = finished_run(tmp_path, "first", promotion_margin=2.0)
    assert run == other
    assert run_stage(run, "data", ["other"], lambda _: {}).name == "data"
