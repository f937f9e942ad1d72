"""What students learn from: all synthetic examples, the surest, or their own mean; dev decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from student_examples import commit_examples, sentiment_examples, sentiment_task

from daftt_core.config import StudentConfig
from daftt_core.records import Example, Prediction, SyntheticExample, read_jsonl
from daftt_core.stages import STUDENTS, StudentsResult
from daftt_core.student import seeds, train_arm
from daftt_core.student.lessons import ArmExamples
from daftt_core.student.recipes import surest, with_answers
from daftt_core.workspace import Run

ARM = "real+annotated"


def annotated(examples: Sequence[Example], wrong: int = 0) -> list[SyntheticExample]:
    """Labelled examples, the first of which have the wrong label with the least confidence."""
    other = {"negative": "positive", "positive": "negative"}
    made = []
    for index, example in enumerate(examples):
        label = str(example.output)
        given, confidence = (other[label], 0.89) if index < wrong else (label, 0.9)
        distribution = {given: confidence, other[given]: 1 - confidence}
        row = example.model_dump() | {"output": given}
        made.append(
            SyntheticExample(
                **row, source="annotated", confidence=confidence, distribution=distribution
            )
        )
    return made


def train(run: Run, config: StudentConfig, rows: Sequence[SyntheticExample]) -> StudentsResult:
    data = {"labelled": sentiment_examples(8), "dev": sentiment_examples(120, 100)}
    digests = (
        commit_examples(run, "data", data).digest,
        commit_examples(run, "curated", {"annotated": rows}).digest,
    )
    return STUDENTS.parse(train_arm(run, config, ARM, *digests).summary, "")


def folders(run: Run) -> list[str]:
    folder = run.folder / "students" / ARM
    return sorted(each.name for each in folder.iterdir() if each.is_dir())


def test_of_each_label_the_surest_three_fifths_stay() -> None:
    real = sentiment_examples(4)
    rows = [
        row.model_copy(update={"confidence": (index // 2) / 10})
        for index, row in enumerate(annotated(sentiment_examples(20, 50)))
    ]
    written = rows[0].model_copy(update={"source": "generated", "id": "0" * 16})
    counts = {"real": 4, "annotated": 20, "generated": 1, "gold": 0}
    kept = surest(ArmExamples((*real, *rows, written), counts))
    assert kept.examples[:4] == tuple(real)
    stay = [each for each in kept.examples if isinstance(each, SyntheticExample)]
    assert written in stay  # however unsure: it was written for its label
    assert Counter(each.output for each in stay if each != written) == dict.fromkeys(
        ("negative", "positive"), 6
    )
    assert min(each.confidence for each in stay if each != written) == 0.4
    assert kept.counts == counts | {"annotated": 12}


def test_the_mean_of_students_answers_is_what_the_next_ones_learn() -> None:
    rows = annotated(sentiment_examples(2, 50))
    collected = ArmExamples((sentiment_examples(1)[0], *rows), {"real": 1, "annotated": 2})

    def answers(*positive: float) -> list[Prediction]:
        return [
            Prediction(
                id=row.id,
                arm=ARM,
                seed=0,
                gold=str(row.output),
                output="positive",
                distribution={"positive": value, "negative": 1 - value},
            )
            for row, value in zip(rows, positive, strict=True)
        ]

    taught = with_answers(sentiment_task(), collected, [answers(0.2, 1.0), answers(0.6, 0.5)])
    assert taught.examples[0] == collected.examples[0]
    probabilities = [
        each.distribution["positive"]
        for each in taught.examples
        if isinstance(each, SyntheticExample)
    ]
    assert probabilities == pytest.approx([0.4, 0.75])


def test_the_surest_are_taken_where_dev_clearly_prefers_them(
    run: Run, config: StudentConfig
) -> None:
    best = config.model_copy(update={"recipe": "best", "learning_rate": 2e-3, "min_steps": 40})
    misled = train(run, best, annotated(sentiment_examples(60, 300), wrong=24))
    assert misled.recipes is not None
    assert misled.recipes["surest"] > misled.recipes["all"] + 0.1
    assert misled.recipe == "surest"
    assert misled.examples["annotated"] < 60
    assert folders(run) == ["seed-0", "seed-1"]


def test_where_dev_cannot_tell_all_are_taken(run: Run, config: StudentConfig) -> None:
    best = config.model_copy(update={"recipe": "best"})
    result = train(run, best, annotated(sentiment_examples(20, 300)))
    assert result.recipe == "all"
    assert result.recipes is not None
    assert sorted(result.recipes) == ["all", "surest"]
    assert result.examples["annotated"] == 20


def test_a_first_student_is_one_of_the_arm_and_the_same_as_without_a_choice(
    run: Run, config: StudentConfig
) -> None:
    rows = annotated(sentiment_examples(20, 300))
    weights = run.folder / "students" / ARM / "seed-0" / "model.safetensors"
    train(run, config.model_copy(update={"recipe": "all"}), rows)
    given = weights.read_bytes()
    train(run, config.model_copy(update={"recipe": "best"}), rows)
    assert weights.read_bytes() == given


def test_a_choice_that_was_interrupted_is_not_made_again(
    run: Run, config: StudentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    best = config.model_copy(update={"recipe": "best"})
    rows = annotated(sentiment_examples(20, 300))

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(seeds.Students, "_move", staticmethod(stop))
    with pytest.raises(KeyboardInterrupt):
        train(run, best, rows)
    monkeypatch.undo()
    compare = seeds.Students._compare_recipes
    calls: list[str] = []
    monkeypatch.setattr(
        seeds.Students, "_compare_recipes", lambda self: calls.append("") or compare(self)
    )
    result = train(run, best, rows)
    assert not calls
    assert result.recipes is not None
    assert folders(run) == ["seed-0", "seed-1"]


def test_students_are_distilled_and_dev_takes_the_better(run: Run, config: StudentConfig) -> None:
    distil = config.model_copy(update={"recipe": "all", "distil": True, "learning_rate": 2e-3})
    result = train(run, distil, annotated(sentiment_examples(20, 300)))
    assert result.tried is not None
    assert sorted(result.tried) == ["distilled", "plain"]
    assert result.tried[result.way] == max(result.tried.values())
    answers = read_jsonl(run.folder / "students" / ARM / "dev-predictions.jsonl", Prediction)
    right = np.mean([one.output == one.gold for one in answers])
    assert right == pytest.approx(result.tried[result.way])
    assert folders(run) == ["seed-0", "seed-1"]


def test_distilled_students_learn_what_the_first_ones_say(
    run: Run, config: StudentConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    distil = config.model_copy(update={"recipe": "all", "distil": True})
    lessons: list[list[list[float]]] = []
    learn = seeds.Students._learning_from

    def watch(self: seeds.Students, examples: ArmExamples, settings: StudentConfig) -> object:
        students = learn(self, examples, settings)
        lessons.append(students.lesson.dataset["distribution"][:])
        return students

    monkeypatch.setattr(seeds.Students, "_learning_from", watch)
    train(run, distil, annotated(sentiment_examples(20, 300)))
    (lesson,) = lessons
    assert len(lesson) == 28
    assert sorted(map(max, lesson[:8])) == [1.0] * 8  # the real ones, as they are labelled
    assert all(0.3 < max(row) < 0.9 for row in lesson[8:])  # after three steps, hardly sure


def test_an_arm_of_true_labels_has_nothing_to_choose(run: Run, config: StudentConfig) -> None:
    both = config.model_copy(update={"recipe": "best", "distil": True})
    data = {
        "labelled": sentiment_examples(8),
        "dev": sentiment_examples(20, 100),
        "gold": sentiment_examples(12, 200),
    }
    digest = commit_examples(run, "data", data).digest
    result = STUDENTS.parse(train_arm(run, both, "gold", digest).summary, "")
    assert (result.tried, result.recipes) == (None, None)
