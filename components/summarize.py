"""Component: what became of the run, whether it ended well or not."""

from kfp import dsl

from components.images import CORE_IMAGE


@dsl.component(base_image=CORE_IMAGE, install_kfp_package=False)
def summarize(
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
    data_slice_column: str,
    mixture_source: str,
    mixture_tasks: int,
    mixture_instances: int,
    mixture_weighting: str,
    mixture_temperature: float,
    mixture_share: float,
    mixture_positive_examples: int,
    mixture_exclude: str,
    mixture_languages: str,
    mixture_overlap_words: int,
    teacher_model: str,
    teacher_epochs: int,
    teacher_learning_rate: float,
    teacher_batch_size: int,
    teacher_warmup_ratio: float,
    teacher_weight_decay: float,
    teacher_adam_beta1: float,
    teacher_adam_beta2: float,
    teacher_adam_epsilon: float,
    teacher_max_grad_norm: float,
    teacher_precision: str,
    teacher_max_length: int,
    teacher_directions: str,
    teacher_packing: bool,
    teacher_method: str,
    teacher_lora_rank: int,
    teacher_lora_alpha: int,
    teacher_lora_dropout: float,
    teacher_patience: int,
    teacher_checkpoint_steps: int,
    teacher_keep_checkpoints: int,
    teacher_micro_batch_size: int,
    teacher_gradient_checkpointing: bool,
    teacher_zero_stage: int,
    teacher_offload: str,
    teacher_offload_folder: str,
    synthesis_mode: str,
    synthesis_annotate_temperature: float,
    synthesis_samples: int,
    synthesis_agreement: str,
    synthesis_correct_prior: bool,
    synthesis_min_precision: float,
    synthesis_generate_count: int,
    synthesis_label_balance: str,
    synthesis_demonstrations: int,
    synthesis_generate_temperature: float,
    synthesis_generate_top_p: float,
    synthesis_stop_novelty: float,
    synthesis_max_new_tokens: int,
    synthesis_max_length: int,
    synthesis_batch_size: int,
    synthesis_batch_tokens: int,
    synthesis_engine: str,
    synthesis_server_url: str,
    synthesis_server_command: str,
    synthesis_server_model: str,
    synthesis_server_concurrency: int,
    synthesis_server_start_seconds: int,
    synthesis_chunk_size: int,
    synthesis_streams: int,
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
    curation_ratio: float,
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
    student_patience: int,
    student_dev_steps: int,
    student_example_weights: str,
    student_real_weight: float,
    student_soft_labels: bool,
    student_order: str,
    student_gold_arm: bool,
    evaluation_bootstrap_samples: int,
    evaluation_confidence: float,
    notify_format: str,
    status: dsl.PipelineTaskFinalStatus,
    summary: dsl.Output[dsl.Markdown],
):
    """Say in a few lines how the run ended and how far each stage came.

    It takes the settings and not the run that preflight made of them: it is told nothing by other
    stages, because it runs after a failure of any of them.
    """
    settings = dict(locals())
    from pathlib import Path

    from daftt_core.config import from_argument, from_flat
    from daftt_core.errors import DafttError
    from daftt_core.notifications import notify
    from daftt_core.preflight import resolve
    from daftt_core.reporting import summarize as describe
    from daftt_core.telemetry import stage_process

    with stage_process():
        final, shown = settings.pop("status"), settings.pop("summary")
        try:
            run = resolve(from_flat(from_argument(settings)))
        except DafttError:  # the preflight has said why
            run = None
        said = final.error_message or ""
        notify(run, notify_format, final.state, said)  # first: the run's folder may be unwritable
        Path(shown.path).write_text(describe(run, final.state, said), encoding="utf-8")
