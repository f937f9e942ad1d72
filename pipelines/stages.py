"""The stages of a run from its first model on; the pipelines share them.

Stages hand on digests of what they committed under the run's folder, so the graph, the order of
work and the check on what is read are one and the same thing. Each is given the run and the digest
of its settings, which the first stage has committed, and takes its own section from there.

On a cluster every task costs two pods and every level of nesting one more, of some ten seconds
each, so what is light and always comes together shares a task (docs/adr/0032).
"""

from collections.abc import Mapping

from kfp import dsl

from components.assess_teacher import assess_teacher
from components.curate import curate
from components.evaluate import evaluate
from components.synthesize import synthesize
from components.train_students import train_students
from components.train_teacher import train_teacher
from pipelines.pods import ModelPod, Pods

__all__ = ["add_stages"]


def add_stages(
    pods: Pods,
    pod: ModelPod,
    prepared: Mapping[str, str],
    teacher_gpus: str,
    *,
    run: str,
    settings: str,
    promotes: bool,
) -> None:
    """Add every stage after the data to the pipeline that is being defined.

    What a loop is handed by a task beside it comes in its items: kfp.local gives a loop's body the
    item in place of any other output of such a task.

    Args:
        pods: For stages that run no model.
        pod: For stages that run a model.
        prepared: What the task that prepared the data hands on, by name.
        teacher_gpus: GPUs of the teacher's own step.
        run: The run's folder or prefix.
        settings: Digest of its settings.
        promotes: Whether the run's best student may become the champion.
    """
    run_and_data = {"run": run, "settings": settings, "data": prepared["data"]}
    baseline = train_students(
        arms=prepared["baseline_arms"], curated="", baseline="", **run_and_data
    )
    pod.run(baseline, "Students: labels alone", hours=48)
    teacher = train_teacher(mixture=prepared["mixture"], **run_and_data)
    pod.with_gpus(teacher_gpus).run(teacher, "Fine-tune teacher", hours=7 * 24)
    assessment = assess_teacher(
        teacher=teacher.outputs["Output"], baseline=baseline.output, **run_and_data
    )
    pod.run(assessment, "Assess teacher", hours=12)  # a gate that is not passed is an answer
    with dsl.ParallelFor(assessment.output, name="Synthetic shards") as shard:
        written = synthesize(
            source=shard.source,
            shard=shard.shard,
            run=run,
            settings=settings,
            data=shard.data,
            teacher=shard.teacher,
            assessment=shard.assessment,
        )
        pod.run(written, "Annotate or generate", hours=24)
    curated = curate(
        baseline=baseline.output, synthetic=dsl.Collected(written.output), **run_and_data
    )
    pods.light(curated, "Curate")
    with dsl.ParallelFor(curated.outputs["Output"], name="Augmented arms") as item:
        augmented = train_students(
            arms=item.arms,
            run=run,
            settings=settings,
            data=item.data,
            curated=item.curated,
            baseline=item.baseline,
        )
        pod.run(augmented, "Students of an arm", hours=24)
    judged = evaluate(
        run=run,
        settings=settings,
        test=prepared["test"],
        baseline=baseline.output,
        augmented=dsl.Collected(augmented.output),
        promotes=promotes,
    )
    pod.run(judged, "Evaluate and promote", hours=24)
