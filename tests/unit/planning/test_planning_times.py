"""How much a run has to do, and how long that takes at a given pace."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from daftt_core.config import from_flat
from daftt_core.planning import (
    Lengths,
    Pace,
    measure_lengths,
    plan_times,
    student_shape,
    typical_pace,
    with_counts,
)
from daftt_core.planning.settings import model_shape
from daftt_core.planning.times import TimePlan, extend, side_by_side
from daftt_core.planning.work import Work
from daftt_core.records import Example
from daftt_core.tasks import load_task

_LENGTHS = Lengths(beginning=20, question=30, answer=2, input=25, target=0)
_PACE = Pace(
    cores=2,
    bfloat16=False,
    start=10.0,
    training=0.01,
    scoring=0.002,
    writing=0.004,
    learning=0.001,
    contrasting=0.003,
    answering=0.0005,
    storing=0.0,
)


def _work(task: str = "movie-reviews", **settings: Any) -> Work:
    config = from_flat({"task": task, **settings})
    loaded = load_task(task)
    return Work(config, loaded, student_shape(config, loaded))


def _plan(pace: Pace = _PACE, *, copies: bool = False, **settings: Any) -> TimePlan:
    config, task = from_flat({"student_recipe": "all", **settings}), load_task("movie-reviews")
    shapes = model_shape("teacher", config.teacher.model), student_shape(config, task)
    baseline = ["real", "gold"]
    return plan_times(config, task, *shapes, baseline, _LENGTHS, pace, copies=copies)


def _seconds(plan: TimePlan) -> dict[str, float]:
    return {stage.name: stage.seconds for stage in plan.stages}


# Of 64 labels: 60 steps of 16 inputs, and 40 steps of 32 by contrast; three students.
_PLAIN, _CONTRASTIVE = 3 * 60 * 16, 3 * 40 * 32


@pytest.mark.parametrize(
    ("settings", "plain", "contrastive", "first"),
    [
        ({}, _PLAIN, _CONTRASTIVE, ("plain", 16)),
        ({"student_baseline": "plain"}, _PLAIN, 0, ("plain", 16)),
        ({"student_baseline": "contrastive"}, 0, _CONTRASTIVE, ("contrastive", 32)),
        ({"student_pooling": "own"}, _PLAIN, 0, ("plain", 16)),
        ({"student_model": "smollm2-135m-instruct"}, _PLAIN, 0, ("plain", 16)),
        # four students more for each way, of three quarters of the labels
        (
            {"data_dev_count": 99},
            _PLAIN + 4 * 60 * 16,
            _CONTRASTIVE + 4 * 40 * 32,
            ("plain", 16),
        ),
        ({"data_labelled_count": 320}, _PLAIN, 3 * 100 * 32, ("plain", 16)),
        ({"data_labelled_count": 20}, _PLAIN, 3 * 40 * 20, ("plain", 16)),
    ],
)
def test_students_of_the_labels_alone_are_counted_in_every_way(settings, plain, contrastive, first):
    work = _work(**settings)
    assert (work.learned("real"), work.contrasted("real")) == (plain, contrastive)
    assert work.first_batch("real") == first


def test_other_arms_and_other_tasks_have_one_way():
    assert _work().learned("gold") == 3 * 2 * 98 * 16  # 1,564 examples twice, in whole batches
    assert _work("word-classes").learned("real") == 3 * 60 * 16
    assert _work("past-tense").learned("real+generated") == 3 * 2 * 44 * 16  # 700 examples
    assert (_work().students("gold"), _work().students("real")) == (3, 2 * 3)
    assert _work().answered("gold") == 3 * 200


# 1,564 examples once, and 964 with the surest three fifths of those that are annotated
_ALL, _SUREST = 98 * 16, 61 * 16


@pytest.mark.parametrize(
    ("settings", "inputs", "answers"),
    [
        ({"student_recipe": "all"}, 3 * _ALL, 3 * 200),
        ({"student_recipe": "surest"}, 3 * _SUREST, 3 * 200),
        ({}, 3 * _ALL + _SUREST, 4 * 200),
        ({"student_distil": True}, 6 * _ALL + _SUREST, 7 * 200 + 3 * 1500),
        # without students trained by contrast to start from, twice
        ({"student_start": "model"}, 2 * (3 * _ALL + _SUREST), 4 * 200),
        ({"student_baseline": "plain"}, 2 * (3 * _ALL + _SUREST), 4 * 200),
    ],
)
def test_students_of_two_recipes_and_distilled_ones_are_counted(settings, inputs, answers):
    work = _work(**settings)
    assert work.learned("real+annotated") == inputs
    assert work.answered("real+annotated") == answers
    assert _work("past-tense").students("real+annotated") == 3


def test_a_stages_time_is_its_tokens_times_the_pace():
    plan = _plan()
    tokens = {stage.name: stage.tokens for stage in plan.stages}
    seconds = _seconds(plan)
    # 64 examples in both directions, three times; a look at 100 of dev each time, at a third
    assert tokens["teacher"] == 3 * (128 + 100) * 52
    assert seconds["teacher"] == pytest.approx(0.01 * 3 * (128 + 100 / 3) * 52)
    # dev before and after the fine-tuning, and once more after each of two labels
    assert tokens["assessment"] == (2 + 2) * 200 * 32
    assert seconds["assessment"] == pytest.approx(0.002 * (2 + 2) * 200 * 32)
    answered = 3 * 200 * 25
    assert seconds["students/gold"] == pytest.approx(0.001 * 9408 * 25 + 0.0005 * answered)
    assert seconds["students/real"] == pytest.approx(
        (0.001 * _PLAIN + 0.003 * _CONTRASTIVE) * 25 + 0.0005 * 2 * answered
    )
    assert seconds["predictions"] == pytest.approx(0.0005 * 5 * 3 * 1000 * 25)


def test_iterations_of_a_loop_have_half_the_machine_each():
    plan = _plan()
    seconds = _seconds(plan)
    opinions = 0.0005 * (3 + 1) * 25  # of three students and a regression, for each input
    asked = 0.002 * (1 + 2) * 32  # for its label, and how probable it is after each of two
    # two shards, each with half of the inputs and half of the machine
    assert seconds["annotation"] == pytest.approx(1500 * (asked + opinions))
    assert seconds["generation"] == pytest.approx(600 * (asked + 0.004 * 32 + opinions))
    annotated = 0.001 * 4704 * 25 + 0.0005 * 3 * 200 * 25
    assert seconds["students/real+annotated"] == pytest.approx(2 * annotated)


@pytest.mark.parametrize(
    ("settings", "reads", "others"),
    [
        ({}, 20, 4),
        ({"synthesis_channel_labels": 1}, 0, 4),
        ({"teacher_directions": "label"}, 0, 4),
        ({"student_pooling": "own"}, 20, 3),
        ({"synthesis_second_opinion": False}, 20, 0),
    ],
)
def test_whoever_judges_beside_the_teacher_is_counted(settings, reads, others):
    work = _work(**settings)
    assert (work.channel_reads(10), work.others()) == (reads, others)


def test_of_texts_and_sets_of_labels_the_teacher_judges_alone():
    for task in ("past-tense", "word-classes"):
        assert (_work(task).channel_reads(10), _work(task).others()) == (0, 0)


def test_what_runs_side_by_side_counts_once():
    plan = _plan()
    seconds = _seconds(plan)
    alone = ("students/real", "students/gold", "teacher", "assessment", "predictions")
    both, annotated, generated = (
        10 + seconds[f"students/real+{arm}"] for arm in ("both", "annotated", "generated")
    )
    loops = 20 + seconds["annotation"] + seconds["generation"]
    loops += max(both, annotated + generated)
    assert plan.seconds == pytest.approx(7 * 10 + sum(seconds[name] for name in alone) + loops)
    assert plan.starts == 7 + 4 + 3
    shards = seconds["annotation"] + seconds["generation"]
    assert plan.seconds_of_stages == pytest.approx(14 * 10 + sum(seconds.values()) + shards)
    copied = _plan(copies=True)
    assert copied.starts == 1
    assert copied.seconds < plan.seconds - 6 * 10
    assert copied.seconds_of_stages == pytest.approx(plan.seconds_of_stages - 13 * 10)


def test_a_unit_is_one_of_what_a_stage_reports_first():
    units = {stage.name: stage.unit for stage in _plan().stages}
    seconds = _seconds(_plan())
    assert units["teacher"] == pytest.approx(seconds["teacher"] / 48)  # steps
    assert units["assessment"] == pytest.approx(seconds["assessment"] / 2)  # models
    assert units["annotation"] == pytest.approx(seconds["annotation"] / 750)  # examples a shard
    assert units["generation"] == pytest.approx(seconds["generation"] / 300)
    assert units["predictions"] == pytest.approx(0.0005 * 25)  # answers
    assert units["students/real"] == pytest.approx(0.001 * 16 * 25)  # plain steps
    assert units["students/real+both"] == pytest.approx(2 * 0.001 * 16 * 25)  # half the machine
    contrastive = _plan(student_baseline="contrastive").stages[0]
    assert contrastive.unit == pytest.approx(0.003 * 32 * 25)


def test_a_typical_token_takes_as_long_as_its_products():
    task = load_task("movie-reviews")
    config = from_flat({"teacher_model": "smollm2-135m-instruct"})
    teacher, student = model_shape("teacher", config.teacher.model), student_shape(config, task)
    pace = typical_pace(teacher, student)
    twice = typical_pace(replace(teacher, products=2 * teacher.products), student)
    assert twice.training == pytest.approx(2 * pace.training)
    assert twice.learning == pace.learning
    # the backward pass has twice the products of the forward pass
    assert pace.training / pace.scoring == pytest.approx(3, rel=0.2)


def test_models_have_to_be_stored():
    storing, without = (_seconds(_plan(replace(_PACE, storing=each))) for each in (1e-9, 0.0))
    added = {name: storing[name] - without[name] for name in storing}
    # three checkpoints of 12 bytes a parameter, the best weights of three epochs, the model
    teacher, student = 134_515_008, 22_713_986
    assert added["teacher"] == pytest.approx(1e-9 * teacher * (3 * 12 + 3 * 4 + 4), rel=1e-6)
    assert added["students/real"] == pytest.approx(1e-9 * student * 4 * 2 * 3, rel=1e-3)
    assert added["students/gold"] == pytest.approx(1e-9 * student * 4 * 3, rel=1e-3)
    assert added["assessment"] == 0


def test_a_loop_ends_with_its_last_iteration():
    assert side_by_side([5, 4, 3]) == 7
    assert side_by_side([5, 1, 1, 1]) == 5
    assert side_by_side([5, 4, 3], width=1) == 12
    assert side_by_side([]) == 0


def test_stages_that_are_switched_off_take_no_time():
    names = _seconds(_plan(synthesis_mode="annotate", teacher_epochs=0))
    assert "teacher" not in names
    assert "generation" not in names
    assert "students/real+generated" not in names


def test_a_whole_model_is_told_by_the_products_of_two_parts():
    # 2 s for what does not grow, 1 s for a million parameters
    assert extend([(1_000_000, 3.0), (4_000_000, 6.0)], 30_000_000) == pytest.approx(32.0)
    assert extend([(4_000_000, 6.0)], 4_000_000) == 6.0
    # a disturbed measurement does not let a larger model be faster
    assert extend([(1_000_000, 7.0), (4_000_000, 6.0)], 30_000_000) == 6.0


def test_where_nothing_is_to_be_annotated_texts_are_generated_alone():
    sizes = {"labelled": 64, "unlabelled": 0, "dev": 200, "test": 1000}
    config = with_counts(from_flat({"synthesis_mode": "both"}), sizes)
    assert (config.synthesis.mode, config.data.unlabelled_count) == ("generate", 0)
    config = with_counts(from_flat({"synthesis_mode": "both"}), {**sizes, "unlabelled": 7})
    assert (config.synthesis.mode, config.data.unlabelled_count) == ("both", 7)


def _lengths(task: str, examples: list[Example], tokens: int | None = None, **settings: Any):
    config, loaded = from_flat({"task": task, **settings}), load_task(task)
    teacher = model_shape("teacher", config.teacher.model)
    student = student_shape(config, loaded)
    return measure_lengths(config, loaded, teacher, student, examples, tokens)


def test_lengths_are_told_by_the_bytes_of_the_data():
    examples = [Example.of("x" * 79, output="negative"), Example.of("y" * 119)]
    lengths = _lengths("movie-reviews", examples)
    prefix = (
        "Definition: Decide whether this sentence from a movie review is positive or negative."
        "\n\nInput:"
    )
    assert lengths.beginning == round(len(prefix) / 4)
    assert lengths.question == round((100 + len("\nOutput:")) / 4)
    assert lengths.answer == round(len(" positive") / 4) + 1
    assert lengths.input == round(99 / 4) + 2
    assert lengths.target == 0


def test_a_student_of_bytes_has_as_many_tokens():
    examples = [Example.of("go", output="went"), Example.of("swim", output="swam")]
    lengths = _lengths("past-tense", examples, student_model="byte-bart")
    assert (lengths.input, lengths.target) == (3 + 2, 4 + 1)
    assert lengths.answer == 2


def test_without_data_every_example_is_as_long_as_is_allowed():
    lengths = _lengths("movie-reviews", [])
    assert lengths.taught == 256
    assert lengths.input == 96
    texts = _lengths("past-tense", [])
    assert (texts.answer, texts.target) == (48, 64)
    shorter = _lengths("movie-reviews", [], 60)
    assert (shorter.taught, shorter.input) == (60, 60)
    assert _lengths("movie-reviews", [Example.of("x" * 9000)]).taught == 256
