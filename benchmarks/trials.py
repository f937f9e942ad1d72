"""What ways to better examples that are not in the product would do to a finished run, on dev.

    python benchmarks/trials.py runs/movie-reviews-e3af247b
    python benchmarks/trials.py runs/movie-reviews-e3af247b --only inputs,filters --seeds 3

- `teachers`: the labels of two teachers, whose probabilities are averaged; the second is trained
  here with another seed.
- `inputs`: two and four times as many unlabelled inputs, labelled by the run's own teacher and
  students.
- `filters`: of the generated examples only those whose label is the one that was asked for, the
  surest three fifths, or those on whose label the students of the labels alone agree.
- `errors`: new examples whose prompts show the third of the labelled ones that teacher and students
  together find hardest, as N. Lee et al. propose ("LLM2LLM", arXiv 2403.15042), in place of as many
  others and beside them.

Students of the arm are trained on each, and answer what the dev split holds beside the examples
that the run used; test is not read. The interval is a paired bootstrap over examples and seeds. The
run must be of a task with one label for each input, its labels those of teacher and students
together, and of the mode both for trials of generated examples.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from scipy.special import logsumexp
from student_options import digests, show, students_scores, unused

from daftt_core.config import Config
from daftt_core.data import prepare
from daftt_core.engines import Engine, LabelScorer, open_local
from daftt_core.evaluation.calibration import Assessment, fit_calibration
from daftt_core.evaluation.statistics import Floats
from daftt_core.modeling import be_quiet, limit_threads
from daftt_core.records import Example, SyntheticExample, iterate_jsonl, write_jsonl
from daftt_core.student import Panel
from daftt_core.synthesis.generating import InputWriter, Requests
from daftt_core.teacher.training import train
from daftt_core.workspace import Run, read_examples, read_forms, run_stage, stage_manifest

_MOST_INPUTS = 4  # times those of the run
_SURE_SHARE = 0.6
_HARD_SHARE = 1 / 3
_WRITTEN = 400
_AT_ONCE = 50
_Trial = tuple[str, list[SyntheticExample]]


@dataclass(frozen=True)
class Finished:
    """A finished run, and its judges: the teacher and the students of the labels alone.

    Attributes:
        config: Its settings.
        run: The run.
    """

    config: Config
    run: Run

    @cached_property
    def engine(self) -> Engine:
        """Return its teacher."""
        return open_local(self.config.synthesis, self.run.folder / "teacher")

    @cached_property
    def panel(self) -> Panel:
        """Return its students of the labels alone."""
        students = self.run.folder / "students/real"
        return Panel(students, self.run.task, self.config.student)

    @cached_property
    def assessment(self) -> Assessment:
        """Return its assessment, which says how the two are combined."""
        text = (self.run.folder / "assessment/assessment.json").read_text(encoding="utf-8")
        return Assessment.model_validate_json(text)

    def scorer(self, engine: Engine) -> LabelScorer:
        """Return a teacher's scorer of labels, as this run has it."""
        return LabelScorer(engine, self.run.task, correct_prior=self.config.synthesis.correct_prior)

    def read(self, name: str) -> list[Example]:
        """Return a part of its data."""
        return list(read_examples(self.run, "data", None, name))

    def curated(self, source: str) -> list[SyntheticExample]:
        """Return its curated examples of a source."""
        file = self.run.folder / "curated" / f"{source}.jsonl"
        return list(iterate_jsonl(file, SyntheticExample))

    def probs(self, examples: Sequence[Example]) -> Floats:
        """Return what teacher and students together say, of shape [examples, labels]."""
        assert self.assessment.calibration is not None
        opinions = self.scorer(self.engine).log_probs(examples), self.panel.log_probs(examples)
        return self.assessment.calibration.apply(*opinions)

    def labelled(
        self, inputs: Sequence[Example], probs: Floats, source: str = "annotated"
    ) -> list[SyntheticExample]:
        """Return inputs with the labels that probabilities say."""
        names = self.run.task.label_names
        return [
            SyntheticExample(
                **example.model_dump(include={"id", "text", "text_pair"}),
                source=source,
                output=names[int(row.argmax())],
                confidence=float(row.max()),
                distribution=dict(zip(names, map(float, row), strict=True)),
            )
            for example, row in zip(inputs, probs, strict=True)
        ]


def main() -> None:
    """Train and answer for each trial; prints a line of a table for each."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="folder of a finished run")
    parser.add_argument("--only", default=",".join(_TRIALS), help="trials, separated by commas")
    parser.add_argument("--seeds", type=int, default=2, help="at most the run's own")
    parser.add_argument("--dev", type=int, default=1000, help="size of the dev split, at most")
    given = parser.parse_args()
    if unknown := set(given.only.split(",")) - _TRIALS.keys():
        parser.error(f"--only: unknown trials: {', '.join(unknown)} (known: {', '.join(_TRIALS)})")
    be_quiet()
    limit_threads()
    config = Config.model_validate_json((given.run / "preflight/config.json").read_text())
    run = Run.model_validate_json((given.run / "preflight/run.json").read_text())
    finished = Finished(config, run.model_copy(update={"uri": str(given.run)}))
    dev = unused(finished.run, config, "real+annotated", given.dev, of_training=False)
    seeds = min(given.seeds, config.student.seeds)
    print(f"{len(dev)} dev examples, seeds: {seeds}\n")
    print("| examples | score | difference, points | 95% interval | |\n|---|---|---|---|---|")
    plain: dict[str, Floats] = {}
    for name in given.only.split(","):
        source, trial = _TRIALS[name]
        arm = f"real+{source}"
        trials = list(trial(finished))
        if arm not in plain:
            trials.insert(0, (f"{source}, as in the run", finished.curated(source)))
        for title, examples in trials:
            scores = _scores(finished, arm, examples, seeds, dev)
            show(f"{title}: {len(examples)}", scores, plain.get(arm))
            plain.setdefault(arm, scores)


def _teachers(finished: Finished) -> Iterator[_Trial]:
    config, run = finished.config, finished.run
    dev, inputs = finished.read("dev"), finished.read("unlabelled")
    with tempfile.TemporaryDirectory() as folder:
        mixed = (run.folder / "mixture").exists()
        for stage in ("data", *["mixture"] * mixed):
            shutil.copytree(run.folder / stage, Path(folder) / stage)
        other = run.model_copy(update={"uri": folder, "seed": run.seed + 1})
        manifest = stage_manifest(run, "mixture") if mixed else None
        train(other, config.teacher, digests(run)[0], manifest.digest if manifest else "")
        engines = finished.engine, open_local(config.synthesis, other.folder / "teacher")
        scorers = [finished.scorer(engine) for engine in engines]
        means = [
            logsumexp([scorer.log_probs(part) for scorer in scorers], axis=0) - np.log(2)
            for part in (dev, inputs)
        ]
    names = run.task.label_names
    gold = [names.index(str(example.output)) for example in dev]
    calibration = fit_calibration([means[0], finished.panel.log_probs(dev)], gold)
    probs = calibration.apply(means[1], finished.panel.log_probs(inputs))
    yield "annotated by two teachers", finished.labelled(inputs, probs)


def _inputs(finished: Finished) -> Iterator[_Trial]:
    config, run = finished.config, finished.run
    inputs = finished.read("unlabelled")
    with tempfile.TemporaryDirectory() as folder:
        wider = run.model_copy(update={"uri": folder})
        data = config.data.model_copy(update={"unlabelled_count": _MOST_INPUTS * len(inputs)})
        drawn = read_examples(wider, "data", prepare(wider, data).digest, "unlabelled")
    parts = ("unlabelled", "dev", "labelled")
    known = {example.id for part in parts for example in finished.read(part)}
    more = [example for example in drawn if example.id not in known]
    own, others = finished.curated("annotated"), finished.labelled(more, finished.probs(more))
    for times in (2, _MOST_INPUTS):
        yield f"{times} times the inputs", own + others[: (times - 1) * len(inputs)]


def _filters(finished: Finished) -> Iterator[_Trial]:
    generated = finished.curated("generated")
    names = finished.run.task.label_names
    yield "as asked", [each for each in generated if each.asked == each.output]
    surest = sorted(generated, key=lambda each: -each.confidence)
    yield "the surest", surest[: int(_SURE_SHARE * len(generated))]
    answers = finished.panel.log_probs(generated).argmax(axis=1)
    pairs = zip(generated, answers, strict=True)
    yield "students agree", [each for each, answer in pairs if names[answer] == each.output]


def _errors(finished: Finished) -> Iterator[_Trial]:
    run, names = finished.run, finished.run.task.label_names
    labelled, generated = finished.read("labelled"), finished.curated("generated")
    gold = [names.index(str(example.output)) for example in labelled]
    right = finished.probs(labelled)[np.arange(len(gold)), gold]
    hard = [labelled[index] for index in right.argsort()[: int(_HARD_SHARE * len(labelled))]]
    config = finished.config.synthesis.model_copy(update={"generate_count": _WRITTEN})
    other = run.model_copy(update={"seed": run.seed + 1})  # or requests and drafts were the same
    form = read_forms(run, digests(run)[0]).inputs
    requests = Requests(other, config, hard)
    writer = InputWriter(other, config, finished.engine, requests, form)
    written = {
        example.text: example
        for start in range(0, _WRITTEN, _AT_ONCE)
        for example in writer.write(range(start, start + _AT_ONCE))
        if example.problem is None
    }
    for example in (*labelled, *generated, *finished.read("dev")):
        written.pop(example.text, None)
    inputs = list(written.values())
    new = finished.labelled(inputs, finished.probs(inputs), "generated")
    yield "around errors, in place of as many", generated[: max(0, len(generated) - len(new))] + new
    yield "around errors, beside the others", generated + new


_TRIALS: dict[str, tuple[str, Callable[[Finished], Iterator[_Trial]]]] = {
    "teachers": ("annotated", _teachers),
    "inputs": ("annotated", _inputs),
    "filters": ("generated", _filters),
    "errors": ("generated", _errors),
}


def _scores(
    finished: Finished,
    arm: str,
    examples: list[SyntheticExample],
    seeds: int,
    dev: list[Example],
) -> Floats:
    """Train an arm's students on these examples; return their scores, shape [seeds, examples]."""
    source = arm.removeprefix("real+")
    student = finished.config.student.model_copy(update={"seeds": seeds, "recipe": "all"})
    config = finished.config.model_copy(update={"student": student})
    with tempfile.TemporaryDirectory() as folder:
        own = finished.run.model_copy(update={"uri": folder})
        for stage in ("data", "students/real"):
            shutil.copytree(finished.run.folder / stage, Path(folder) / stage)
        run_stage(
            own,
            "curated",
            [],
            lambda stage: {source: write_jsonl(stage / f"{source}.jsonl", examples)},
        )
        return students_scores(own, config, arm, dev)


if __name__ == "__main__":
    main()
