"""Component: check every setting before anything costs money."""

from typing import NamedTuple

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def preflight(
    task: str,
    output: str,
    name: str,
    seed: int,
    on_gate_fail: str,
    data_train: str,
    data_dev: str,
    data_test: str,
    data_unlabelled: str,
    data_labelled_count: int,
    data_labelled_fraction: float,
    data_dev_count: int,
    data_test_count: int,
    data_dev_share: float,
    data_test_share: float,
    data_unlabelled_count: int,
    teacher_model: str,
    teacher_epochs: int,
    teacher_learning_rate: float,
    teacher_batch_size: int,
    teacher_warmup_ratio: float,
    teacher_weight_decay: float,
    teacher_max_grad_norm: float,
    teacher_precision: str,
    teacher_max_length: int,
    teacher_directions: str,
    teacher_checkpoint_steps: int,
    synthesis_mode: str,
    synthesis_annotate_temperature: float,
    synthesis_generate_count: int,
    synthesis_generate_temperature: float,
    synthesis_generate_top_p: float,
    synthesis_max_new_tokens: int,
    synthesis_max_length: int,
    synthesis_batch_size: int,
    synthesis_chunk_size: int,
    synthesis_shards: int,
    curation_verify: str,
    curation_min_confidence: float,
    curation_keep_share: float,
    curation_min_characters: int,
    curation_max_characters: int,
    curation_check_format: bool,
    curation_language: str,
    curation_personal_data: str,
    curation_phone_region: str,
    curation_echo_words: int,
    curation_echo_share: float,
    curation_near_duplicate: float,
    curation_overlap_words: int,
    curation_balance: bool,
    student_model: str,
    student_seeds: int,
    student_epochs: int,
    student_min_steps: int,
    student_learning_rate: float,
    student_batch_size: int,
    student_warmup_ratio: float,
    student_weight_decay: float,
    student_precision: str,
    student_max_length: int,
    student_max_target_length: int,
    student_gold_arm: bool,
    evaluation_bootstrap_samples: int,
    evaluation_confidence: float,
    job_launcher: str,
    job_image: str,
    job_nodes: int,
    job_gpus_per_node: int,
    job_gpu_resource: str,
    job_processes_per_node: int,
    job_cpu: str,
    job_memory: str,
    job_shm_size: str,
    job_node_selector: str,
    job_tolerations: str,
    job_priority_class: str,
    job_queue: str,
    job_service_account: str,
    job_namespace: str,
    job_secrets: str,
    job_env: str,
    job_runtime: str,
    job_deadline_seconds: int,
    job_start_timeout_seconds: int,
    job_ttl_seconds: int,
    job_max_restarts: int,
    cluster_gpu_type: str,
    cluster_gpus: str,
    cluster_teacher_gpus: str,
    cluster_cpus: str,
    cluster_memory: str,
    cluster_light_cpus: str,
    cluster_light_memory: str,
    cluster_node_selector: dict,
    cluster_tolerations: list,
    cluster_hub_secret: str,
    cluster_pull_secret: str,
) -> NamedTuple(
    "Outputs",
    [
        ("run", str),
        ("data", str),
        ("teacher", str),
        ("synthesis", str),
        ("curation", str),
        ("student", str),
        ("evaluation", str),
        ("job", str),
        ("shards", list),
        ("augmented_arms", list),
    ],
):
    """Nest and check all settings, and report every mistake in one message.

    Returns:
        The run and each stage's section as JSON, and the items of the pipeline's two loops.
    """
    settings = dict(locals())
    from daftt_core.config import from_flat
    from daftt_core.entrypoints import stage_process
    from daftt_core.preflight import augmented_arms, preflight, resolve, synthesis_shards

    with stage_process():
        config = from_flat(settings)
        preflight(config)
        sections = (
            config.data,
            config.teacher,
            config.synthesis,
            config.curation,
            config.student,
            config.evaluation,
            config.job,
        )
        return (
            resolve(config).model_dump_json(),
            *(section.model_dump_json() for section in sections),
            synthesis_shards(config),
            [{"arm": arm} for arm in augmented_arms(config)],
        )
