"""The whole pipeline many times: fractions of labels x ratios x modes x mixtures.

A cell is a run of its own, with the stages of the main pipeline. One cell's failure ends no other;
the table at the end says what came of each.
"""

from kfp import dsl

from components.collect_sweep import collect_sweep
from components.plan_sweep import plan_sweep
from components.prepare_data import prepare_data
from daftt_core.config import ClusterConfig, NotifyConfig, json_argument
from pipelines.form import describe_form, inputs_of
from pipelines.pods import ModelPod, Pods
from pipelines.stages import add_stages

__all__ = ["build_pipeline"]


def build_pipeline(cluster: ClusterConfig, notify: NotifyConfig):
    """Return the pipeline of sweeps for a cluster.

    Args:
        cluster: What its pods get, as far as it is fixed when the pipeline is compiled.
        notify: Names the secret that holds the URL of messages.
    """
    pods = Pods(cluster, notify.secret)
    fixed = json_argument(ClusterConfig(**cluster.compiled_in))

    @dsl.pipeline(name="sweep-cell")
    def sweep_cell(
        run: str,
        settings: str,
        gpu_resource: str,
        gpus: str,
        teacher_gpus: str,
        cpus: str,
        memory: str,
    ):
        """One run."""
        pod = ModelPod(pods, gpu_resource, gpus, cpus, memory)
        prepared = pods.light(prepare_data(run=run, settings=settings), "Prepare data").outputs
        add_stages(pods, pod, prepared, teacher_gpus, run=run, settings=settings, promotes=False)

    @dsl.pipeline(
        name="daftt-sweep",
        description="Compare fractions of labels, synthetic-to-real ratios, modes and mixtures in "
        "one table.",
    )
    @describe_form
    def sweep(  # noqa: D417 - describe_form adds the others
        fractions: list = [0.01, 0.02, 0.05, 0.1],  # noqa: B006 - kfp takes a default as it is
        mixtures: list = [0],  # noqa: B006
        modes: list = ["both"],  # noqa: B006
        name: str = "",
        output: str = "",
        preset: str = "",
        ratios: list = [4, 0],  # noqa: B006
        settings: dict = {},  # noqa: B006
        task: str = "",
    ):
        """Find out how many labels and how many synthetic examples are worth their price.

        Args:
            fractions: Shares of the training pool to label, such as 0.01 for 1%.
            mixtures: Numbers of other tasks that the teacher learns too; 0 is none.
            modes: What the teacher writes: annotate, generate, both.
            ratios: Synthetic examples of each source for every labelled one; 0 is no limit.
        """
        compiled_in = fixed
        form = inputs_of(plan_sweep, locals())
        table = pods.light(collect_sweep(**form), "Table")
        with dsl.ExitHandler(table, name="Sweep"):
            planned = pods.light(plan_sweep(**form), "Lay out the cells")
            with dsl.ParallelFor(planned.output, name="Cells") as cell:
                sweep_cell(
                    run=cell.run,
                    settings=cell.settings,
                    gpu_resource=cell.gpu_resource,
                    gpus=cell.gpus,
                    teacher_gpus=cell.teacher_gpus,
                    cpus=cell.cpus,
                    memory=cell.memory,
                ).set_caching_options(False).set_display_name("Run")

    return sweep
