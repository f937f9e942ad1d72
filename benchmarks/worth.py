"""Is the product worth its work? Its students against the best that the labels alone give.

    python benchmarks/worth.py --output runs/worth --draws 3 --seeds 3
    python benchmarks/worth.py --output runs/worth --draws 3 --seeds 3 --mode both --setfit

Runs tasks x draws with `daftt run`, and prints one table. A draw takes other labelled examples and
trains teacher and students again; dev and test stay the same. Each run has 64 labels (160 for the
20 newsgroups), 200 dev examples, at most 600 of test and 900 unlabelled inputs. The gate never
stops a run here, so that test can show whether it was right. The same command goes on where it was
stopped; a run that is finished is not run again, unless its settings have changed: after a change
of the code take another --output. A run that fails stops no other.

Settings were chosen on dev of movie-reviews alone, except `student_start`, for which dev and unused
training examples of movie-reviews, product-reviews, tweets and genres were looked at; the other
tasks are there to be held against them.

How to read the table:

- The baseline is the arm `real`: what a run without a teacher makes of the same labels.
- The chosen arm is the one that dev prefers in each draw; it may be the baseline itself.
- Intervals are 95%, over draws and test examples (one draw: over seeds and test examples).
- The share is (chosen - baseline) / (gold - baseline); gold has true labels for all inputs. Where
  the interval of that gap includes zero there is none.
- The gate was right where it let a teacher pass whose arm is better on test, or would have stopped
  one whose arm is worse, both by the interval of that run. Where the gate or test cannot tell,
  nothing is said.
- Generated only is `real+generated` over the baseline, with `--mode both`.
- The regression is the one on embeddings, fitted on the same labels: no student, but what a good
  engineer may try first, and one of the opinions that make the labels.
- Means are over these tasks, each with the same weight. The second interval of a mean is for other
  tasks like these: tasks are resampled too.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from setfit_baseline import setfit_answers
from worth_tasks import TASKS, fetch_task

from daftt_core.config import Config, from_flat, read_settings, to_flat
from daftt_core.errors import DafttError
from daftt_core.evaluation import GOLD_ARM, REAL_ARM, Evaluation, Interval, read_evaluation
from daftt_core.evaluation.answers import read_answers
from daftt_core.evaluation.arms import score_answers
from daftt_core.evaluation.scoring import score_examples
from daftt_core.evaluation.statistics import (
    Floats,
    bootstrap_draws,
    gap_closed,
    percentile_interval,
)
from daftt_core.preflight import resolve
from daftt_core.records import seed_for
from daftt_core.stages import (
    ASSESSMENT,
    EVALUATION,
    PREDICTIONS,
    PREFLIGHT,
    STUDENTS,
    TEST,
    AssessmentResult,
)
from daftt_core.student import EMBEDDINGS, EmbeddingRegression
from daftt_core.telemetry import duration
from daftt_core.workspace import (
    CONFIG_FILE,
    Run,
    read_examples,
    read_file,
    read_result,
    read_stage,
    run_statuses,
)

__all__ = ["main"]

_SETTINGS = {
    "on_gate_fail": "continue",
    "data_dev_count": 200,
    "data_test_share": 0.25,
    "data_test_count": 600,
    "data_unlabelled_count": 900,
}
_GENERATED = "real+generated"
_CHOSEN, _SETFIT, _REGRESSION = "chosen", "SetFit", "regression"
_CONFIDENCE = 0.95
_RESAMPLES = 10_000


@dataclass(frozen=True)
class DrawResult:
    """One finished run.

    Attributes:
        evaluation: How its arms compare.
        assessment: What the gate saw.
        scores: Scores of each arm on test, shape [seeds, examples]; ``chosen`` is the arm that dev
            chose, ``regression`` the one on embeddings, without a student, and ``SetFit`` is there
            where it was asked for.
    """

    evaluation: Evaluation
    assessment: AssessmentResult
    scores: dict[str, Floats]


@dataclass(frozen=True)
class TaskResult:
    """A task's draws.

    Attributes:
        name: The task.
        draws: The finished runs.
    """

    name: str
    draws: tuple[DrawResult, ...]

    @cached_property
    def means(self) -> dict[str, float]:
        """Return the mean score of each arm that all draws have."""
        return {
            arm: float(np.mean([draw.scores[arm] for draw in self.draws])) for arm in self._arms()
        }

    @cached_property
    def resampled(self) -> dict[str, Floats]:
        """Return the mean score of each arm in resamples; the same resamples for all arms."""
        arms = self._arms()
        scores = np.stack([[draw.scores[arm] for draw in self.draws] for arm in arms])
        seed = seed_for(0, "worth", self.name)
        means = bootstrap_draws(scores, _RESAMPLES, seed, f"compare {self.name}")
        return dict(zip(arms, means.T, strict=True))

    def _arms(self) -> list[str]:
        return [arm for arm in self.draws[0].scores if all(arm in d.scores for d in self.draws)]


def main() -> int:
    """Run what is missing, and print the table; returns 1 if a run failed."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--output", type=Path, default=Path("runs/worth"), help="folder of the runs"
    )
    parser.add_argument("--tasks", default=",".join(TASKS), help="tasks, separated by commas")
    parser.add_argument("--draws", type=int, default=3, help="draws of labels for each task")
    parser.add_argument("--seeds", type=int, default=3, help="students of each arm and draw")
    parser.add_argument("--mode", choices=("annotate", "both"), default="annotate")
    parser.add_argument("--setfit", action="store_true", help="train SetFit on the same labels too")
    parser.add_argument("--settings", type=Path, help="YAML file of settings that win over all")
    parser.add_argument("--json", type=Path, help="file for the figures of the table")
    given = parser.parse_args()
    names = given.tasks.split(",")
    if unknown := [name for name in names if name not in TASKS]:
        parser.error(f"--tasks: there is no task {unknown[0]!r} (known: {', '.join(TASKS)})")
    if given.draws < 1:
        parser.error(f"--draws: {given.draws} must be at least 1")
    own = read_settings(given.settings) if given.settings else {}
    results, failed = [], 0
    for place, name in enumerate(names):
        draws = []
        for draw in range(given.draws):
            where = (
                f"[{place * given.draws + draw + 1}/{len(names) * given.draws}] {name}-draw-{draw}"
            )
            try:
                config = _configure(name, draw, given, own)
                draws.append(_result(_run(config, where), config, given.setfit))
            except DafttError as error:
                failed += 1
                print(f"{where}: failed: {error}", flush=True)
        if draws:
            results.append(TaskResult(name, tuple(draws)))
    if results:
        rows = [_figures(result) for result in results]
        means = _means(results) if len(results) > 1 else []
        print(f"\n{given.draws} draws, {given.seeds} seeds\n\n{_table(rows, means)}")
        if given.json:
            given.json.write_text(json.dumps({"tasks": rows, "means": means}, indent=1) + "\n")
    if failed:
        print(f"\n{failed} runs failed; the same command runs them again")
    return 1 if failed else 0


def _configure(name: str, draw: int, given: argparse.Namespace, own: dict[str, object]) -> Config:
    settings: dict[str, object] = {
        **_SETTINGS,
        **fetch_task(name),
        "synthesis_mode": given.mode,
        "student_seeds": given.seeds,
        "data_draw": draw,
        "output": str(given.output),
        "name": f"{name}-draw-{draw}",
    }
    return from_flat({**settings, **own})


def _run(config: Config, where: str) -> Run:
    """Run the pipeline unless this very run is finished; its log lies beside its folder."""
    run = resolve(config)
    if _is_finished(run, config):
        print(f"{where}: finished before", flush=True)
        return run
    print(f"{where}: running", flush=True)
    started = time.monotonic()
    run.folder.parent.mkdir(parents=True, exist_ok=True)
    settings = run.folder.with_name(f"{run.folder.name}.yaml")
    settings.write_text(yaml.safe_dump(to_flat(config)), encoding="utf-8")
    command = [sys.executable, "-m", "daftt_core.cli", "run", "--settings", str(settings), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    try:
        outcome = json.loads(done.stdout)
    except ValueError:
        raise DafttError(f"daftt run ended with exit code {done.returncode}") from None
    if outcome["status"] != "done":
        raise DafttError(outcome["message"])
    print(f"{where}: {duration(time.monotonic() - started)}: {read_evaluation(run).headline}")
    return run


def _is_finished(run: Run, config: Config) -> bool:
    stored = read_file(run.uri, PREFLIGHT, CONFIG_FILE)
    if stored is None or Config.model_validate_json(stored) != config:
        return False
    states = {status.stage: status.state for status in run_statuses(run)}
    return states.get(EVALUATION.name) == "done" and set(states.values()) == {"done"}


def _result(run: Run, config: Config, setfit: bool) -> DrawResult:
    evaluation = read_evaluation(run)
    arms = [result.arm for result in evaluation.arms]
    answers = read_answers(run.folder / PREDICTIONS.name, run.task, arms)
    scores = dict(zip(arms, score_answers(answers, arms), strict=True))
    scores[_CHOSEN] = scores[evaluation.chosen_arm]
    embeddings = read_stage(run, STUDENTS.part(REAL_ARM))[0] / EMBEDDINGS
    if embeddings.is_dir():  # not every kind of student has them
        regression = _regression_scores(run, embeddings, answers.ids)
        scores[_REGRESSION] = np.stack([regression] * len(answers.seeds))
    if setfit and not run.task.columns.text_pair:
        kept = run.folder.with_name(f"{run.folder.name}.setfit.json")
        if not kept.exists():
            outputs, _ = setfit_answers(run, config, answers.ids, answers.seeds)
            kept.write_text(json.dumps(outputs))
        rows = json.loads(kept.read_text())
        metric = run.task.primary_metric
        scores[_SETFIT] = np.array(
            [score_examples(metric, row, list(answers.gold)) for row in rows]
        )
    return DrawResult(evaluation, read_result(run, ASSESSMENT), scores)


def _regression_scores(run: Run, folder: Path, ids: Sequence[str]) -> Floats:
    """Return the score on each test example of the regression on embeddings."""
    by_id = {example.id: example for example in read_examples(run, TEST, None, "test")}
    test = [by_id[each] for each in ids]
    labels = EmbeddingRegression.load(folder, run.task).log_probs(test).argmax(axis=1)
    outputs = [run.task.label_names[label] for label in labels]
    golds = [example.output or "" for example in test]
    return np.asarray(score_examples(run.task.primary_metric, outputs, golds))


def _figures(result: TaskResult) -> dict[str, Any]:
    """Return the figures of a task's row; scores in percent, gains in points."""
    means, resampled = result.means, result.resampled
    gold = means.get(GOLD_ARM)
    figures: dict[str, Any] = {
        "task": result.name,
        "draws": len(result.draws),
        "seeds": len(result.draws[0].evaluation.seeds),
        "baseline": 100 * means[REAL_ARM],
        "chosen": 100 * means[_CHOSEN],
        "chosen_arms": dict(Counter(draw.evaluation.chosen_arm for draw in result.draws)),
        "gold": None if gold is None else 100 * gold,
        "regression": 100 * means[_REGRESSION] if _REGRESSION in means else None,
        "gate": dict(Counter(map(_gate_was, result.draws))),
    }
    for name, arm in (("gain", _CHOSEN), ("gap", GOLD_ARM), ("generated_gain", _GENERATED)):
        figures[name] = _gain(means, resampled, arm)
    figures["gap_closed"] = None
    if gold is not None and figures["gap"][1] > 0:  # else it is a division by noise
        figures["gap_closed"] = gap_closed(means[_CHOSEN], means[REAL_ARM], gold)
    figures["over_regression"] = _gain(means, resampled, _CHOSEN, _REGRESSION)
    figures["over_setfit"] = _gain(means, resampled, _CHOSEN, _SETFIT)
    return figures


def _gain(
    means: dict[str, float], resampled: dict[str, Floats], arm: str, over: str = REAL_ARM
) -> tuple[float, float, float] | None:
    """Return the gain of an arm over another in points, and its interval; None without the arms."""
    if arm not in means or over not in means:
        return None
    interval = percentile_interval(100 * (resampled[arm] - resampled[over]), _CONFIDENCE)
    return 100 * (means[arm] - means[over]), interval.low, interval.high


def _gate_was(draw: DrawResult) -> str:
    """Say whether the gate's verdict was right, as far as the gate and test can tell."""
    assessment, evaluation = draw.assessment, draw.evaluation
    taught = [arm for arm in evaluation.arms if arm.arm not in (REAL_ARM, GOLD_ARM)]
    arm = max(taught, key=lambda one: one.dev_mean)
    shown = arm.comparison.interval if arm.comparison else Interval(low=0, high=0)
    if assessment.passed and (assessment.gain_low or 0) <= 0:
        return "gate cannot tell"
    if not shown.excludes_zero:
        return "test cannot tell"
    return "right" if bool(assessment.passed) == (shown.low > 0) else "wrong"


def _means(results: Sequence[TaskResult]) -> list[dict[str, Any]]:
    """Return means over the tasks: of the gain, of the share of the gap, and of the others."""
    rng = np.random.default_rng(0)
    means = [result.means for result in results]
    resampled = [result.resampled for result in results]
    # of n tasks n - 1 are drawn, as of draws
    count = max(1, len(results) - 1)
    weights = rng.multinomial(count, np.full(len(results), 1 / len(results)), size=_RESAMPLES)
    rows = []
    for title, arm, over in (
        ("gain of the chosen arm, points", _CHOSEN, REAL_ARM),
        ("gap from the baseline to gold, points", GOLD_ARM, REAL_ARM),
        ("gain of generated only, points", _GENERATED, REAL_ARM),
        ("chosen arm over the regression, points", _CHOSEN, _REGRESSION),
        ("chosen arm over SetFit, points", _CHOSEN, _SETFIT),
    ):
        chosen = [i for i in range(len(results)) if arm in means[i] and over in means[i]]
        if not chosen:
            continue
        gains = np.array([resampled[i][arm] - resampled[i][over] for i in chosen]).T
        mean = float(np.mean([means[i][arm] - means[i][over] for i in chosen]))
        rows.append(_mean_row(title, len(chosen), 100 * mean, 100 * gains, weights[:, chosen]))
    with_gold = [i for i in range(len(results)) if GOLD_ARM in means[i]]
    if with_gold:
        of = np.array([resampled[i][_CHOSEN] - resampled[i][REAL_ARM] for i in with_gold]).T
        gap = np.array([resampled[i][GOLD_ARM] - resampled[i][REAL_ARM] for i in with_gold]).T
        mean_of = sum(means[i][_CHOSEN] - means[i][REAL_ARM] for i in with_gold)
        mean_gap = sum(means[i][GOLD_ARM] - means[i][REAL_ARM] for i in with_gold)
        if mean_gap > 0:
            title = "share of the summed gap that is closed, percent"
            share = 100 * mean_of / mean_gap
            rows.append(
                _mean_row(title, len(with_gold), share, 100 * of, weights[:, with_gold], gap)
            )
    return rows


def _mean_row(
    title: str, tasks: int, mean: float, values: Floats, weights: Any, per: Floats | None = None
) -> dict[str, Any]:
    """Return a mean over tasks with its intervals, for these tasks and for others like them.

    Args:
        title: What it is the mean of.
        tasks: How many tasks have it.
        mean: The mean.
        values: The value of each task in each resample, shape [resamples, tasks].
        weights: How often each task is drawn, same shape.
        per: What the sum of values is divided by, same shape; None: by the number of tasks.
    """
    divisor = np.ones_like(values) if per is None else per
    row: dict[str, Any] = {"mean of": title, "tasks": tasks, "mean": mean}
    for name, weight in (("these tasks", np.ones_like(values)), ("other tasks", weights)):
        drawn = weight.sum(axis=1) > 0
        below = (weight * divisor).sum(axis=1)[drawn]
        samples = (weight * values).sum(axis=1)[drawn] / np.where(below == 0, np.nan, below)
        samples = samples[np.isfinite(samples)]
        interval = percentile_interval(samples, _CONFIDENCE)
        row[name] = (interval.low, interval.high)
    return row


def _table(rows: Sequence[dict[str, Any]], means: Sequence[dict[str, Any]]) -> str:
    """Return the figures as two Markdown tables, and how many tasks are worse for it."""
    lines = [
        "| task | baseline | chosen arm | gain, points | gold | share of the gap | gate | "
        "generated only, points | over the regression, points | over SetFit, points |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        arms = ", ".join(f"{arm} {count}" for arm, count in row["chosen_arms"].items())
        gate = ", ".join(f"{verdict} {count}" for verdict, count in row["gate"].items())
        share = "" if row["gap_closed"] is None else f"{100 * row['gap_closed']:.0f}%"
        gold = "" if row["gold"] is None else f"{row['gold']:.1f}"
        lines.append(
            f"| {row['task']} | {row['baseline']:.1f} | {row['chosen']:.1f} ({arms}) | "
            f"{_interval(row['gain'])} | {gold} | {share} | {gate} | "
            f"{_interval(row['generated_gain'])} | {_interval(row['over_regression'])} | "
            f"{_interval(row['over_setfit'])} |"
        )
    if means:
        lines += ["", "| mean over tasks | tasks | mean | 95%, these tasks | 95%, other tasks |"]
        lines.append("|---|---|---|---|---|")
    for row in means:
        ends = [
            f"{low:+.1f} to {high:+.1f}" for low, high in (row["these tasks"], row["other tasks"])
        ]
        lines.append(
            f"| {row['mean of']} | {row['tasks']} | {row['mean']:+.1f} | {ends[0]} | {ends[1]} |"
        )
    worse = [row["task"] for row in rows if row["gain"][2] < 0]
    shares = [row["gap_closed"] for row in rows if row["gap_closed"] is not None]
    if shares:
        mean = f"{100 * np.mean(shares):.0f}%"
        lines += ["", f"Mean of the shares of the gap: {mean} (of {len(shares)} with a gap)."]
    lines += ["", f"Significantly worse than the baseline: {', '.join(worse) or 'no task'}."]
    return "\n".join(lines)


def _interval(gain: tuple[float, float, float] | None) -> str:
    return "" if gain is None else f"{gain[0]:+.1f} ({gain[1]:+.1f} to {gain[2]:+.1f})"


if __name__ == "__main__":
    sys.exit(main())
