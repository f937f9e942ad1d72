"""One stage done by several processes: process 0 leads, the others help.

Process 0 alone locks the stage, prepares its folder and commits it. The others wait for its word:
the work is to be done (all do it together), was done before, or cannot begin. What ends process 0
ends the others: its connections close with it.

All processes of a machine see the same files. Machines see the same files where the run is in a
folder; where it is in remote storage, each machine has a folder of its own, reads the run's data
and keeps its part of the checkpoints there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import torch
import torch.distributed as dist
from pydantic import BaseModel

from daftt_core.errors import DafttError
from daftt_core.stages import Stage
from daftt_core.telemetry import Usage, include_usage, metered
from daftt_core.workspace import Run, StageResult, is_remote, joined_stage, run_stage
from daftt_core.workspace.progress import Machine

T = TypeVar("T")
R = TypeVar("R", bound=BaseModel)

_PATIENCE = timedelta(days=7)
"""How long the others wait for process 0: another run may hold the stage, or a large model be
stored. When process 0 ends, so does their wait, at once."""


@dataclass(frozen=True)
class Rank:
    """A process's place among those that train together.

    Attributes:
        index: Its number, from 0; process 0 leads.
        count: How many processes there are.
        on_node: Its number among those of its machine.
        node: The machine's number.
        per_node: Processes of each machine.
    """

    index: int = 0
    count: int = 1
    on_node: int = 0
    node: int = 0
    per_node: int = 1

    @property
    def leads(self) -> bool:
        """Whether it works alone where only one may."""
        return self.index == 0

    @property
    def leads_node(self) -> bool:
        """Whether it handles the files of its machine."""
        return self.on_node == 0

    @property
    def nodes(self) -> int:
        """How many machines there are."""
        return self.count // self.per_node


def this_rank() -> Rank:
    """Return the place of this process, from the variables that torchrun sets; else it is alone."""

    def number(name: str, default: int) -> int:
        return int(os.environ.get(name) or default)

    count = number("WORLD_SIZE", 1)
    return Rank(
        index=number("RANK", 0),
        count=count,
        on_node=number("LOCAL_RANK", 0),
        node=number("GROUP_RANK", 0),
        per_node=number("LOCAL_WORLD_SIZE", count),
    )


@dataclass(frozen=True)
class Group:
    """The processes that work together, of which this is one.

    Attributes:
        rank: The place of this process.
        shared: Whether all machines see the same folder; else each has one of its own.
        control: The process group that carries objects between processes, on CPUs.
    """

    rank: Rank
    shared: bool = True
    control: Any = None

    @property
    def commits(self) -> bool:
        """Whether this is the process that handles the files of its folder."""
        return self.rank.leads if self.shared else self.rank.leads_node

    def wait_for_all(self) -> None:
        """Wait until all processes are here."""
        self.from_all(None)

    def from_all(self, item: T) -> list[T]:
        """Return the items of all processes, in their order."""
        if self.rank.count == 1:
            return [item]
        items: list[Any] = [None] * self.rank.count
        dist.all_gather_object(items, item, group=self.control)
        return items

    def from_first(self, item: T) -> T:
        """Return the item of process 0."""
        if self.rank.count == 1:
            return item
        box = [item]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]


def run_stage_together(
    run: Run,
    stage: Stage[R],
    inputs: Sequence[object],
    work: Callable[[Group, Path], R],
) -> StageResult[R]:
    """Do a stage's work as :func:`daftt_core.workspace.run_stage` does, with all processes.

    Args:
        run: The run.
        stage: The stage.
        inputs: Everything that decides the result.
        work: Called on every process with the group and the stage's folder on its machine; the
            result that process 0 returns is kept.

    Raises:
        DafttError: Whatever ``work`` raises, and on every process what ends process 0.
    """
    rank = this_rank()
    if rank.count == 1:
        return run_stage(run, stage, inputs, lambda folder: work(Group(rank), folder))
    with _connected(rank, shared=not is_remote(run)) as group:
        cooperate = _lead if rank.leads else _help
        return cooperate(group, run, stage, inputs, work)


def _lead(
    group: Group,
    run: Run,
    stage: Stage[R],
    inputs: Sequence[object],
    work: Callable[[Group, Path], R],
) -> StageResult[R]:
    working, attempt = False, uuid4().hex

    def work_with_all(folder: Path) -> R:
        nonlocal working
        group.from_first(attempt)
        working = True
        group.wait_for_all()  # until each machine's folder is ready
        result = work(group, folder)
        for usage in group.from_all(Usage()):
            include_usage(usage)
        working = False
        return result

    try:
        machine = Machine(0, group.rank.nodes, attempt)
        result = run_stage(run, stage, inputs, work_with_all, machine)
    except DafttError as error:
        if not working:  # else the others are at work: they fail too, or their connections end
            group.from_first(error)
        raise
    group.from_first(result)
    return result


def _help(
    group: Group,
    run: Run,
    stage: Stage[R],
    inputs: Sequence[object],
    work: Callable[[Group, Path], R],
) -> StageResult[R]:
    verdict: Any = group.from_first(None)
    if isinstance(verdict, str):
        rank = group.rank
        owns = rank.leads_node and rank.node > 0
        machine = Machine(rank.node, rank.nodes, attempt=verdict) if owns else None
        with (
            metered(owns_machine=owns) as meter,  # process 0 stands for its own machine
            joined_stage(run, stage, inputs, machine) as folder,
        ):
            group.wait_for_all()
            work(group, folder)
            group.from_all(meter.usage().model_copy(update={"tokens_read": 0}))
            verdict = group.from_first(None)
    if isinstance(verdict, DafttError):
        raise verdict
    result: StageResult[R] = verdict
    return result


@contextmanager
def _connected(rank: Rank, *, shared: bool) -> Iterator[Group]:
    if torch.cuda.is_available():
        torch.cuda.set_device(rank.on_node)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield Group(rank, shared, dist.new_group(backend="gloo", timeout=_PATIENCE))
    dist.destroy_process_group()  # not after a failure: it would wait for who is gone
