"""Adds up what a run has used and cost, stage by stage.

Nothing counts twice:

- Everything in the run's folder counts: finished stages with all their attempts, and attempts at
  stages that never finished. Work under other settings that was cleared does not count; nor do
  reports and reviews.
- A stage, chunk, student or checkpoint that is reused counts once, where the work was done. A retry
  adds its own time and work.
- A stage *copied* from another run of its family (a sweep's cell) is not in what this run has
  ``spent``, so that runs can be added up. It is in the ``whole``: what the result would have cost
  alone, by which examples and points are priced.
"""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import BaseModel, ConfigDict

from daftt_core.accounting.prices import Prices, parse_prices
from daftt_core.stages import CURATED, EVALUATION, MAKING, PREFLIGHT, stage_of
from daftt_core.storage import Manifest
from daftt_core.telemetry import Usage
from daftt_core.workspace import (
    Run,
    finished_stages,
    read_result,
    read_stage,
    stage_manifest,
    unfinished_usage,
)

PRICES_FILE = "prices.yaml"
"""The prices a run was started with, in its stage ``preflight``."""

_HOUR = 3600


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, allow_inf_nan=False)


class Amount(_Part):
    """What something used, and its price.

    Attributes:
        usage: What it used.
        cost: Its price; None where there are no prices, or one is missing.
    """

    usage: Usage = Usage()
    cost: float | None = None

    @property
    def gpu_hours(self) -> float:
        """Return the hours of one GPU."""
        return sum(self.usage.gpu_seconds.values()) / _HOUR

    @property
    def cpu_hours(self) -> float:
        """Return the hours of one CPU."""
        return sum(self.usage.cpu_seconds.values()) / _HOUR


class StageAmount(Amount):
    """What a stage used.

    Attributes:
        name: The stage.
        copied: Whether another run did the work.
        finished: Whether it was finished.
        measured: Whether more than its time is known.
    """

    name: str
    copied: bool = False
    finished: bool = True
    measured: bool = True


class Ledger(_Part):
    """What a run used.

    Attributes:
        stages: Its stages, the earliest finished first, and then those that never finished.
        kept_examples: Synthetic examples that curation kept; None where it did not run.
        gain: Points by which the chosen students beat those without synthetic examples; None where
            they were not compared.
        currency: Currency of the costs; empty where there are no prices.
        prices: Source of the prices; empty where there are none.
        unpriced: Devices that were used and have no price.
    """

    stages: tuple[StageAmount, ...] = ()
    kept_examples: int | None = None
    gain: float | None = None
    currency: str = ""
    prices: str = ""
    unpriced: tuple[str, ...] = ()

    @property
    def spent(self) -> Amount:
        """Return what this run itself used."""
        return add_up(stage for stage in self.stages if not stage.copied)

    @property
    def whole(self) -> Amount:
        """Return what it would have used alone, with the stages that it copied."""
        return add_up(self.stages)

    @property
    def making(self) -> Amount:
        """Return what the synthetic examples took, from data and teacher to curation."""
        return add_up(each for each in self.stages if stage_of(each.name) in MAKING)

    @property
    def per_kept_example(self) -> Amount | None:
        """Return what each kept synthetic example took; None where none was kept."""
        return _divided(self.making, self.kept_examples)

    @property
    def per_point(self) -> Amount | None:
        """Return what each point of gain took, of the whole; None where nothing was gained."""
        return _divided(self.whole, self.gain)


def add_up(amounts: Iterable[Amount]) -> Amount:
    """Return the sum; without a cost where one of the amounts has none."""
    usage, costs = Usage(), []
    for amount in amounts:
        usage += amount.usage
        costs.append(amount.cost)
    known = [cost for cost in costs if cost is not None]
    return Amount(usage=usage, cost=sum(known) if len(known) == len(costs) else None)


def _divided(amount: Amount, parts: float | None) -> Amount | None:
    if parts is None or parts <= 0:
        return None
    used = amount.usage
    usage = Usage(
        seconds=used.seconds / parts,
        cpu_seconds={kind: seconds / parts for kind, seconds in used.cpu_seconds.items()},
        gpu_seconds={kind: seconds / parts for kind, seconds in used.gpu_seconds.items()},
    )
    return Amount(usage=usage, cost=None if amount.cost is None else amount.cost / parts)


def read_ledger(run: Run, prices: Prices | None = None) -> Ledger:
    """Return what a run has used so far.

    Args:
        run: The run.
        prices: The prices; None leaves costs out.

    Raises:
        StorageError: The run cannot be read.
    """
    committed = finished_stages(run)
    names = [name for name in sorted(committed, key=lambda name: committed[name]) if _counts(name)]
    stages = [
        _finished(name, manifest, prices)
        for name in names
        if (manifest := stage_manifest(run, name))
    ]
    for name, usage in unfinished_usage(run).items():
        if _counts(name):
            cost = prices.cost(usage) if prices else None
            stages.append(StageAmount(name=name, usage=usage, cost=cost, finished=False))
    unpriced = set[str]()
    if prices:
        unpriced.update(*(prices.unpriced(stage.usage) for stage in stages))
    curated = read_result(run, CURATED)
    evaluation = read_result(run, EVALUATION)
    return Ledger(
        stages=tuple(stages),
        kept_examples=curated.kept if curated else None,
        gain=evaluation.chosen.gain if evaluation else None,
        currency=prices.currency if prices else "",
        prices=prices.source if prices else "",
        unpriced=tuple(sorted(unpriced)),
    )


def run_prices(run: Run) -> Prices | None:
    """Return the prices that a run was started with; None where there were none.

    Raises:
        StorageError: The run's preflight has not finished, or cannot be read.
        ConfigError: They cannot be understood.
    """
    path = read_stage(run, PREFLIGHT)[0] / PRICES_FILE
    return parse_prices(str(path), path.read_bytes()) if path.is_file() else None


def _counts(name: str) -> bool:
    stage = stage_of(name)
    return stage is None or not stage.about_results


def _finished(name: str, manifest: Manifest, prices: Prices | None) -> StageAmount:
    usage = manifest.usage
    return StageAmount(
        name=name,
        usage=usage or Usage(attempts=1, seconds=manifest.seconds),
        cost=prices.cost(usage) if prices and usage else None,
        copied=manifest.copied,
        measured=usage is not None,
    )
