"""What each option of student training does to an arm, on dev: of a finished run, with intervals.

    python benchmarks/student_options.py runs/movie-reviews-e3af247b
    python benchmarks/student_options.py runs/movie-reviews-e3af247b --arm real+both --seeds 3
    python benchmarks/student_options.py runs/movie-reviews-e3af247b --only "start model"

The arm is trained anew from the run's own examples, once for each option and seed; a seed means the
same head and the same dropout under every option. The students answer what the splits for dev and
training hold beside the examples that the run itself used, so that stopping early, which looks at
dev, gains nothing by having seen them. They start from the run's students of the labels alone,
where the run's own do, so there are at most as many of them. Test is not read. The interval of a
difference is a paired bootstrap over these examples (and seeds, where there are several).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from itertools import chain
from pathlib import Path

import numpy as np

from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.errors import DataError
from daftt_core.evaluation.scoring import score_examples
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.records import Example
from daftt_core.student import Questions, read_arm, train_arm
from daftt_core.workspace import Run, read_examples, stage_manifest

OPTIONS: dict[str, dict[str, object]] = {
    "defaults": {},
    "patience 3": {"patience": 3},
    "example_weights class": {"example_weights": "class"},
    "example_weights confidence": {"example_weights": "confidence"},
    "soft_labels": {"soft_labels": True},
    "real_weight 4": {"real_weight": 4.0},
    "order real-last": {"order": "real-last"},
    "start model": {"start": "model"},
}
READ = ("data", "curated", "students/real")
"""Stages that the students of other arms learn from, and start from."""

_RESAMPLES = 5000


def main() -> None:
    """Train and answer under each option; prints a line of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--arm", default="real+annotated")
    parser.add_argument("--seeds", type=int, default=1, help="at most the run's own")
    parser.add_argument("--dev", type=int, default=1000, help="examples that are answered, at most")
    parser.add_argument("--only", default=",".join(OPTIONS), help="options, separated by commas")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - OPTIONS.keys():
        parser.error(f"--only: unknown options: {', '.join(unknown)} (known: {', '.join(OPTIONS)})")
    config = Config.model_validate_json((given.run / "preflight/config.json").read_text())
    run = Run.model_validate_json((given.run / "preflight/run.json").read_text())
    run = run.model_copy(update={"uri": str(given.run)})
    dev = unused(run, config, given.arm, given.dev)
    seeds = min(given.seeds, config.student.seeds)
    print(f"arm {given.arm}: {len(dev)} examples, seeds: {seeds}\n")
    print("| option | score | difference, points | 95% interval | |\n|---|---|---|---|---|")
    plain: np.ndarray | None = None
    for name in dict.fromkeys(("defaults", *given.only.split(","))):
        student = config.student.model_copy(update={"seeds": seeds, **OPTIONS[name]})
        changed = config.model_copy(update={"student": student})
        scores = _scores(run, changed, given.arm, dev)
        show(name, scores, plain)
        plain = scores if plain is None else plain


def unused(
    run: Run, config: Config, arm: str, count: int, *, of_training: bool = True
) -> list[Example]:
    """Return labelled examples of the splits for dev and training that the run did not use.

    Args:
        run: The run.
        config: Its settings.
        arm: An arm whose examples are left out.
        count: How many, at most.
        of_training: Whether those of the split for training follow, where their labels are known.

    Raises:
        DataError: The run used all that there are.
    """
    more = {"dev_count": count, "unlabelled_count": config.data.unlabelled_count + count}
    with tempfile.TemporaryDirectory() as folder:
        wider = run.model_copy(update={"uri": folder})
        data = config.data.model_copy(update=more)
        prepared = prepare(wider, data)
        names = ["dev"] + ["gold"] * (of_training and prepared.result.gold_is_known)
        found = [read_examples(wider, "data", prepared.digest, name) for name in names]
    used = [read_examples(run, "data", None, name) for name in ("dev", "unlabelled")]
    learned = read_arm(run, arm, *digests(run)[:2]).examples
    seen = {example.id for example in chain(learned, *used)}
    left = [example for example in chain(*found) if example.id not in seen]
    if not left:
        raise DataError(f"{run.uri}: its run used all examples of its splits")
    return left[:count]


def digests(run: Run) -> list[str]:
    """Return the digests of the stages that arms learn from; empty where one is missing."""
    manifests = [stage_manifest(run, stage) for stage in READ]
    return [manifest.digest if manifest else "" for manifest in manifests]


def _scores(run: Run, config: Config, arm: str, dev: list[Example]) -> np.ndarray:
    """Train an arm's students in a folder of their own; return their score on each example."""
    with tempfile.TemporaryDirectory() as place:
        for stage in READ:
            shutil.copytree(Path(run.uri) / stage, Path(place) / stage)
        return students_scores(run.model_copy(update={"uri": place}), config, arm, dev)


def students_scores(run: Run, config: Config, arm: str, dev: list[Example]) -> np.ndarray:
    """Train an arm's students in the run's folder; return their scores, shape [seeds, examples]."""
    student = config.student
    train_arm(run, student, arm, *digests(run))
    questions = Questions(run.task, student, dev)
    scores = []
    for seed in range(student.seeds):
        folder = run.folder / "students" / arm / f"seed-{seed}"
        answers = questions.ask(folder, arm, seed, [].append)
        outputs, golds = [one.output for one in answers], [one.gold for one in answers]
        scores.append(score_examples(run.task.primary_metric, outputs, golds))
    return np.array(scores)


def show(name: str, scores: np.ndarray, plain: np.ndarray | None) -> None:
    """Print a line of the table; scores are of shape [seeds, examples], without a peer if None."""
    mean = f"| {name} | {100 * scores.mean():.1f}% |"
    if plain is None:
        print(f"{mean} | | |", flush=True)
        return
    samples = 100 * bootstrap_means(np.array([plain, scores]), _RESAMPLES, seed=0)
    gain = percentile_interval(samples[:, 1] - samples[:, 0], 0.95)
    told = "better" if gain.low > 0 else "worse" if gain.high < 0 else "cannot be told"
    print(
        f"{mean} {100 * (scores.mean() - plain.mean()):+.1f} | "
        f"{gain.low:+.1f} to {gain.high:+.1f} | {told} |",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
