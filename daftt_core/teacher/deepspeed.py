"""DeepSpeed's ZeRO through transformers: its settings, loading in parts, saving whole.

ZeRO divides what each process would otherwise hold in full: the optimizer's state (stage 1), the
gradients too (2), the weights too (3). Nothing of DeepSpeed's that must be compiled is used:
torch's AdamW is the optimizer, wherever its state is kept. Only offload to a disk needs one of
DeepSpeed's own operators, and so a compiler and libaio.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from transformers import Trainer

from daftt_core.config import TeacherConfig
from daftt_core.errors import TrainingError
from daftt_core.modeling import be_quiet


def deepspeed_settings(
    config: TeacherConfig, processes: int, *, bfloat16: bool, pin_memory: bool
) -> dict[str, Any] | None:
    """Return the settings for DeepSpeed; None where the teacher's settings do without it.

    Bucket sizes are left to transformers (``auto``), which takes them from the model's width.

    Args:
        config: The teacher's settings.
        processes: Processes that train together.
        bfloat16: Whether weights and activations are bfloat16; the optimizer's copy is float32.
        pin_memory: Whether offloaded state is in pinned memory, which GPUs read fastest.
    """
    if config.zero_stage == 0 or config.epochs == 0:
        return None
    size, accumulation = config.micro_batches(processes)
    zero: dict[str, Any] = {
        "stage": config.zero_stage,
        "contiguous_gradients": True,
        "overlap_comm": True,
        "reduce_bucket_size": "auto",
    }
    if config.zero_stage == 3:
        zero["stage3_prefetch_bucket_size"] = "auto"
        zero["stage3_param_persistence_threshold"] = "auto"
    if config.offload != "none":
        target: dict[str, Any] = {"device": config.offload, "pin_memory": pin_memory}
        if config.offload == "nvme":
            target["nvme_path"] = config.offload_folder
        zero["offload_optimizer"] = target
        if config.zero_stage == 3:
            zero["offload_param"] = dict(target)
    return {
        "train_batch_size": config.batch_size,
        "train_micro_batch_size_per_gpu": size,
        "gradient_accumulation_steps": accumulation,
        "gradient_clipping": config.max_grad_norm,
        "bf16": {"enabled": bfloat16},
        "zero_optimization": zero,
        "zero_allow_untested_optimizer": True,
        "zero_force_ds_cpu_optimizer": False,
    }


@contextmanager
def divided(settings: dict[str, Any] | None) -> Iterator[None]:
    """Load models in parts inside the block, where the settings divide weights.

    Raises:
        TrainingError: DeepSpeed is not installed, or lacks the operator for offload to a disk.
    """
    if settings is None:
        yield
        return
    _prepare(settings)
    from transformers.integrations import deepspeed

    config = deepspeed.HfDeepSpeedConfig(settings)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        del config  # transformers uses it while somebody holds it, as the Trainer's parts do
        deepspeed.unset_hf_deepspeed_config()  # type: ignore[no-untyped-call]


def _prepare(settings: dict[str, Any]) -> None:
    be_quiet()
    try:
        import deepspeed
    except ImportError:
        raise TrainingError(
            "teacher_zero_stage: needs DeepSpeed, which is not installed; install it as `make "
            "setup` does, or set zero_stage to 0"
        ) from None
    logging.getLogger("accelerate").setLevel(logging.ERROR)  # warns of settings that do agree
    if not dist.is_initialized():  # one process alone; DeepSpeed expects torchrun's variables
        os.environ |= {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}
        backend = "nccl" if torch.cuda.is_available() else "gloo"
        store = dist.HashStore()  # type: ignore[attr-defined]
        dist.init_process_group(backend, store=store, rank=0, world_size=1)
    # DeepSpeed uses names that newer versions of torch deprecate, in every step.
    warnings.filterwarnings("ignore", "`torch.distributed.*is deprecated", FutureWarning)
    # It would be compiled at the start of every training, and serves inference only.
    deepspeed.ops.__compatible_ops__["deepspeed_shm_comm"] = False
    deepspeed.init_distributed(dist.get_backend(), auto_mpi_discovery=False, verbose=False)
    if "nvme" in str(settings["zero_optimization"].get("offload_optimizer")):
        from deepspeed.ops.op_builder import AsyncIOBuilder

        if not AsyncIOBuilder().is_compatible(verbose=False):
            raise TrainingError(
                "teacher_offload: nvme needs DeepSpeed's async_io operator, which cannot be built "
                "here (it wants libaio and a compiler); set offload to cpu"
            )


class ZeroTrainer(Trainer):
    """A Trainer whose checkpoints hold the weights once: as DeepSpeed stores them, if used."""

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
        """Write the weights as a model folder, unless DeepSpeed is about to write them."""
        if not self.is_deepspeed_enabled:
            super().save_model(output_dir, _internal_call)


def whole_weights(trainer: Trainer) -> dict[str, torch.Tensor] | None:
    """Return the trained weights by name, on process 0; None where the model itself has them whole.

    Every process has to call this: each contributes its parts.
    """
    engine: Any = trainer.model_wrapped
    if not (trainer.is_deepspeed_enabled and engine.zero_optimization_partition_weights()):
        return None
    frozen = not all(weights.requires_grad for weights in engine.module.parameters())
    state: dict[str, torch.Tensor] = engine._zero3_consolidated_16bit_state_dict(
        exclude_frozen_parameters=frozen
    )
    return state
