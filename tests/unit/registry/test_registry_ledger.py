"""The pointer and the history: races, roll-backs, changes by hand, hostile words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from registry_runs import A, B, C, check_race, decision, make_version, race

from daftt_core.errors import BusyError, ConfigError, StorageError
from daftt_core.registry import TaskRegistry, who
from daftt_core.registry.models import Event, Ledger


@pytest.fixture
def tasks(tmp_path: Path) -> TaskRegistry:
    for version in (A, B, C):
        make_version(tmp_path, version)
    return TaskRegistry(str(tmp_path), "meals")


def test_the_history_tells_who_when_what_and_why(tasks: TaskRegistry, tmp_path: Path) -> None:
    tasks.promote(decision(A), "one", "ann")
    tasks.refuse(decision(C, A, promoted=False), "two", "bob")
    tasks.promote(decision(B, A), "three", "bob")
    tasks.roll_back("", "slow", "eve")
    written = json.loads((tmp_path / "meals" / "champion.json").read_text())
    assert written["champion"] == A
    told = [(e["action"], e["version"], e["champion"], e["run"], e["by"], e["why"])
            for e in written["events"]]  # fmt: skip
    assert told == [
        ("promoted", A, None, "one", "ann", f"{A} is better."),
        ("refused", C, A, "two", "bob", f"{C} is not better."),
        ("promoted", B, A, "three", "bob", f"{B} is better."),
        ("rolled-back", A, B, "one", "eve", "slow"),
    ]
    assert all(e["at"].endswith("Z") and e["at"][10] == "T" for e in written["events"])


def test_the_champion_that_was_compared_with_must_still_be_the_champion(
    tasks: TaskRegistry,
) -> None:
    tasks.promote(decision(A), "one", "ann")
    with pytest.raises(BusyError, match=f"ann has made {A} of run one the champion .* of none"):
        tasks.promote(decision(B), "two", "bob")
    tasks.refuse(decision(C, A, promoted=False), "three", "bob")
    tasks.promote(decision(B, A), "two", "bob")  # a refusal in between is no obstacle
    assert tasks.read().champion == B


def test_of_two_processes_one_wins_and_the_other_is_told(
    tasks: TaskRegistry, tmp_path: Path
) -> None:
    tasks.promote(decision(A), "one", "ann")
    check_race(tasks, race(str(tmp_path), (B, C)))


def test_who_loses_a_race_tries_again_after_a_pause_of_random_length(
    tasks: TaskRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    patient = TaskRegistry(str(tmp_path), "meals", sleep=pauses.append)
    write, losses = patient._storage.write, [4]

    def lose_at_first(name: str, data: bytes, replaces: str | None = None) -> None:
        losses[0] -= 1
        if losses[0] >= 0:
            raise BusyError("another process was first")
        write(name, data, replaces=replaces)

    monkeypatch.setattr(patient._storage, "write", lose_at_first)
    patient.promote(decision(A), "one", "ann")
    assert tasks.read().champion == A
    assert len(pauses) == 4
    losses[0] = 10**6
    with pytest.raises(BusyError, match="many processes write it at once; try again"):
        patient.refuse(decision(C, A, promoted=False), "two", "ann")
    assert len(set(pauses)) == len(pauses) == 23, "no two of them are the same"
    assert all(0 <= pause <= 2 for pause in pauses)
    assert max(pauses[4:]) > 0.1, "they grow"


def test_an_event_that_was_written_and_reported_as_failed_is_not_written_twice(
    tasks: TaskRegistry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlucky = TaskRegistry(str(tmp_path), "meals", sleep=lambda _: None)
    write = unlucky._storage.write

    def write_and_be_overtaken(name: str, data: bytes, replaces: str | None = None) -> None:
        write(name, data, replaces=replaces)
        tasks.promote(decision(B, A), "two", "bob")
        raise BusyError("its answer was lost, and another process wrote since")

    monkeypatch.setattr(unlucky._storage, "write", write_and_be_overtaken)
    assert unlucky.promote(decision(A), "one", "ann").champion == A
    assert [event.version for event in tasks.read().events] == [A, B]


def test_a_rollback_needs_a_reason_and_somewhere_to_go(tasks: TaskRegistry) -> None:
    with pytest.raises(ConfigError, match="meals: has no champion"):
        tasks.roll_back("", "why", "ann")
    with pytest.raises(ConfigError, match="meals: has no champion"):
        tasks.find("champion")
    tasks.promote(decision(A), "one", "ann")
    with pytest.raises(ConfigError, match="is the first champion"):
        tasks.roll_back("", "why", "ann")
    with pytest.raises(ConfigError, match="needs a reason"):
        tasks.roll_back("", "  ", "ann")
    with pytest.raises(ConfigError, match=f"{A} is already the champion"):
        tasks.roll_back(A[:4], "why", "ann")
    with pytest.raises(ConfigError, match="no promoted version begins with 'cc'"):
        tasks.roll_back("cc", "why", "ann")


def test_rolling_back_twice_goes_back_twice(tasks: TaskRegistry) -> None:
    for version, before in ((A, None), (B, A), (C, B)):
        tasks.promote(decision(version, before), "run", "ann")
    assert tasks.roll_back("", "bad", "eve").version == B
    assert tasks.roll_back("", "bad too", "eve").version == A


def test_what_came_after_the_champion_gone_back_to_is_taken_back(tasks: TaskRegistry) -> None:
    for version, before in ((A, None), (B, A), (C, B)):
        tasks.promote(decision(version, before), "run", "ann")
    back = tasks.roll_back(A, "B and C are both bad", "eve")
    ledger = tasks.read()
    assert ledger.taken_back(B) == ledger.taken_back(C) == back
    assert ledger.taken_back(A) is None
    over = tasks.roll_back(B, "B was not", "eve")
    ledger = tasks.read()
    assert ledger.taken_back(B) is None
    assert (ledger.taken_back(A), ledger.taken_back(C)) == (over, back)


def test_the_pointer_never_moves_to_files_that_do_not_verify(
    tasks: TaskRegistry, tmp_path: Path
) -> None:
    tasks.promote(decision(A), "one", "ann")
    (tmp_path / "meals" / "versions" / B / "model.safetensors").write_text("b" * 11 + "c")
    with pytest.raises(StorageError, match=r"model\.safetensors: does not match the manifest"):
        tasks.promote(decision(B, A), "two", "ann")
    (tmp_path / "meals" / "versions" / C / "manifest.json").unlink()
    with pytest.raises(StorageError, match="has no manifest, so there is no such version"):
        tasks.promote(decision(C, A), "three", "ann")
    assert tasks.read().champion == A


@pytest.mark.parametrize(
    ("found", "changed"),
    [
        ('"by": "ann"', '"by": "bob"'),
        ('"run": "two"', '"run": "three"'),  # of the last event
        (f'"champion": "{B}",\n "events"', f'"champion": "{A}",\n "events"'),
        ('"action": "promoted"', '"action": "refused"'),
        (f'"version": "{A}"', '"version": "../../etc"'),
        ('"task": "meals"', '"task": "other"'),
    ],
)
def test_a_history_that_was_changed_is_not_believed(
    tasks: TaskRegistry, tmp_path: Path, found: str, changed: str
) -> None:
    tasks.promote(decision(A), "one", "ann")
    tasks.promote(decision(B, A), "two", "ann")
    path = tmp_path / "meals" / "champion.json"
    text = path.read_text()
    assert found in text
    path.write_text(text.replace(found, changed, 1))
    with pytest.raises(StorageError, match=r"is (not )?the history"):
        tasks.read()


def test_events_cannot_be_left_out(tasks: TaskRegistry) -> None:
    tasks.promote(decision(A), "one", "ann")
    events = tasks.promote(decision(B, A), "two", "ann").events
    with pytest.raises(ValueError, match="was changed after"):
        Ledger(task="meals", champion=B, events=events[1:])
    assert Ledger(task="meals").followed_by(Event.model_validate(events[0])).champion == A


@pytest.mark.parametrize("task", ["../runs", "a/b", "", "A", "meals\n", "meals ", "\x1b[31m"])
def test_a_hostile_task_is_no_path(tmp_path: Path, task: str) -> None:
    with pytest.raises(ConfigError, match="a task's id has only"):
        TaskRegistry(str(tmp_path), task)


def test_who_is_said_or_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAFTT_USER", "robot")
    assert who("ann") == "ann"
    assert who() == "robot"
    with pytest.raises(ConfigError, match="must be one line"):
        who("ann\n2026 bob promoted")
    with pytest.raises(ConfigError, match="must be one line"):
        who("\x1b[2J")
    monkeypatch.delenv("DAFTT_USER")
    assert who()
