"""The stage that decides whether a run trains."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from daftt_core.config import DATA_FILES, DataConfig, PromotionConfig, TriggerConfig
from daftt_core.data import (
    POPULATION,
    Gathered,
    Population,
    gather,
    take,
    write_population,
)
from daftt_core.records import Example, write_text
from daftt_core.registry import Ledger, TaskRegistry, known_population, registry_of
from daftt_core.retraining.verdict import Comparison, Verdict, compare, decide
from daftt_core.stages import TRIGGER, TriggerResult
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, run_stage

# The same sample whatever the run's seed, so that it differs only where the data differ.
_MOST_INPUTS, _SAMPLE_SEED = 100_000, 0


def check_trigger(
    run: Run, config: TriggerConfig, data: DataConfig, promotion: PromotionConfig
) -> StageResult[TriggerResult]:
    """Compare a run's data with those of the champion, and of the last challenger.

    Comparing with both avoids training again and again on data whose student was refused. Stage
    ``trigger`` gets ``verdict.json``, a :class:`Verdict`, and ``population.npz``, the record of
    these data that the registry keeps once it has decided about the run's student.

    Returns:
        The stage's result; its summary has ``train``, ``reason``, ``population`` (a digest), and
        the numbers of the comparison with the champion's data.

    Raises:
        DataError: The data cannot be used.
        StorageError: The registry or a source cannot be read.
    """
    registry = registry_of(run, promotion)
    ledger = TaskRegistry(registry, run.task.id).read() if promotion.enabled else None
    decisions = _decisions(ledger) if config.when != "always" and ledger else {}
    with gather(run.task, data) as gathered:
        settings = data.model_dump(exclude=set(DATA_FILES))
        inputs = [config, settings, gathered.digests, registry, decisions]

        def work(folder: Path) -> TriggerResult:
            labelled, inputs = _examples(gathered, run.seed)
            population = Population.of(labelled, inputs, classification=run.task.is_classification)
            earlier = {
                since: known_population(registry, run.task, digest)
                for since, digest in decisions.values()
            }
            verdict = _judge(run, config, population, inputs, earlier)
            write_population(folder / POPULATION, population)
            write_text(folder / "verdict.json", verdict.model_dump_json(indent=1) + "\n")
            log.info("%s", verdict.reason)
            return _result(verdict, population)

        return run_stage(run, TRIGGER, inputs, work)


def _judge(
    run: Run,
    config: TriggerConfig,
    population: Population,
    inputs: list[Example],
    earlier: Mapping[str, Population | None],
) -> Verdict:
    if config.when == "always":
        return Verdict(train=True, reason="Training: requested by trigger_when: always.")
    if not earlier:
        return Verdict(train=True, reason=f"Training: {run.task.id} has no champion yet.")
    comparisons: list[Comparison] = []
    for since, before in earlier.items():
        if before is None:
            return Verdict(train=True, reason=f"Training: the data of {since} are not known.")
        comparisons.append(compare(population, inputs, before, since, config, run.seed))
    return decide(comparisons, config)


def _decisions(ledger: Ledger) -> dict[str, tuple[str, str]]:
    """Return what to compare with: a description, and the digest of its population."""
    decisions, champion = {}, None
    promoted = ledger.promotion_of(ledger.champion) if ledger.champion else None
    if promoted is not None and promoted.decision is not None:
        champion = promoted.decision.population
        decisions["champion"] = (f"champion {promoted.version} (run {promoted.run})", champion)
    last = next((event for event in reversed(ledger.events) if event.decision is not None), None)
    if last is not None and last.decision is not None and last.decision.population != champion:
        fate = "was refused" if last.action == "refused" else "was taken back"
        decisions["challenger"] = (
            f"challenger {last.version} (run {last.run}), which {fate}",
            last.decision.population,
        )
    return decisions


def _examples(gathered: Gathered, seed: int) -> tuple[list[Example], list[Example]]:
    """Return the labelled rows, and the inputs that could be annotated.

    Files of dev or test rows are left out: no student learns from them.
    """
    sources = gathered.sources
    drawn = gathered.sample_inputs(_MOST_INPUTS, _SAMPLE_SEED, {})
    pool = [row for source in drawn.values() for row in source.rows]
    pool = take(pool, _MOST_INPUTS, _SAMPLE_SEED, by_label=False)
    pool = pool if drawn else gathered.regions(seed).train
    corrections = gathered.corrections
    corrected = {row.example.id: row.example for row in corrections.rows} if corrections else {}
    rows = {row.example.id: row.example for row in sources["train"].rows} | corrected
    return list(rows.values()), [row.example for row in pool]


def _result(verdict: Verdict, population: Population) -> TriggerResult:
    """Return the verdict with the numbers of the first comparison, where there is one."""
    compared = verdict.comparisons[0].model_dump() if verdict.comparisons else {}
    return TriggerResult(
        **compared
        | {
            "train": verdict.train,
            "reason": verdict.reason,
            "population": population.digest,
            "labelled_rows": len(population.rows),
        }
    )
