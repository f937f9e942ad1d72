"""A run's folder as the stages leave it, with numbers made up to look like those of a real run."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from daftt_core.config import Config, from_flat
from daftt_core.errors import TrainingError
from daftt_core.evaluation import (
    LABEL_ISSUES,
    SMALL,
    ArmResult,
    ClassScores,
    Comparison,
    Evaluation,
    Interval,
    LabelIssue,
    ReliabilityBin,
    Slice,
    SliceScore,
)
from daftt_core.evaluation.arms import headline
from daftt_core.records import (
    Example,
    Prediction,
    Rejection,
    SyntheticExample,
    write_jsonl,
    write_text,
)
from daftt_core.storage import Manifest
from daftt_core.tasks import load_task
from daftt_core.telemetry import Usage
from daftt_core.workspace import Run, run_stage

LABELS = ("negative", "positive")
ARMS = ("real", "real+annotated", "real+generated", "real+both", "gold")
STAGES = (
    *("preflight", "data", "teacher", "students/real", "assessment", "synthetic", "curated"),
    *("students", "predictions", "evaluation"),
)
TEXTS = {
    "positive": (
        "A quietly moving film that trusts its actors , and they repay that trust .",
        "One of the year's most original comedies .",
        "Funny , tender and far smarter than it needs to be .",
        "The last half hour is as gripping as anything I have seen this year .",
    ),
    "negative": (
        "The jokes arrive late and leave early .",
        "A long , loud and strangely joyless sequel .",
        "It is hard to care about people the script itself has forgotten .",
        "Two good scenes do not make up for the ninety minutes around them .",
    ),
}


def make_run(
    folder: Path,
    *,
    until: str = "evaluation",
    settings: Mapping[str, object] | None = None,
    hostile: Sequence[str] = (),
    passed: bool = True,
) -> Run:
    """A run with all stages up to and including ``until``.

    Args:
        folder: The run's folder.
        until: One of ``STAGES``.
        settings: Flat settings that differ from the defaults.
        hostile: Texts to put among the kept and the rejected examples.
        passed: Whether the teacher passes its gate.
    """
    config = from_flat({"seed": 7, "teacher_epochs": 5, **(settings or {})})
    run = Run(uri=str(folder), seed=config.run.seed, task=load_task(config.run.task))
    for stage in STAGES[: STAGES.index(until) + 1]:
        _MAKERS[stage](run, config, tuple(hostile), passed)
    for path in folder.rglob("manifest.json"):
        _set_costs(path, path.parent.relative_to(folder).as_posix())
    set_times(folder)
    return run


BEGUN = 1_750_000_000


def set_times(folder: Path) -> None:
    """Let the stages of a run end one after the other, as those of a run that is left alone."""
    now = BEGUN
    for path in sorted(folder.rglob("manifest.json"), key=_place):
        now += int(Manifest.model_validate_json(path.read_text()).seconds)
        os.utime(path, (now, now))


def _place(manifest: Path) -> tuple[int, str]:
    name = manifest.parent.name
    names = {name, f"{manifest.parent.parent.name}/{name}", manifest.parent.parent.name}
    places = (place for place, stage in enumerate(STAGES) if stage in names)
    return min(places, default=0), name


def _set_costs(path: Path, stage: str) -> None:
    """Give a stage the time and memory it would have taken; nothing was computed here."""
    seconds, gigabytes = _COSTS.get(stage.partition("/")[0], (1.5, 0.4))
    manifest = Manifest.model_validate_json(path.read_text())
    usage = Usage(attempts=1, seconds=seconds, cpu_seconds={"a CPU": 2 * seconds})
    costs = {"seconds": seconds, "peak_memory_bytes": int(gigabytes * 2**30), "usage": usage}
    path.write_text(manifest.model_copy(update=costs).model_dump_json())


_COSTS = {
    "data": (2.1, 0.5),
    "teacher": (231.4, 3.1),
    "assessment": (41.0, 1.9),
    "synthetic": (88.8, 1.6),
    "students": (62.5, 1.4),
}


def fail(run: Run, stage: str, message: str) -> None:
    """Make a stage fail as a user's mistake or a diverged training does."""

    def work(folder: Path) -> dict[str, Any]:
        raise TrainingError(message)

    try:
        run_stage(run, stage, [message], work)
    except TrainingError:
        return


def evaluation() -> Evaluation:
    """What the students of the sample run score."""
    arms = tuple(map(_arm, ARMS))
    return Evaluation(
        task_id="movie-reviews",
        kind="classification",
        metric="accuracy",
        confidence=0.95,
        test_examples=1000,
        seeds=(0, 1, 2),
        labels=LABELS,
        arms=arms,
        chosen_arm="real+annotated",
        headline=headline(arms, arms[1], "accuracy", 0.95),
        slices=tuple(_slice(*part, arms) for part in _SLICES),
        slice_column="region <b>",
    )


HOSTILE_VALUE = "<script>alert(1)</script>\u202e"
_SLICES: tuple[tuple[Any, str, int, float], ...] = (
    ("class", "negative", 500, -0.02),
    ("class", "positive", 500, 0.02),
    ("length", "12 to 70 characters", 334, 0.01),
    ("length", "71 to 118 characters", 333, 0.0),
    ("length", "119 to 260 characters", 333, -0.01),
    ("column", "north", 612, 0.0),
    ("column", HOSTILE_VALUE, 371, 0.01),
    ("column", "all others (4 values)", 17, -0.1),
)


def _slice(by: Any, name: str, examples: int, shift: float, arms: Sequence[ArmResult]) -> Slice:
    scores = []
    for arm in arms:
        gain = arm.comparison and arm.comparison.gain + 100 * shift
        scores.append(
            SliceScore(
                arm=arm.arm,
                score=arm.mean + shift,
                gain=gain,
                interval=None if gain is None else Interval(low=gain - 9, high=gain + 9),
            )
        )
    return Slice(by=by, name=name, examples=examples, is_small=examples < SMALL, arms=tuple(scores))


_SCORES = {
    "real": (0.669, 0.690, 0.717),
    "real+annotated": (0.811, 0.820, 0.832),
    "real+generated": (0.791, 0.801, 0.809),
    "real+both": (0.814, 0.821, 0.822),
    "gold": (0.841, 0.850, 0.862),
}
_SYNTHETIC = {"real+annotated": (900, 0), "real+generated": (0, 520), "real+both": (900, 520)}


def _arm(name: str) -> ArmResult:
    scores = _SCORES[name]
    mean = sum(scores) / 3
    spread = (sum((score - mean) ** 2 for score in scores) / 2) ** 0.5
    right = round(1500 * mean)
    annotated, generated = _SYNTHETIC.get(name, (0, 0))
    gain = 100 * (mean - sum(_SCORES["real"]) / 3)
    compared = Comparison(
        gain=gain,
        interval=Interval(low=gain - 2.5, high=gain + 2.6),
        mcnemar_p=1e-9,
        mcnemar_p_holm=None if name == "gold" else 0.0004 if name != "real+generated" else 0.0312,
        significant=True,
        gap_closed=None if name == "gold" else gain / 15.9,
    )
    return ArmResult(
        arm=name,
        training_examples={
            "real": 64,
            "annotated": annotated,
            "generated": generated,
            "gold": 1500 if name == "gold" else 0,
        },
        dev_scores=scores,
        scores=scores,
        mean=mean,
        sd=spread,
        interval=Interval(low=mean - 0.024, high=mean + 0.023),
        metrics={"accuracy": mean, "macro_f1": mean - 0.004, "matthews": 2 * mean - 1},
        expected_calibration_error=0.16,
        reliability=(ReliabilityBin(0.62, 0.6, 900), ReliabilityBin(0.95, mean, 2100)),
        per_class={
            label: ClassScores(precision=mean + 0.01, recall=mean - 0.01, f1=mean, support=500)
            for label in LABELS
        },
        confusion=((right - 40, 1540 - right), (1460 - right, right + 40)),
        comparison=None if name == "real" else compared,
    )


def _preflight(run: Run, config: Config, *_: object) -> None:
    def work(folder: Path) -> dict[str, Any]:
        write_text(folder / "config.json", config.model_dump_json(indent=1))
        return {"versions": {"daftt": "0.1.0", "python": "3.11.7", "torch": "2.13.0"}}

    run_stage(run, "preflight", [config], work)


def _dev() -> list[Example]:
    """A few of the dev examples."""
    return [Example.of(f"{text} (dev)", output=label) for label in LABELS for text in TEXTS[label]]


def _hostile_dev(hostile: tuple[str, ...]) -> list[Example]:
    return [Example.of(f"{text} (dev)", output="positive") for text in hostile]


def _data(run: Run, config: Config, hostile: tuple[str, ...], _: object) -> None:
    sizes = {"labelled": 64, "dev": 200, "test": 1000, "unlabelled": 1500}

    def work(folder: Path) -> dict[str, Any]:
        write_jsonl(folder / "labelled.jsonl", [Example.of("A joy .", output="positive")])
        write_jsonl(folder / "dev.jsonl", [*_dev(), *_hostile_dev(hostile)])
        return {
            "sizes": sizes,
            "labels": {
                name: {"negative": size // 2, "positive": size // 2}
                for name, size in sizes.items()
                if name != "unlabelled"
            },
            "rows": {
                "train": {
                    "read": 6822,
                    "labelled": 64,
                    "dev": 200,
                    "test": 1000,
                    "unlabelled (label hidden)": 1500,
                }
            },
            "dropped": {"train": {"rating between -0.8 and 0.8": 4021, "duplicate": 37}},
            "source": "movie-reviews",
            "license": run.task.license,
            "sha256": {"train": "6e1c" * 16},
            "test_digest": "0f" * 8,
        }

    run_stage(run, "data", [config.data], work)


def _teacher(run: Run, config: Config, *_: object) -> None:
    def work(folder: Path) -> dict[str, Any]:
        steps: list[dict[str, float]] = []
        for step in range(1, 49):
            noise = random.Random(step).uniform(-0.15, 0.15)
            steps.append({"step": step, "epoch": step / 16, "loss": 0.9 + 2.4 / step**0.6 + noise})
            if step % 16 == 0:
                steps.append(
                    {"step": step, "epoch": step / 16, "dev_loss": 1.3 + abs(step - 32) / 80}
                )
        write_text(folder / "history.json", json.dumps(steps))
        write_text(folder / "model.safetensors", "w" * 2_000_000)
        return {"parameters": 134_515_008, "examples": 128}

    run_stage(run, "teacher", [config.teacher], work)


def _bins(*bins: tuple[float, float, int]) -> list[dict[str, float]]:
    return [{"confidence": c, "accuracy": a, "count": n} for c, a, n in bins]


def _assessment(run: Run, config: Config, _: object, passed: bool) -> None:
    found = {
        "metric": "accuracy",
        "dev_examples": 200,
        "dev_score": 0.865 if passed else 0.66,
        "untuned_dev_score": 0.605,
        "baseline_dev_score": 0.69,
        "passed": passed,
        "calibration": {"weights": [0.6], "bias": [0.1, -0.1]},
        "ece_before": 0.117,
        "ece_after": 0.031,
        "bins_before": _bins((0.55, 0.5, 8), (0.66, 0.55, 11), (0.77, 0.63, 24), (0.95, 0.88, 157)),
        "bins_after": _bins((0.56, 0.58, 31), (0.65, 0.62, 36), (0.76, 0.79, 48), (0.92, 0.94, 85)),
    }

    def work(folder: Path) -> dict[str, Any]:
        write_text(folder / "assessment.json", json.dumps(found))
        return {"passed": passed, "dev_score": found["dev_score"]}

    run_stage(run, "assessment", [config.teacher, passed], work)


def _synthetic(run: Run, config: Config, *_: object) -> None:
    for kind in ("annotated", "generated"):
        for shard in range(config.synthesis.shards):
            name = f"synthetic/{kind}-{shard:03d}-of-{config.synthesis.shards:03d}"
            run_stage(run, name, [config.synthesis], lambda _: {"count": 750})


def _synthetic_example(
    source: str, place: int, text: str = "", output: str = ""
) -> SyntheticExample:
    label = output or LABELS[place % 2]
    sentence = text or f"{TEXTS[label][place % 4]} ({source} {place})"
    confidence = 0.995 - 0.013 * place
    return SyntheticExample(
        **Example.of(sentence, output=label).model_dump(),
        source=source,
        confidence=confidence,
        distribution={label: confidence},
        asked=LABELS[place % 3 % 2] if source == "generated" else None,
    )


def _curated(run: Run, config: Config, hostile: tuple[str, ...], _: object) -> None:
    reasons = (
        ("confidence", "confidence 0.61; the least kept of positive is 0.83"),
        ("overlap", "shares 9 words in a row with a dev or test example"),
        ("duplicate", "the same input was kept already"),
    )

    def work(folder: Path) -> dict[str, Any]:
        rejected = []
        for source in ("annotated", "generated"):
            # A hostile text as input, as output and as reason, and chosen for certain.
            kept = [_synthetic_example(source, 1, text=t, output=t) for t in hostile]
            kept += [_synthetic_example(source, place) for place in range(0 if hostile else 20)]
            write_jsonl(folder / f"{source}.jsonl", kept)
            rejected += [
                Rejection(example=_synthetic_example(source, 2, f"{t} "), reason="length", detail=t)
                for t in hostile
            ]
            rejected += [
                Rejection(
                    example=_synthetic_example(source, place + 30),
                    reason=reasons[place % 3][0],
                    detail=reasons[place % 3][1],
                )
                for place in range(0 if hostile else 15)
            ]
        write_jsonl(folder / "rejected.jsonl", rejected)
        found = {
            "funnel": {
                "annotated": _funnel(1500, {"length": 6, "overlap": 41, "share": 553}),
                "generated": _funnel(600, {"unusable": 12, "duplicate": 31, "balance": 37}),
            },
            "label_agreement": 0.78,
            "left_out": {"real+spoken": "curation kept no spoken example"},
        }
        write_text(folder / "funnel.json", json.dumps(found))
        return found

    run_stage(run, "curated", [config.curation, hostile], work)


def _funnel(read: int, rejected: dict[str, int]) -> dict[str, Any]:
    kept = read - sum(rejected.values())
    halves = {reason: count // 2 for reason, count in rejected.items()}
    half = {"read": read // 2, "rejected": halves, "kept": kept // 2}
    by_label = dict.fromkeys(LABELS, half)
    return {
        "read": read,
        "rejected": rejected,
        "kept": kept,
        "redacted": 3,
        "diversity": {
            "texts": kept,
            "distinct_1": 0.21,
            "distinct_2": 0.74,
            "mean_similarity": 0.034,
            "nearest_real": 0.28,
            "near_real_share": 0.02,
        },
        "by_label": by_label,
    }


def _train_arm(run: Run, config: Config, arm: str, hostile: tuple[str, ...]) -> None:
    def work(folder: Path) -> dict[str, Any]:
        for seed in range(config.student.seeds):
            write_text(folder / f"seed-{seed}" / "model.safetensors", arm * 100_000)
        answers = [
            _dev_answer(arm, seed, place, example)
            for seed in range(config.student.seeds)
            for place, example in enumerate([*_dev(), *_hostile_dev(hostile)])
        ]
        write_jsonl(folder / "dev-predictions.jsonl", answers)
        return {"arm": arm, "dev_scores": list(_SCORES[arm]), "metric": "accuracy"}

    run_stage(run, f"students/{arm}", [config.student], work)


def _dev_answer(arm: str, seed: int, place: int, example: Example) -> Prediction:
    """The answer of a student: seed 2 errs on every second example, and is ever surer of itself."""
    gold = example.output or ""
    wrong = next(label for label in LABELS if label != gold)
    output = wrong if seed == 2 and place % 2 == 0 else gold
    sure = min(0.6 + 0.05 * place, 0.99)
    distribution = {label: sure if label == output else 1 - sure for label in LABELS}
    return Prediction(
        id=example.id, arm=arm, seed=seed, gold=gold, output=output, distribution=distribution
    )


def _baseline(run: Run, config: Config, hostile: tuple[str, ...], _: object) -> None:
    _train_arm(run, config, "real", hostile)
    if config.student.gold_arm:
        _train_arm(run, config, "gold", hostile)


def _students(run: Run, config: Config, hostile: tuple[str, ...], _: object) -> None:
    for arm in ARMS[1:-1]:
        _train_arm(run, config, arm, hostile)


def _predictions(run: Run, config: Config, *_: object) -> None:
    summary = {"examples": 1000, "seconds_per_example": 0.00183}
    run_stage(run, "predictions", [config.student], lambda _: summary)


def _evaluation(run: Run, config: Config, hostile: tuple[str, ...], _: object) -> None:
    found = evaluation()

    def work(folder: Path) -> dict[str, Any]:
        write_text(folder / "evaluation.json", found.model_dump_json())
        write_jsonl(folder / LABEL_ISSUES, _label_issues(hostile))
        return {"headline": found.headline}

    run_stage(run, "evaluation", [config.evaluation], work)


def _label_issues(hostile: tuple[str, ...]) -> list[LabelIssue]:
    """Two labels of dev that may be wrong, those of the hostile texts, and 14 of test."""
    dev = [example.id for example in [*_dev()[:2], *_hostile_dev(hostile)]]
    test = [f"{place:016x}" for place in range(14)]
    return [
        LabelIssue(
            split="test" if id_ in test else "dev",
            id=id_,
            given=LABELS[1],
            suggested=LABELS[0],
            probability=0.97 - 0.01 * place,
            given_probability=0.03 + 0.01 * place,
        )
        for ids in (dev, test)
        for place, id_ in enumerate(ids)
    ]


_MAKERS = {
    "preflight": _preflight,
    "data": _data,
    "teacher": _teacher,
    "students/real": _baseline,
    "assessment": _assessment,
    "synthetic": _synthetic,
    "curated": _curated,
    "students": _students,
    "predictions": _predictions,
    "evaluation": _evaluation,
}
