"""Does a mixture of other tasks help the teacher? Its dev score with and without, on the demo.

    python benchmarks/mixture.py
    python benchmarks/mixture.py --seeds 1 --tasks 6 --share 0.5

For each seed two teachers are trained on the same labelled examples, one of them with a mixture
too, each with as many passes. Both answer the same dev examples, all that the split holds, and are
scored as the assessment does it: each half of dev with the calibration fitted on the other half.
The interval of the difference covers dev examples and seeds, not the choice of the labelled
examples. A training takes some minutes on two cores.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from daftt_core.config import Config, from_flat
from daftt_core.data import prepare, prepare_mixture
from daftt_core.engines import LabelScorer, LocalEngine
from daftt_core.evaluation.calibration import fit_calibration
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.modeling import load_causal_lm
from daftt_core.preflight import resolve
from daftt_core.records import seed_for
from daftt_core.teacher import train
from daftt_core.workspace import read_examples

_RESAMPLES = 5000


def main() -> None:
    """Train, score and compare; prints a line for each teacher and the difference at the end."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", type=int, default=6, help="tasks of the mixture")
    parser.add_argument("--share", type=float, default=0.5, help="the target's share")
    parser.add_argument("--source", default="", help="where the tasks are; the demo's by default")
    parser.add_argument("--seeds", type=int, default=3, help="teachers of each kind")
    given = parser.parse_args()
    settings = {
        "mixture_source": given.source,
        "mixture_share": given.share,
        "data_dev_count": 1000,
    }
    kinds = (0, given.tasks)
    right = []  # by kind, seed, example
    for tasks in kinds:
        config = from_flat({**settings, "mixture_tasks": tasks})
        right.append([_right_answers(config, seed) for seed in range(given.seeds)])
    scores = np.array(right, dtype=np.float64)
    samples = bootstrap_means(scores, _RESAMPLES, seed=0)
    for tasks, one, drawn in zip(kinds, scores, samples.T, strict=True):
        interval = percentile_interval(drawn, 0.95)
        print(
            f"mixture of {tasks} tasks: {100 * one.mean():.1f}% "
            f"({100 * interval.low:.1f} to {100 * interval.high:.1f}); by seed: "
            f"{', '.join(f'{100 * mean:.1f}' for mean in one.mean(axis=1))}"
        )
    gain = percentile_interval(samples[:, 1] - samples[:, 0], 0.95)
    print(
        f"difference: {100 * (scores[1].mean() - scores[0].mean()):+.1f} points "
        f"({100 * gain.low:+.1f} to {100 * gain.high:+.1f}), {scores.shape[2]} dev examples, "
        f"{given.seeds} seeds"
    )


def _right_answers(config: Config, seed: int) -> list[bool]:
    """Train a teacher and say which dev examples it answers rightly."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        run = resolve(config).model_copy(update={"uri": folder})
        data = prepare(run, config.data).digest  # the same for all
        trained = run.model_copy(update={"seed": run.seed + seed})
        mixture = prepare_mixture(trained, config.mixture, data, directions=2)
        teacher = train(trained, config.teacher, data, mixture.digest if mixture else "")
        dev = read_examples(run, "data", data, "dev")
        model, tokenizer = load_causal_lm(Path(folder) / "teacher")
        engine = LocalEngine(
            model,
            tokenizer,
            batch_size=config.synthesis.batch_size,
            max_length=config.synthesis.max_length,
        )
        log_probs = LabelScorer(engine, run.task, correct_prior=True).log_probs(dev)
    labels = run.task.label_names
    gold = np.array([labels.index(example.output) for example in dev])
    half = np.array([seed_for(run.seed, "calibration", example.id) % 2 for example in dev])
    right = np.empty(len(dev), dtype=bool)
    for part in (0, 1):
        fitted = fit_calibration([log_probs[half != part]], gold[half != part])
        probs = fitted.apply(log_probs[half == part])
        right[half == part] = probs.argmax(axis=1) == gold[half == part]
    print(
        f"{config.mixture.tasks} tasks, seed {seed}: {teacher.summary['mixed_in']} mixed in, "
        f"{teacher.summary['steps']} steps, {100 * right.mean():.1f}% of {len(dev)} dev examples, "
        f"{(time.monotonic() - started) / 60:.1f} minutes",
        flush=True,
    )
    return list(map(bool, right))


if __name__ == "__main__":
    sys.exit(main())
