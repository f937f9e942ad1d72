"""The whole pipeline: from a handful of labels to students that are compared on test.

Wiring only. The form has what people change from run to run, and ``settings`` takes all else; the
first stage merges, checks and commits them, and each later stage reads its own section there.
"""

from kfp import dsl

from components.check_trigger import check_trigger
from components.preflight import preflight
from components.summarize import summarize
from components.write_report import write_report
from daftt_core.config import ClusterConfig, NotifyConfig, json_argument
from pipelines.form import describe_form, inputs_of
from pipelines.pods import ModelPod, Pods
from pipelines.stages import Stages

__all__ = ["build_pipeline"]


def build_pipeline(cluster: ClusterConfig, notify: NotifyConfig):
    """Return the pipeline for a cluster.

    Args:
        cluster: What its pods get, as far as it is fixed when the pipeline is compiled.
        notify: Names the secret that holds the URL of messages.
    """
    pods = Pods(cluster, notify.secret)
    stages = Stages(pods)
    fixed = json_argument(ClusterConfig(**cluster.compiled_in))

    @dsl.pipeline(
        name="daftt",
        description="Fine-tune a teacher on few labels, let it write more, and train small "
        "students.",
    )
    @describe_form
    def daftt(
        data_labelled_count: str = "",
        data_test: str = "",
        data_train: str = "",
        data_unlabelled: str = "",
        name: str = "",
        on_gate_fail: str = "",
        output: str = "",
        preset: str = "",
        settings: dict = {},  # noqa: B006 - kfp takes a default as it is
        student_model: str = "",
        student_seeds: str = "",
        synthesis_mode: str = "",
        task: str = "",
        teacher_model: str = "",
    ):
        """Turn a handful of labels into a good small model."""
        compiled_in = fixed
        form = inputs_of(preflight, locals())
        with dsl.ExitHandler(pods.notifying(summarize(**form)), name="run"):
            checked = pods.light(preflight(**form))
            run, digest = checked.outputs["run"], checked.outputs["digest"]
            pod = ModelPod(
                pods,
                checked.outputs["gpu_resource"],
                checked.outputs["gpus"],
                checked.outputs["cpus"],
                checked.outputs["memory"],
            )
            reason = pods.light(check_trigger(run=run, settings=digest))
            with dsl.If(reason.outputs["train"] == "yes", name="train"):
                stages.add(run, digest, pod, checked.outputs["teacher_gpus"], promotes=True)
            with dsl.Else(name="no reason to train"):
                pods.light(write_report(run=run, settings=digest, evaluation=""))

    return daftt
