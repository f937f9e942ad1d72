"""Finished runs of the toy task, made up: a student is right on as many test examples as asked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny_models import tiny_bert
from toy_task import remarks, vocabulary, write_task

from daftt_core.config import Config, from_flat
from daftt_core.evaluation import evaluate
from daftt_core.modeling import load_classifier, save_model, set_seeds
from daftt_core.preflight import preflight, resolve
from daftt_core.records import Example, Prediction, SyntheticExample, write_jsonl, write_text
from daftt_core.registry import Decision, TaskRegistry, promote
from daftt_core.storage import commit
from daftt_core.workspace import Run, StageResult, run_stage

TESTS = 120
A, B, C = "a" * 12, "b" * 12, "c" * 12


def examples(start: int, count: int) -> list[Example]:
    return [Example.of(text, output=label) for text, label in remarks()[start : start + count]]


TEST = examples(0, TESTS)


def finished_run(
    folder: Path,
    name: str,
    right: Callable[[int], bool] | float = 0.9,
    *,
    model_seed: int = 0,
    learned: list[Example] | None = None,
    output: str = "",
    **settings: object,
) -> tuple[Run, Config]:
    """A run that has been evaluated: arms ``real`` (60% right) and ``real+annotated``.

    Args:
        folder: Where the runs are.
        name: The run's.
        right: On which test examples both of its better arm's students are right, or which share.
        model_seed: Decides the weights of that arm's students.
        learned: What they have learned from beside the usual.
        output: Where the runs go; the folder's ``runs`` where it is not said.
        settings: Flat settings.
    """
    folder.mkdir(exist_ok=True)
    student = folder / "student"
    if not student.exists():
        write_task(folder)
        tiny_bert(student, vocabulary())
    given = {"task": str(folder / "meals.yaml"), "output": output or str(folder / "runs")}
    given |= {"name": name, "student_model": str(student), "student_seeds": 2}
    given |= {"teacher_model": "nobody/teacher"}  # is not trained, and not counted for the disk
    config = from_flat({**given, "evaluation_bootstrap_samples": 500, **settings})
    run = resolve(config)
    preflight(config, run)
    write(run, "data", labelled=examples(200, 8), dev=examples(220, 4), sha256={"train": "ab" * 32})
    write(run, "test", test=TEST)
    annotated = [
        SyntheticExample(**one.model_dump(), source="annotated")
        for one in [*examples(240, 8), *(learned or [])]
    ]
    write(run, "curated", annotated=annotated)
    arms = {"real": lambda n: n % 10 < 6, "real+annotated": _rule(right)}
    digests = {arm: _students(run, config, arm, model_seed) for arm in arms}
    predictions = {arm: [*_answers(arm, 0, rule), *_answers(arm, 1, rule)]
                   for arm, rule in arms.items()}  # fmt: skip
    predicted = write(run, "predictions", **predictions)
    evaluate(run, config.evaluation, predicted.digest, digests)
    return run, config


def promoted(run: Run, config: Config, by: str = "ann") -> StageResult:
    return promote(run, config.promotion, config.student, config.evaluation, by=by)


def write(run: Run, stage: str, sha256: dict[str, str] | None = None, **files: Any) -> StageResult:
    def work(folder: Path) -> dict[str, Any]:
        for name, records in files.items():
            write_jsonl(folder / f"{name}.jsonl", records)
        write_text(folder / "funnel.json", '{"funnel": {}}')  # what the report reads of curation
        return {"sha256": sha256} if sha256 else {}

    key = [[one.model_dump() for one in records] for records in files.values()]
    return run_stage(run, stage, key, work)


def _most(number: int) -> bool:
    return number % 10 < 8


def _rule(right: Callable[[int], bool] | float) -> Callable[[int], bool]:
    return (lambda n: n < right * TESTS) if isinstance(right, float) else right


def _students(run: Run, config: Config, arm: str, seed: int) -> str:
    """Two students; the second is the better one on dev."""

    def work(folder: Path) -> dict[str, Any]:
        for place in range(2):
            set_seeds(1000 * seed + place)
            model, tokenizer = load_classifier(config.student.model, run.task.label_names)
            save_model(model, tokenizer, folder / f"seed-{place}")
            commit(folder / f"seed-{place}", "key")
        answers = [*_answers(arm, 0, _most), *_answers(arm, 1, _most)]
        write_jsonl(folder / "dev-predictions.jsonl", answers)
        dev = [0.6, 0.7] if arm == "real" else [0.8, 0.9]
        counts = {"real": 8, "annotated": 8 if arm != "real" else 0, "generated": 0, "gold": 0}
        return {"arm": arm, "examples": counts, "dev_scores": dev, "metric": "accuracy"}

    return run_stage(run, f"students/{arm}", [arm, seed], work).digest


def _answers(arm: str, seed: int, right: Callable[[int], bool]) -> list[Prediction]:
    found = []
    for number, example in enumerate(TEST):
        gold = str(example.output)
        other = "unkind" if gold == "kind" else "kind"
        output = gold if right(number) else other
        found.append(
            Prediction(
                id=example.id,
                arm=arm,
                seed=seed,
                gold=gold,
                output=output,
                distribution={gold: float(output == gold), other: float(output == other)},
            )
        )
    return found


def decision(version: str, champion: str | None = None, promoted: bool = True) -> Decision:
    return Decision(
        promoted=promoted,
        reason=f"{version} is {'' if promoted else 'not '}better.",
        evaluation="e",
        rule="superiority",
        metric="accuracy",
        margin=0,
        confidence=0.95,
        version=version,
        arm="real+both",
        seed=0,
        dev_score=0.9,
        score=0.8,
        scores={"accuracy": 0.8},
        test_examples=100,
        champion=champion,
    )


def make_version(registry: Path, version: str) -> None:
    folder = registry / "meals" / "versions" / version
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_text(version)
    commit(folder, version)


_RACE = """
import sys
sys.path.insert(0, sys.argv[3])
from daftt_core.errors import BusyError
from daftt_core.registry import Decision, TaskRegistry
made = Decision.model_validate_json(sys.argv[2])
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
try:
    TaskRegistry(sys.argv[1], "meals").promote(made, made.version, "racer")
    sys.stdout.write("won")
except BusyError as error:
    sys.stdout.write(str(error))
"""


def race(registry: str, versions: tuple[str, ...]) -> list[str]:
    """Let processes promote a version each at the same moment; what each of them says."""
    root = str(Path(__file__).parents[2])
    words = [sys.executable, "-c", _RACE, registry]
    decisions = [decision(version, A).model_dump_json() for version in versions]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    racers = [subprocess.Popen([*words, made, root], **pipes) for made in decisions]
    try:
        for racer in racers:
            assert racer.stdout is not None
            assert racer.stdout.readline() == "ready\n"
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write("go\n")
            racer.stdin.flush()
        return [racer.communicate(timeout=120)[0] for racer in racers]
    finally:
        for racer in racers:
            racer.kill()
            racer.wait()


def check_race(tasks: TaskRegistry, said: list[str]) -> None:
    assert said.count("won") == 1
    winner = (B, C)[said.index("won")]
    loser = said[1 - said.index("won")]
    assert tasks.read().champion == winner
    assert f"meanwhile racer has made {winner} of run {winner} the champion" in loser
    assert loser.count("\n") == 0
    assert [event.action for event in tasks.read().events] == ["promoted", "promoted"]
