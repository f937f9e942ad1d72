"""The whole pipeline many times: fractions of labels x ratios x modes x mixtures.

A cell is a run of its own, with the stages of the main pipeline. One cell's failure ends no other;
the table at the end says what came of each.
"""

from kfp import dsl

from components.collect_sweep import collect_sweep
from components.plan_sweep import plan_sweep
from components.preflight_cell import preflight_cell
from daftt_core.config import Config
from pipelines.cluster import LightPod, ModelPod
from pipelines.parameters import describe_parameters
from pipelines.stages import run_stages

_D = Config()


@dsl.pipeline(name="sweep-cell")
def sweep_cell(
    settings: dict,
    fraction: str,
    ratio: str,
    mode: str,
    mixture_tasks: str,
    gpu_type: str,
    gpus: str,
    teacher_gpus: str,
    cpus: str,
    memory: str,
    light_cpus: str,
    light_memory: str,
    node_selector: dict,
    tolerations: list,
    hub_secret: str,
    pull_secret: str,
):
    """One run."""
    light = LightPod(light_cpus, light_memory, pull_secret)
    pod = ModelPod(
        gpu_type, gpus, cpus, memory, node_selector, tolerations, hub_secret, pull_secret
    )
    checked = light.take(
        preflight_cell(
            settings=settings,
            fraction=fraction,
            ratio=ratio,
            mode=mode,
            mixture_tasks=mixture_tasks,
        )
    )
    run_stages(checked, light, pod, teacher_gpus)


@dsl.pipeline(
    name="daftt-sweep",
    description="Compare fractions of labels, synthetic-to-real ratios, modes and mixtures in one "
    "table.",
)
@describe_parameters
def sweep_pipeline(  # noqa: D417 - describe_parameters adds the others
    settings: dict = {},  # noqa: B006 - kfp takes a default as it is
    fractions: list = [0.01, 0.02, 0.05, 0.1],  # noqa: B006
    ratios: list = [1, 4, 16, 0],  # noqa: B006
    modes: list = ["both"],  # noqa: B006
    mixtures: list = [_D.mixture.tasks],  # noqa: B006
    cluster_gpu_type: str = _D.cluster.gpu_type,
    cluster_gpus: str = _D.cluster.gpus,
    cluster_teacher_gpus: str = _D.cluster.teacher_gpus,
    cluster_cpus: str = _D.cluster.cpus,
    cluster_memory: str = _D.cluster.memory,
    cluster_light_cpus: str = _D.cluster.light_cpus,
    cluster_light_memory: str = _D.cluster.light_memory,
    cluster_node_selector: dict = _D.cluster.node_selector,
    cluster_tolerations: list = _D.cluster.tolerations,
    cluster_hub_secret: str = _D.cluster.hub_secret,
    cluster_pull_secret: str = _D.cluster.pull_secret,
):
    """Find out how many labels and how many synthetic examples are worth their price.

    Args:
        settings: Settings that all cells share, by the main pipeline's names; others default.
        fractions: Shares of the training pool to label, such as 0.01 for 1%.
        ratios: Synthetic examples of each source for every labelled one; 0 is no limit.
        modes: What the teacher writes: annotate, generate, both.
        mixtures: Numbers of other tasks that the teacher learns too; 0 is none.
    """
    varied = {
        "settings": settings,
        "fractions": fractions,
        "ratios": ratios,
        "modes": modes,
        "mixtures": mixtures,
    }
    light = LightPod(cluster_light_cpus, cluster_light_memory, cluster_pull_secret)
    with dsl.ExitHandler(light.take(collect_sweep(**varied)), name="sweep"):
        planned = light.take(plan_sweep(**varied))
        with dsl.ParallelFor(planned.output, name="cells") as cell:
            sweep_cell(
                settings=settings,
                fraction=cell.fraction,
                ratio=cell.ratio,
                mode=cell.mode,
                mixture_tasks=cell.mixture_tasks,
                gpu_type=cluster_gpu_type,
                gpus=cluster_gpus,
                teacher_gpus=cluster_teacher_gpus,
                cpus=cluster_cpus,
                memory=cluster_memory,
                light_cpus=cluster_light_cpus,
                light_memory=cluster_light_memory,
                node_selector=cluster_node_selector,
                tolerations=cluster_tolerations,
                hub_secret=cluster_hub_secret,
                pull_secret=cluster_pull_secret,
            ).set_caching_options(False)
