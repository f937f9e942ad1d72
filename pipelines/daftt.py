"""The whole pipeline: from a handful of labels to students that are compared on test.

Wiring only. Settings reach the first stage as flat parameters; it hands each later stage its own
section as JSON.
"""

from kfp import dsl

from components.check_trigger import check_trigger
from components.preflight import preflight
from components.summarize import summarize
from components.write_report import write_report
from daftt_core.config import Config
from pipelines.cluster import LightPod, ModelPod
from pipelines.parameters import describe_parameters
from pipelines.stages import run_stages

_D = Config()


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
    data_slice_column: str = _D.data.slice_column,
    trigger_when: str = _D.trigger.when,
    trigger_min_new_labels: int = _D.trigger.min_new_labels,
    trigger_min_new_share: float = _D.trigger.min_new_share,
    trigger_alpha: float = _D.trigger.alpha,
    mixture_source: str = _D.mixture.source,
    mixture_tasks: int = _D.mixture.tasks,
    mixture_instances: int = _D.mixture.instances,
    mixture_weighting: str = _D.mixture.weighting,
    mixture_temperature: float = _D.mixture.temperature,
    mixture_share: float = _D.mixture.share,
    mixture_positive_examples: int = _D.mixture.positive_examples,
    mixture_exclude: str = _D.mixture.exclude,
    mixture_languages: str = _D.mixture.languages,
    mixture_overlap_words: int = _D.mixture.overlap_words,
    teacher_model: str = _D.teacher.model,
    teacher_epochs: int = _D.teacher.epochs,
    teacher_learning_rate: float = _D.teacher.learning_rate,
    teacher_batch_size: int = _D.teacher.batch_size,
    teacher_warmup_ratio: float = _D.teacher.warmup_ratio,
    teacher_weight_decay: float = _D.teacher.weight_decay,
    teacher_adam_beta1: float = _D.teacher.adam_beta1,
    teacher_adam_beta2: float = _D.teacher.adam_beta2,
    teacher_adam_epsilon: float = _D.teacher.adam_epsilon,
    teacher_max_grad_norm: float = _D.teacher.max_grad_norm,
    teacher_precision: str = _D.teacher.precision,
    teacher_max_length: int = _D.teacher.max_length,
    teacher_directions: str = _D.teacher.directions,
    teacher_packing: bool = _D.teacher.packing,
    teacher_method: str = _D.teacher.method,
    teacher_lora_rank: int = _D.teacher.lora_rank,
    teacher_lora_alpha: int = _D.teacher.lora_alpha,
    teacher_lora_dropout: float = _D.teacher.lora_dropout,
    teacher_patience: int = _D.teacher.patience,
    teacher_checkpoint_steps: int = _D.teacher.checkpoint_steps,
    teacher_keep_checkpoints: int = _D.teacher.keep_checkpoints,
    teacher_micro_batch_size: int = _D.teacher.micro_batch_size,
    teacher_gradient_checkpointing: bool = _D.teacher.gradient_checkpointing,
    teacher_zero_stage: int = _D.teacher.zero_stage,
    teacher_offload: str = _D.teacher.offload,
    teacher_offload_folder: str = _D.teacher.offload_folder,
    synthesis_mode: str = _D.synthesis.mode,
    synthesis_annotate_temperature: float = _D.synthesis.annotate_temperature,
    synthesis_samples: int = _D.synthesis.samples,
    synthesis_agreement: str = _D.synthesis.agreement,
    synthesis_correct_prior: bool = _D.synthesis.correct_prior,
    synthesis_min_precision: float = _D.synthesis.min_precision,
    synthesis_generate_count: int = _D.synthesis.generate_count,
    synthesis_label_balance: str = _D.synthesis.label_balance,
    synthesis_demonstrations: int = _D.synthesis.demonstrations,
    synthesis_generate_temperature: float = _D.synthesis.generate_temperature,
    synthesis_generate_top_p: float = _D.synthesis.generate_top_p,
    synthesis_stop_novelty: float = _D.synthesis.stop_novelty,
    synthesis_max_new_tokens: int = _D.synthesis.max_new_tokens,
    synthesis_max_length: int = _D.synthesis.max_length,
    synthesis_batch_size: int = _D.synthesis.batch_size,
    synthesis_batch_tokens: int = _D.synthesis.batch_tokens,
    synthesis_engine: str = _D.synthesis.engine,
    synthesis_server_url: str = _D.synthesis.server_url,
    synthesis_server_command: str = _D.synthesis.server_command,
    synthesis_server_model: str = _D.synthesis.server_model,
    synthesis_server_concurrency: int = _D.synthesis.server_concurrency,
    synthesis_server_start_seconds: int = _D.synthesis.server_start_seconds,
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
    curation_ratio: float = _D.curation.ratio,
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
    student_patience: int = _D.student.patience,
    student_dev_steps: int = _D.student.dev_steps,
    student_example_weights: str = _D.student.example_weights,
    student_real_weight: float = _D.student.real_weight,
    student_soft_labels: bool = _D.student.soft_labels,
    student_order: str = _D.student.order,
    student_gold_arm: bool = _D.student.gold_arm,
    evaluation_bootstrap_samples: int = _D.evaluation.bootstrap_samples,
    evaluation_confidence: float = _D.evaluation.confidence,
    promotion_enabled: bool = _D.promotion.enabled,
    promotion_registry: str = _D.promotion.registry,
    promotion_rule: str = _D.promotion.rule,
    promotion_margin: float = _D.promotion.margin,
    promotion_floors: str = _D.promotion.floors,
    promotion_slice_drop: float = _D.promotion.slice_drop,
    promotion_slice_min_examples: int = _D.promotion.slice_min_examples,
    job_launcher: str = _D.job.launcher,
    job_image: str = _D.job.image,
    job_nodes: int = _D.job.nodes,
    job_gpus_per_node: int = _D.job.gpus_per_node,
    job_gpu_model: str = _D.job.gpu_model,
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
    job_grace_seconds: int = _D.job.grace_seconds,
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
        asked = light.take(
            check_trigger(
                run=checked.outputs["run"],
                config=checked.outputs["trigger"],
                data=checked.outputs["data"],
                promotion=checked.outputs["promotion"],
            )
        )
        with dsl.If(asked.outputs["train"] == "yes", name="train"):
            run_stages(checked, light, pod, cluster_teacher_gpus, promotes=True)
        with dsl.Else(name="no reason to train"):
            light.take(write_report(run=checked.outputs["run"], evaluation=""))
