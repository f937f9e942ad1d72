"""The stage that chooses what the teacher learns beside the target task.

Weights decide how many instances each task gives; the share that the target's own examples keep in
the training decides how many there are in all.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

from daftt_core.config import Config, MixtureConfig
from daftt_core.data.candidates import Candidate, MixtureExample, MixtureTask, Target, choose
from daftt_core.data.prepare import prepare
from daftt_core.errors import DataError
from daftt_core.records import read_jsonl, write_jsonl, write_text
from daftt_core.stages import MIXTURE, DataResult, MixedTask, MixtureResult, baseline_arms
from daftt_core.telemetry import log
from daftt_core.workspace import Run, StageResult, read_stage, run_stage

_TASKS = TypeAdapter(tuple[MixtureTask, ...])


@dataclass(frozen=True)
class Prepared:
    """What models learn from.

    Attributes:
        data: The data.
        mixture: The mixture; None where none is asked for.
        baseline_arms: The arms that need no teacher.
    """

    data: StageResult[DataResult]
    mixture: StageResult[MixtureResult] | None
    baseline_arms: list[str]

    @property
    def handed_on(self) -> tuple[str, str, str, str]:
        """Return the digests of data, test and mixture, and the arms, separated by commas."""
        mixture = self.mixture.digest if self.mixture else ""
        arms = ",".join(self.baseline_arms)
        return (self.data.digest, self.data.result.test_digest, mixture, arms)


def prepare_with_mixture(run: Run, config: Config) -> Prepared:
    """Prepare the data and the mixture of a run. Raises as the functions for either do."""
    data = prepare(run, config.data)
    mixture = prepare_mixture(
        run, config.mixture, data.digest, directions=config.teacher.direction_count
    )
    arms = baseline_arms(config.student.gold_arm, gold_is_known=data.result.gold_is_known)
    return Prepared(data, mixture, arms)


def prepare_mixture(
    run: Run, config: MixtureConfig, data: str, *, directions: int
) -> StageResult[MixtureResult] | None:
    """Choose the mixture and commit it as stage ``mixture``.

    The stage gets ``examples.jsonl`` and ``tasks.json``, which hold the records ``MixtureExample``
    and ``MixtureTask`` of :mod:`daftt_core.data.candidates`.

    Args:
        run: The run.
        config: What to mix in, and how much of it.
        data: Digest of the ``data`` stage.
        directions: How many times the teacher learns each of the target's examples in one pass.

    Returns:
        The result, or None where no mixture is asked for. Its summary has the tasks that went in
        and those left out, each with the reason.

    Raises:
        DataError: The source does not exist, or a task in it cannot be used.
        StorageError: The source cannot be reached.
    """
    if config.tasks == 0:
        return None
    target = Target(run, data, config.overlap_words)
    choice = choose(run, config, target)
    if not choice.candidates:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in choice.excluded.items())
        raise DataError(f"mixture_source: every task in it is left out ({reasons[:500]})")
    if len(choice.candidates) < config.tasks:
        log.warning(
            "mixture_tasks: asks for %d tasks; only %d can be used, and all are",
            *(config.tasks, len(choice.candidates)),
        )
    learned = target.size * directions

    def work(folder: Path) -> MixtureResult:
        tasks, examples = _take(config, choice.candidates, learned)
        write_jsonl(folder / "examples.jsonl", examples)
        write_text(folder / "tasks.json", _TASKS.dump_json(tuple(tasks), indent=1).decode())
        shown = {"definition", "positive_examples"}
        return MixtureResult(
            examples=len(examples),
            target_examples=learned,
            share=round(learned / (learned + len(examples)), 4),
            overlapping=sum(task.overlapping for task in tasks),
            tasks=tuple(MixedTask(**task.model_dump(exclude=shown)) for task in tasks),
            excluded=choice.excluded,
        )

    # Content counts, not where it lies.
    settings = config.model_dump(exclude={"source"})
    return run_stage(run, MIXTURE, [settings, learned, choice.digests, choice.excluded, data], work)


def read_mixture(run: Run, expected: str) -> tuple[dict[str, MixtureTask], list[MixtureExample]]:
    """Return what :func:`prepare_mixture` committed: tasks by name, and the examples.

    Raises:
        StorageError: The stage cannot be trusted.
    """
    folder, _ = read_stage(run, MIXTURE, expected)
    tasks = _TASKS.validate_json((folder / "tasks.json").read_bytes())
    return {t.name: t for t in tasks}, read_jsonl(folder / "examples.jsonl", MixtureExample)


def describe_mixture(result: StageResult[MixtureResult] | None) -> str:
    """Return the tasks that went in, as a table in Markdown."""
    if result is None:
        return "No mixture was asked for (mixture_tasks is 0).\n"
    lines = ["| task | source | license | examples | SHA-256 |", "|---|---|---|---|---|"]
    for task in result.result.tasks:
        cells = (task.name, task.source, task.license, task.examples, task.sha256)
        shown = [re.sub(r"[|\s`<>]+", " ", str(cell)) for cell in cells]
        lines.append(f"| {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def allot(weights: Mapping[str, float], limits: Mapping[str, int], total: int) -> dict[str, int]:
    """Distribute ``total`` places by weight, by the largest remainder method, within limits.

    What a limit takes from one name goes to the others, again by weight.

    Args:
        weights: A positive weight for each name.
        limits: The most that each name can have.
        total: Places to distribute; at most the sum of the limits.
    """
    total = min(total, sum(limits.values()))
    shares = dict.fromkeys(weights, 0.0)
    free = set(weights)
    while free:
        left = total - sum(share for name, share in shares.items() if name not in free)
        whole = math.fsum(weights[name] for name in free)
        shares |= {name: left * weights[name] / whole for name in free}
        full = {name for name in free if shares[name] >= limits[name]}
        shares |= {name: limits[name] for name in full}
        if not full:
            break
        free -= full
    places = {name: math.floor(share) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: (places[name] - shares[name], name))
    for name in by_remainder[: total - sum(places.values())]:
        places[name] += 1
    return places


def _take(
    config: MixtureConfig, candidates: list[Candidate], learned: int
) -> tuple[list[MixtureTask], list[MixtureExample]]:
    """Take as many instances of each task as its weight says.

    Proportional mixing with a limit, and its temperature, are those of Raffel et al., "Exploring
    the Limits of Transfer Learning" (arXiv 1910.10683, section 3.5.2).
    """
    limits = {each.task.name: len(each.instances) for each in candidates}
    power = 1 / config.temperature if config.weighting == "temperature" else 1.0
    weights = {name: size**power for name, size in limits.items()}
    count = round(learned * (1 - config.share) / config.share)
    counts = allot(weights, limits, count)
    if count > sum(limits.values()):
        log.warning(
            "mixture_share: %g would take %d instances; there are only %d, and all are used",
            *(config.share, count, sum(limits.values())),
        )
    candidates = sorted(candidates, key=lambda each: each.task.name)
    tasks = [c.task.model_copy(update={"examples": counts[c.task.name]}) for c in candidates]
    return tasks, [example for c in candidates for example in c.instances[: counts[c.task.name]]]
