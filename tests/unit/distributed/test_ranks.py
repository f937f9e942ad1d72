"""Places of processes, and what the ends of several say together."""

from __future__ import annotations

import pytest

from daftt_core.distributed import Rank, this_rank
from daftt_core.distributed.torchrun import exit_code

_NAMES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "GROUP_RANK")


@pytest.mark.parametrize(
    ("values", "expected", "leads", "leads_node", "nodes"),
    [
        ((), Rank(), True, True, 1),
        (("0", "4", "0", "2", "0"), Rank(0, 4, 0, 0, 2), True, True, 2),
        (("1", "4", "1", "2", "0"), Rank(1, 4, 1, 0, 2), False, False, 2),
        (("2", "4", "0", "2", "1"), Rank(2, 4, 0, 1, 2), False, True, 2),
    ],
)
def test_a_process_knows_its_place(
    monkeypatch: pytest.MonkeyPatch,
    values: tuple[str, ...],
    expected: Rank,
    leads: bool,
    leads_node: bool,
    nodes: int,
) -> None:
    for name in _NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in zip(_NAMES, values, strict=False):
        monkeypatch.setenv(name, value)
    found = this_rank()
    assert found == expected
    assert (found.leads, found.leads_node, found.nodes) == (leads, leads_node, nodes)


@pytest.mark.parametrize(
    ("codes", "expected"),
    [
        ([1, -9], 137),  # one was killed, the other lost its connection to it
        ([-9, -15], 137),  # one was killed, and torchrun ended the other
        ([1, -15], 1),  # a fault of the program is not an interruption
        ([7, 7], 7),
        ([1, 5], 5),
        ([143, -15], 143),
    ],
)
def test_the_reason_is_told_from_its_consequences(codes: list[int], expected: int) -> None:
    assert exit_code(codes) == expected
