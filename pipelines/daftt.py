"""The whole pipeline: from a handful of labels to students that are compared on test.

Wiring only. The form has what people change from run to run, and ``settings`` takes all else; the
first stage merges, checks and commits them, and each later stage reads its own section there.
"""

from kfp import dsl

from components.prepare import prepare
from components.summarize import summarize
from daftt_core.config import FROM_PRESET, ClusterConfig, NotifyConfig, json_argument
from pipelines.form import describe_form, inputs_of
from pipelines.pods import ModelPod, Pods
from pipelines.stages import add_stages

__all__ = ["build_pipeline"]


def build_pipeline(cluster: ClusterConfig, notify: NotifyConfig):
    """Return the pipeline for a cluster.

    Args:
        cluster: What its pods get, as far as it is fixed when the pipeline is compiled.
        notify: Names the secret that holds the URL of messages.
    """
    pods = Pods(cluster, notify.secret)
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
        on_gate_fail: str = FROM_PRESET,
        output: str = "",
        preset: str = "",
        settings: dict = {},  # noqa: B006 - kfp takes a default as it is
        student_model: str = "",
        student_seeds: str = "",
        synthesis_mode: str = FROM_PRESET,
        task: str = "",
        teacher_model: str = "",
    ):
        """Turn a handful of labels into a good small model."""
        compiled_in = fixed
        form = inputs_of(prepare, locals())
        summary = pods.notifies(pods.light(summarize(**form), "Summary and report"))
        with dsl.ExitHandler(summary, name="Run"):
            prepared = pods.light(prepare(**form), "Check and prepare").outputs
            sizes = ("gpu_resource", "gpus", "cpus", "memory")
            pod = ModelPod(pods, *(prepared[size] for size in sizes))
            with dsl.If(prepared["Output"] == "yes", name="Train and evaluate"):
                add_stages(
                    pods,
                    pod,
                    prepared,
                    prepared["teacher_gpus"],
                    run=prepared["run"],
                    settings=prepared["digest"],
                    promotes=True,
                )

    return daftt
