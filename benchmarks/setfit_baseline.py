"""What SetFit makes of a finished run's few labels, on its test examples, with intervals.

    python benchmarks/setfit_baseline.py runs/movie-reviews-e3af247b

SetFit 1.2.0 starts from the run's student (a sentence transformer) and learns from the run's real
labelled examples, with its own defaults, once for each seed. It sees neither unlabelled inputs nor
dev. It runs in an environment of its own in the cache, made once (about 2 GB). Test examples are
read for this one comparison: nothing is chosen by it. The interval of a difference is the paired
bootstrap over test examples and seeds that the run's own evaluation uses.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from peers import peer_folder

from daftt_core.config import Config
from daftt_core.errors import DataError
from daftt_core.evaluation.answers import read_answers
from daftt_core.evaluation.scoring import score_examples
from daftt_core.evaluation.statistics import bootstrap_means, percentile_interval
from daftt_core.modeling import find_model
from daftt_core.workspace import Run, read_examples

__all__ = ["setfit_answers"]

_RESAMPLES = 10_000
_PEER = """
import json, sys, time
import torch
from datasets import Dataset
from setfit import SetFitModel, Trainer, TrainingArguments
asked = json.load(open(sys.argv[1]))
train = Dataset.from_dict(asked["train"])
for seed in asked["seeds"]:
    started = time.perf_counter()
    torch.manual_seed(seed)
    model = SetFitModel.from_pretrained(asked["model"], labels=asked["labels"])
    arguments = TrainingArguments(output_dir=asked["folder"], seed=seed, save_strategy="no",
                                  report_to="none")
    Trainer(model=model, args=arguments, train_dataset=train).train()
    seconds = time.perf_counter() - started
    outputs = [str(one) for one in model.predict(asked["test"])]
    print(json.dumps({"seed": seed, "seconds": seconds, "outputs": outputs}), flush=True)
"""


def main() -> None:
    """Train and answer; prints a line of a table for SetFit and for each arm of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    given = parser.parse_args()
    config = Config.model_validate_json((given.run / "preflight/config.json").read_text())
    run = Run.model_validate_json((given.run / "preflight/run.json").read_text())
    run = run.model_copy(update={"uri": str(given.run)})
    if run.task.kind != "classification" or run.task.columns.text_pair:
        raise DataError(f"{run.task.id}: SetFit is given one label for each single text here")
    arms = sorted(path.stem for path in (given.run / "predictions").glob("*.jsonl"))
    answers = read_answers(given.run / "predictions", run.task, arms)
    peer, seconds = setfit_answers(run, config, answers.ids, answers.seeds)
    metric = run.task.primary_metric
    outputs = {"SetFit": peer, **answers.outputs}
    scores = {
        name: np.array([score_examples(metric, list(row), list(answers.gold)) for row in rows])
        for name, rows in outputs.items()
    }
    print(
        f"{len(answers.ids)} test examples, {len(answers.seeds)} seeds; "
        f"SetFit trained {np.mean(seconds):.0f} s a seed\n"
    )
    print("| trained by | score | over SetFit, points | 95% interval |\n|---|---|---|---|")
    for name, rows in scores.items():
        print(_row(name, rows, scores["SetFit"]))


def setfit_answers(
    run: Run, config: Config, ids: tuple[str, ...], seeds: tuple[int, ...]
) -> tuple[list[list[str]], list[float]]:
    """Train SetFit on a run's labels; its answers and the seconds of each training.

    Args:
        run: A finished run of a task with single texts.
        config: Its settings.
        ids: The test examples.
        seeds: Seeds of the trainings.

    Returns:
        One row of labels for each seed, in the order of ``ids``; and one number for each seed.
    """
    torch_version = torch.__version__.split("+")[0]
    folder = peer_folder("setfit", ["setfit==1.2.0", f"torch=={torch_version}"])
    labelled = read_examples(run, "data", None, "labelled")
    tests = {one.id: one.text for one in read_examples(run, "test", None, "test")}
    asked = folder / "asked.json"
    asked.write_text(
        json.dumps(
            {
                "model": str(find_model(config.student.model)),
                "folder": str(folder / "training"),
                "labels": run.task.label_names,
                "seeds": seeds,
                "train": {
                    "text": [one.text for one in labelled],
                    "label": [run.task.label_names.index(one.output) for one in labelled],
                },
                "test": [tests[one] for one in ids],
            }
        )
    )
    done = subprocess.run(
        [folder / "bin" / "python", "-c", _PEER, asked],
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"seed"')]
    return [one["outputs"] for one in found], [one["seconds"] for one in found]


def _row(name: str, scores: np.ndarray, plain: np.ndarray) -> str:
    """A line of the table; scores are of shape [seeds, examples]."""
    mean = f"| {name} | {100 * scores.mean():.1f}% |"
    if scores is plain:
        return f"{mean} | |"
    samples = 100 * bootstrap_means(np.array([plain, scores]), _RESAMPLES, seed=0)
    gain = percentile_interval(samples[:, 1] - samples[:, 0], 0.95)
    difference = 100 * (scores.mean() - plain.mean())
    return f"{mean} {difference:+.1f} | {gain.low:+.1f} to {gain.high:+.1f} |"


if __name__ == "__main__":
    sys.exit(main())
