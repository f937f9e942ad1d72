"""The stages of a run, from its data to its report; the pipelines share them.

Stages hand on digests of what they committed under the run's folder, so the graph, the order of
work and the check on what is read are one and the same thing.
"""

from dataclasses import replace

from kfp import dsl

from components.assess_teacher import assess_teacher
from components.curate import curate
from components.evaluate import evaluate
from components.images import CORE_IMAGE, SERVE_IMAGE, TRAIN_IMAGE
from components.predict_test import predict_test
from components.prepare_data import prepare_data
from components.promote import promote
from components.synthesize import synthesize
from components.train_students import train_students
from components.train_teacher import train_teacher
from components.write_report import write_report
from pipelines.cluster import LightPod, ModelPod

__all__ = ["run_stages"]


@dsl.pipeline(name="synthesize-shards")
def synthesize_shards(
    shards: list,
    run: str,
    config: str,
    data: str,
    teacher: str,
    assessment: str,
    gpu_type: str,
    gpus: str,
    cpus: str,
    memory: str,
    node_selector: dict,
    tolerations: list,
    hub_secret: str,
    pull_secret: str,
) -> list:
    """Let the teacher annotate and generate, one task for each shard."""
    pod = ModelPod(
        gpu_type, gpus, cpus, memory, node_selector, tolerations, hub_secret, pull_secret
    )
    with dsl.ParallelFor(shards, name="shards") as item:
        made = synthesize(
            source=item.source,
            shard=item.shard,
            run=run,
            config=config,
            data=data,
            teacher=teacher,
            assessment=assessment,
        )
        pod.take(made, hours=24, retries=2)
    return dsl.Collected(made.outputs["reference"])


@dsl.pipeline(name="train-arms")
def train_arms(
    arms: list,
    run: str,
    config: str,
    data: str,
    curated: str,
    gpu_type: str,
    gpus: str,
    cpus: str,
    memory: str,
    node_selector: dict,
    tolerations: list,
    hub_secret: str,
    pull_secret: str,
) -> list:
    """Train the students of several arms, one task for each arm."""
    pod = ModelPod(
        gpu_type, gpus, cpus, memory, node_selector, tolerations, hub_secret, pull_secret
    )
    with dsl.ParallelFor(arms, name="arms") as item:
        trained = train_students(arm=item.arm, run=run, config=config, data=data, curated=curated)
        pod.take(trained, hours=24, retries=2)
    return dsl.Collected(trained.outputs["reference"])


def run_stages(
    checked: dsl.PipelineTask,
    light: LightPod,
    pod: ModelPod,
    teacher_gpus: str,
    *,
    promotes: bool = False,
) -> None:
    """Add every stage after the first to the pipeline that is being defined.

    Args:
        checked: The first stage, which hands out the settings.
        light: For stages that run no model.
        pod: For those that do.
        teacher_gpus: GPUs of the teacher's own step.
        promotes: Whether the run may bring forth a champion; ``checked`` hands out how then.
    """
    run = checked.outputs["run"]
    prepared = light.take(
        prepare_data(
            run=run,
            config=checked.outputs["data"],
            mixture=checked.outputs["mixture"],
            teacher=checked.outputs["teacher"],
            student=checked.outputs["student"],
        )
    )
    data = prepared.outputs["data"]
    baseline = train_arms(
        arms=prepared.outputs["baseline_arms"],
        run=run,
        config=checked.outputs["student"],
        data=data,
        curated="",
        **vars(pod),
    ).set_caching_options(False)
    teacher = train_teacher(
        run=run,
        config=checked.outputs["teacher"],
        job=checked.outputs["job"],
        data=data,
        mixture=prepared.outputs["mixture"],
    )
    replace(pod, gpus=teacher_gpus).take(teacher, hours=7 * 24, retries=2)
    assessment = assess_teacher(
        run=run,
        config=checked.outputs["teacher"],
        synthesis=checked.outputs["synthesis"],
        data=data,
        teacher=teacher.outputs["digest"],
        baseline=baseline.output,
    )
    pod.take(assessment, hours=12, retries=0)  # a gate that is not passed is an answer
    synthetic = synthesize_shards(
        shards=checked.outputs["shards"],
        run=run,
        config=checked.outputs["synthesis"],
        data=data,
        teacher=teacher.outputs["digest"],
        assessment=assessment.outputs["digest"],
        **vars(pod),
    ).set_caching_options(False)
    curated = light.take(
        curate(
            run=run,
            config=checked.outputs["curation"],
            data=data,
            synthetic=synthetic.output,
            arms=checked.outputs["augmented_arms"],
        )
    )
    augmented = train_arms(
        arms=curated.outputs["arms"],
        run=run,
        config=checked.outputs["student"],
        data=data,
        curated=curated.outputs["digest"],
        **vars(pod),
    ).set_caching_options(False)
    predictions = predict_test(
        run=run,
        config=checked.outputs["student"],
        test=prepared.outputs["test"],
        baseline=baseline.output,
        augmented=augmented.output,
    )
    pod.take(predictions, hours=12, retries=2)
    evaluation = light.take(
        evaluate(
            run=run,
            config=checked.outputs["evaluation"],
            predictions=predictions.outputs["digest"],
            baseline=baseline.output,
            augmented=augmented.output,
        )
    )
    report = light.take(write_report(run=run, evaluation=evaluation.outputs["digest"]))
    if promotes:
        promoted = promote(
            run=run,
            config=checked.outputs["promotion"],
            student=checked.outputs["student"],
            evaluation_config=checked.outputs["evaluation"],
            evaluation=evaluation.outputs["digest"],
            report=report.outputs["Output"],
            images={"core": CORE_IMAGE, "train": TRAIN_IMAGE, "serve": SERVE_IMAGE},
        )
        pod.take(promoted, hours=12, retries=2)
