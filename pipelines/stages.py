"""The stages of a run, from its data to its report; the pipelines share them.

Stages hand on digests of what they committed under the run's folder, so the graph, the order of
work and the check on what is read are one and the same thing. Each is given the run and the digest
of its settings, which the first stage has committed, and takes its own section from there.
"""

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
from pipelines.pods import ModelPod, Pods

__all__ = ["Stages"]


class Stages:
    """Adds the stages of a run to pipelines.

    Args:
        pods: For stages that run no model, and what is compiled into all pods.
    """

    def __init__(self, pods: Pods) -> None:
        self._pods = pods
        # kfp takes no definition of a pipeline within that of another
        self._synthesize_shards = _synthesize_shards(pods)
        self._train_arms = _train_arms(pods)

    def add(
        self, run: str, settings: str, pod: ModelPod, teacher_gpus: str, *, promotes: bool
    ) -> None:
        """Add every stage after the first to the pipeline that is being defined.

        Args:
            run: The run's folder or prefix.
            settings: Digest of its settings.
            pod: For stages that run a model.
            teacher_gpus: GPUs of the teacher's own step.
            promotes: Whether the run's best student may become the champion.
        """
        pods, train_arms = self._pods, self._train_arms
        prepared = pods.light(prepare_data(run=run, settings=settings))
        data = prepared.outputs["data"]
        baseline = train_arms(
            arms=prepared.outputs["baseline_arms"],
            run=run,
            settings=settings,
            data=data,
            curated="",
            **pod.resources,
        ).set_caching_options(False)
        teacher = train_teacher(
            run=run, settings=settings, data=data, mixture=prepared.outputs["mixture"]
        )
        pod.with_gpus(teacher_gpus).run(teacher, hours=7 * 24)
        assessment = assess_teacher(
            run=run,
            settings=settings,
            data=data,
            teacher=teacher.outputs["digest"],
            baseline=baseline.output,
        )
        pod.run(assessment, hours=12)  # a gate that is not passed is an answer
        synthetic = self._synthesize_shards(
            shards=assessment.outputs["shards"],
            run=run,
            settings=settings,
            data=data,
            teacher=teacher.outputs["digest"],
            assessment=assessment.outputs["digest"],
            **pod.resources,
        ).set_caching_options(False)
        curated = pods.light(
            curate(run=run, settings=settings, data=data, synthetic=synthetic.output)
        )
        augmented = train_arms(
            arms=curated.outputs["arms"],
            run=run,
            settings=settings,
            data=data,
            curated=curated.outputs["digest"],
            **pod.resources,
        ).set_caching_options(False)
        predictions = predict_test(
            run=run,
            settings=settings,
            test=prepared.outputs["test"],
            baseline=baseline.output,
            augmented=augmented.output,
        )
        pod.run(predictions, hours=12)
        evaluation = pods.light(
            evaluate(
                run=run,
                settings=settings,
                predictions=predictions.outputs["digest"],
                baseline=baseline.output,
                augmented=augmented.output,
            )
        )
        report = pods.light(
            write_report(run=run, settings=settings, evaluation=evaluation.outputs["digest"])
        )
        if promotes:
            promoted = promote(
                run=run,
                settings=settings,
                evaluation=evaluation.outputs["digest"],
                report=report.outputs["Output"],
                images={"core": CORE_IMAGE, "train": TRAIN_IMAGE, "serve": SERVE_IMAGE},
            )
            pod.run(promoted, hours=12)


# A loop is a pipeline of its own: within its body kfp.local takes an outer task's output for the
# item of the loop.
def _synthesize_shards(pods: Pods):
    @dsl.pipeline(name="synthesize-shards")
    def synthesize_shards(
        shards: list,
        run: str,
        settings: str,
        data: str,
        teacher: str,
        assessment: str,
        gpu_resource: str,
        gpus: str,
        cpus: str,
        memory: str,
    ) -> list:
        """Let the teacher annotate and generate, one task for each shard."""
        pod = ModelPod(pods, gpu_resource, gpus, cpus, memory)
        with dsl.ParallelFor(shards, name="shards") as item:
            written = synthesize(
                source=item.source,
                shard=item.shard,
                run=run,
                settings=settings,
                data=data,
                teacher=teacher,
                assessment=assessment,
            )
            pod.run(written, hours=24)
        return dsl.Collected(written.outputs["reference"])

    return synthesize_shards


def _train_arms(pods: Pods):
    @dsl.pipeline(name="train-arms")
    def train_arms(
        arms: list,
        run: str,
        settings: str,
        data: str,
        curated: str,
        gpu_resource: str,
        gpus: str,
        cpus: str,
        memory: str,
    ) -> list:
        """Train the students of several arms, one task for each arm."""
        pod = ModelPod(pods, gpu_resource, gpus, cpus, memory)
        with dsl.ParallelFor(arms, name="arms") as item:
            trained = train_students(
                arm=item.arm, run=run, settings=settings, data=data, curated=curated
            )
            pod.run(trained, hours=24)
        return dsl.Collected(trained.outputs["reference"])

    return train_arms
