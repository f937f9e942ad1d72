"""The whole pipeline: from a handful of labels to students that are compared on test.

Wiring only. Settings reach the first stage as flat parameters; it hands each later stage its own
section as JSON. Stages hand on digests of what they committed under the run's folder, so the graph,
the order of work and the check on what is read are one and the same thing.
"""

from dataclasses import replace

from kfp import dsl

from components.assess_teacher import assess_teacher
from components.curate import curate
from components.evaluate import evaluate
from components.predict_test import predict_test
from components.preflight import preflight
from components.prepare_data import prepare_data
from components.summarize import summarize
from components.synthesize import synthesize
from components.train_students import train_students
from components.train_teacher import train_teacher
from components.write_report import write_report
from daftt_core.config import Config
from pipelines.cluster import LightPod, ModelPod
from pipelines.parameters import describe_parameters

_D = Config()


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


@dsl.pipeline(
    name="daftt",
    description="Fine-tune a teacher on few labels, let it write more, and train small students.",
)
@describe_parameters
def daftt_pipeline(
    task: str = _D.run.task,
    output: str = _D.run.output,
    name: str = _D.run.name,
    seed: int = _D.run.seed,
    on_gate_fail: str = _D.run.on_gate_fail,
    data_train: str = _D.data.train,
    data_dev: str = _D.data.dev,
    data_test: str = _D.data.test,
    data_unlabelled: str = _D.data.unlabelled,
    data_labelled_count: int = _D.data.labelled_count,
    data_labelled_fraction: float = _D.data.labelled_fraction,
    data_dev_count: int = _D.data.dev_count,
    data_test_count: int = _D.data.test_count,
    data_dev_share: float = _D.data.dev_share,
    data_test_share: float = _D.data.test_share,
    data_unlabelled_count: int = _D.data.unlabelled_count,
    teacher_model: str = _D.teacher.model,
    teacher_epochs: int = _D.teacher.epochs,
    teacher_learning_rate: float = _D.teacher.learning_rate,
    teacher_batch_size: int = _D.teacher.batch_size,
    teacher_warmup_ratio: float = _D.teacher.warmup_ratio,
    teacher_weight_decay: float = _D.teacher.weight_decay,
    teacher_max_grad_norm: float = _D.teacher.max_grad_norm,
    teacher_precision: str = _D.teacher.precision,
    teacher_max_length: int = _D.teacher.max_length,
    teacher_directions: str = _D.teacher.directions,
    teacher_checkpoint_steps: int = _D.teacher.checkpoint_steps,
    synthesis_mode: str = _D.synthesis.mode,
    synthesis_annotate_temperature: float = _D.synthesis.annotate_temperature,
    synthesis_generate_count: int = _D.synthesis.generate_count,
    synthesis_generate_temperature: float = _D.synthesis.generate_temperature,
    synthesis_generate_top_p: float = _D.synthesis.generate_top_p,
    synthesis_max_new_tokens: int = _D.synthesis.max_new_tokens,
    synthesis_max_length: int = _D.synthesis.max_length,
    synthesis_batch_size: int = _D.synthesis.batch_size,
    synthesis_chunk_size: int = _D.synthesis.chunk_size,
    synthesis_shards: int = _D.synthesis.shards,
    curation_verify: str = _D.curation.verify,
    curation_min_confidence: float = _D.curation.min_confidence,
    curation_keep_share: float = _D.curation.keep_share,
    curation_min_characters: int = _D.curation.min_characters,
    curation_max_characters: int = _D.curation.max_characters,
    curation_check_format: bool = _D.curation.check_format,
    curation_language: str = _D.curation.language,
    curation_personal_data: str = _D.curation.personal_data,
    curation_phone_region: str = _D.curation.phone_region,
    curation_echo_words: int = _D.curation.echo_words,
    curation_echo_share: float = _D.curation.echo_share,
    curation_near_duplicate: float = _D.curation.near_duplicate,
    curation_overlap_words: int = _D.curation.overlap_words,
    curation_balance: bool = _D.curation.balance,
    student_model: str = _D.student.model,
    student_seeds: int = _D.student.seeds,
    student_epochs: int = _D.student.epochs,
    student_min_steps: int = _D.student.min_steps,
    student_learning_rate: float = _D.student.learning_rate,
    student_batch_size: int = _D.student.batch_size,
    student_warmup_ratio: float = _D.student.warmup_ratio,
    student_weight_decay: float = _D.student.weight_decay,
    student_precision: str = _D.student.precision,
    student_max_length: int = _D.student.max_length,
    student_max_target_length: int = _D.student.max_target_length,
    student_gold_arm: bool = _D.student.gold_arm,
    evaluation_bootstrap_samples: int = _D.evaluation.bootstrap_samples,
    evaluation_confidence: float = _D.evaluation.confidence,
    job_launcher: str = _D.job.launcher,
    job_image: str = _D.job.image,
    job_nodes: int = _D.job.nodes,
    job_gpus_per_node: int = _D.job.gpus_per_node,
    job_gpu_resource: str = _D.job.gpu_resource,
    job_processes_per_node: int = _D.job.processes_per_node,
    job_cpu: str = _D.job.cpu,
    job_memory: str = _D.job.memory,
    job_shm_size: str = _D.job.shm_size,
    job_node_selector: str = _D.job.node_selector,
    job_tolerations: str = _D.job.tolerations,
    job_priority_class: str = _D.job.priority_class,
    job_queue: str = _D.job.queue,
    job_service_account: str = _D.job.service_account,
    job_namespace: str = _D.job.namespace,
    job_secrets: str = _D.job.secrets,
    job_env: str = _D.job.env,
    job_runtime: str = _D.job.runtime,
    job_deadline_seconds: int = _D.job.deadline_seconds,
    job_start_timeout_seconds: int = _D.job.start_timeout_seconds,
    job_ttl_seconds: int = _D.job.ttl_seconds,
    job_max_restarts: int = _D.job.max_restarts,
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
    """Turn a handful of labels into a good small model."""
    settings = dict(locals())
    light = LightPod(cluster_light_cpus, cluster_light_memory, cluster_pull_secret)
    pod = ModelPod(
        cluster_gpu_type,
        cluster_gpus,
        cluster_cpus,
        cluster_memory,
        cluster_node_selector,
        cluster_tolerations,
        cluster_hub_secret,
        cluster_pull_secret,
    )
    known = summarize.component_spec.inputs  # all but those that do not name the run's folder
    deciding = {name: value for name, value in settings.items() if name in known}
    with dsl.ExitHandler(light.take(summarize(**deciding)), name="run"):
        checked = light.take(preflight(**settings))
        run = checked.outputs["run"]
        prepared = light.take(
            prepare_data(
                run=run, config=checked.outputs["data"], student=checked.outputs["student"]
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
            run=run, config=checked.outputs["teacher"], job=checked.outputs["job"], data=data
        )
        replace(pod, gpus=cluster_teacher_gpus).take(teacher, hours=7 * 24, retries=2)
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
                run=run, config=checked.outputs["curation"], data=data, synthetic=synthetic.output
            )
        )
        augmented = train_arms(
            arms=checked.outputs["augmented_arms"],
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
        light.take(write_report(run=run, evaluation=evaluation.outputs["digest"]))
