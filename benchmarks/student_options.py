"""What each option of student training does to an arm, on dev: of a finished run, with intervals.

    python benchmarks/student_options.py runs/movie-reviews-e3af247b
    python benchmarks/student_options.py runs/movie-reviews-e3af247b --arm real+both --seeds 3

The arm is trained anew from the run's own examples, once for each option and seed; a seed means the
same head and the same dropout under every option. The students answer what the dev split holds
beside the examples that the run itself used as dev, so that stopping early, which looks at those,
gains nothing by having seen them. Test is not read. The interval of a difference is a paired
bootstrap over dev examples (and seeds, where there are several).
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
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
}
_RESAMPLES = 5000


def main() -> None:
    """Train and answer under each option; prints a line of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--arm", default="real+annotated")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--dev", type=int, default=1000, help="size of the dev split, at most")
    given = parser.parse_args()
    config = Config.model_validate_json((given.run / "preflight/config.json").read_text())
    run = Run.model_validate_json((given.run / "preflight/run.json").read_text())
    run = run.model_copy(update={"uri": str(given.run)})
    dev = unused_dev(run, config, given.arm, given.dev)
    print(f"arm {given.arm}: {len(dev)} dev examples, seeds: {given.seeds}\n")
    print("| option | score | difference, points | 95% interval | |\n|---|---|---|---|---|")
    plain: np.ndarray | None = None
    for name, settings in OPTIONS.items():
        student = config.student.model_copy(update={"seeds": given.seeds, **settings})
        changed = config.model_copy(update={"student": student})
        scores = _scores(run, changed, given.arm, dev)
        show(name, scores, plain)
        plain = scores if plain is None else plain


def unused_dev(run: Run, config: Config, arm: str, count: int) -> list[Example]:
    """Return the examples of the dev split that the run did not use."""
    with tempfile.TemporaryDirectory() as folder:
        wider = run.model_copy(update={"uri": folder})
        data = config.data.model_copy(update={"dev_count": count})
        dev = read_examples(wider, "data", prepare(wider, data).digest, "dev")
    learned = read_arm(run, arm, *digests(run)).examples
    seen = {example.id for example in (*learned, *read_examples(run, "data", None, "dev"))}
    left = [example for example in dev if example.id not in seen]
    if not left:
        raise DataError(f"{run.uri}: its run used all of the dev split's {len(dev)} examples")
    return left


def digests(run: Run) -> tuple[str, str]:
    """Return the digests of the stages that arms learn from; empty where one is missing."""
    manifests = [stage_manifest(run, stage) for stage in ("data", "curated")]
    return tuple(manifest.digest if manifest else "" for manifest in manifests)


def _scores(run: Run, config: Config, arm: str, dev: list[Example]) -> np.ndarray:
    """Train an arm's students in a folder of their own; return their score on each example."""
    with tempfile.TemporaryDirectory() as place:
        for stage in ("data", "curated"):
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
