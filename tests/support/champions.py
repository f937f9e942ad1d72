"""What the end of a run writes into the registry, without a model."""

from __future__ import annotations

from typing import Any

from daftt_core.config import PromotionConfig
from daftt_core.registry import Decision, Event, TaskRegistry, registry_of
from daftt_core.registry.lineage import keep_population
from daftt_core.storage import open_storage
from daftt_core.workspace import Run

__all__ = ["add_event", "decided"]


def decided(run: Run, version: str, *, promoted: bool = True) -> None:
    """Let the registry beside a run remember a decision about it, and its data."""
    registry = registry_of(run, PromotionConfig())
    decision = Decision(
        promoted=promoted,
        reason="Because.",
        evaluation="",
        rule="superiority",
        metric="accuracy",
        margin=0,
        confidence=0.95,
        version=version,
        arm="real",
        seed=0,
        dev_score=0.5,
        score=0.5,
        scores={"accuracy": 0.5},
        test_examples=10,
        champion=TaskRegistry(registry, run.task.id).read().champion,
        population=keep_population(registry, run),
    )
    add_event(run, "promoted" if promoted else "refused", version, decision)


def add_event(run: Run, action: Any, version: str, decision: Decision | None = None) -> None:
    """Add an event to the history of a run's task."""
    tasks = TaskRegistry(registry_of(run, PromotionConfig()), run.task.id)
    event = Event(
        at="2026-03-01T14:05:09Z",
        by="ada",
        action=action,
        version=version,
        champion=None,
        run=run.name,
        why="Because.",
        decision=decision,
    )
    changed = tasks.read().followed_by(event)
    open_storage(tasks.uri).write("champion.json", changed.model_dump_json().encode())
