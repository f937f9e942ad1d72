"""One stage done by several processes: process 0 leads, the others help.

Process 0 alone locks the stage, prepares its folder and commits it. The others wait for what it
finds: the work is to be done (all do it together), was done before, or cannot be begun. What ends
process 0 ends the others: its connections close with it.

All processes of a machine see the same files. Machines see the same files where the run is in a
folder; where it is in a storage at a distance, each machine has a folder of its own and reads the
run's data and keeps its part of the checkpoints there.
"""

from __future__ import annotations

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

from daftt_core.distributed.ranks import Rank, this_rank
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
class Group:
    """The processes that work together, of which this is one.

    Attributes:
        rank: The place of this process.
        shared: Whether all machines see the same folder; else each has one of its own.
        control: Carries words between the processes: on CPUs, and with patience.
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
        """What each process gives, in their order."""
        if self.rank.count == 1:
            return [item]
        found: list[Any] = [None] * self.rank.count
        dist.all_gather_object(found, item, group=self.control)
        return found

    def from_first(self, item: T) -> T:
        """What process 0 gives."""
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
    rank, shared = this_rank(), not is_remote(run)
    if rank.count == 1:
        return run_stage(run, stage, inputs, lambda folder: work(Group(rank), folder))
    with _connected(rank, shared) as group:
        if rank.leads:
            return _lead(group, run, stage, inputs, work)
        return _help(group, run, stage, inputs, work)


def _lead(
    group: Group,
    run: Run,
    stage: Stage[R],
    inputs: Sequence[object],
    work: Callable[[Group, Path], R],
) -> StageResult[R]:
    working, attempt = False, uuid4().hex

    def led(folder: Path) -> R:
        nonlocal working
        group.from_first(attempt)
        working = True
        group.wait_for_all()  # until each machine's folder is ready
        made = work(group, folder)
        for used in group.from_all(Usage()):
            include_usage(used)
        working = False
        return made

    try:
        result = run_stage(run, stage, inputs, led, Machine(0, group.rank.nodes, attempt))
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
    said: Any = group.from_first(None)
    if isinstance(said, str):
        rank = group.rank
        owns = rank.leads_node and rank.node > 0
        machine = Machine(rank.node, rank.nodes, attempt=said) if owns else None
        with (
            metered(owns_machine=owns) as meter,  # process 0 stands for its own machine
            joined_stage(run, stage, inputs, machine) as folder,
        ):
            group.wait_for_all()
            work(group, folder)
            group.from_all(meter.usage().model_copy(update={"tokens_read": 0}))
            said = group.from_first(None)
    if isinstance(said, DafttError):
        raise said
    result: StageResult[R] = said
    return result


@contextmanager
def _connected(rank: Rank, shared: bool) -> Iterator[Group]:
    """Connect the processes."""
    if torch.cuda.is_available():
        torch.cuda.set_device(rank.on_node)
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    yield Group(rank, shared, dist.new_group(backend="gloo", timeout=_PATIENCE))
    dist.destroy_process_group()  # not after a failure: it would wait for who is gone
