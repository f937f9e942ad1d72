"""The mixture as prompts for one teacher: only what it can read whole."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from daftt_core.data.candidates import MixtureExample, MixtureTask
from daftt_core.data.mixture import read_mixture
from daftt_core.engines import encode
from daftt_core.errors import ModelError
from daftt_core.progress import log
from daftt_core.tasks import Prompt, mixture_prompt
from daftt_core.workspace import Run

__all__ = ["mixture_prompts"]


def mixture_prompts(
    run: Run, mixture: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[Prompt]:
    """What the teacher learns beside the target task.

    Where the solved examples before an instance make it too long, the last of them go; an instance
    that is too long by itself is left out: half an input teaches nothing.

    Args:
        run: The run.
        mixture: Digest of the ``mixture`` stage; empty where there is none.
        tokenizer: The teacher's tokenizer.
        max_length: Tokens allowed in one example.

    Raises:
        StorageError: The stage cannot be trusted.
    """
    if not mixture:
        return []
    tasks, examples = read_mixture(run, mixture)
    fitting = [_fit(tasks[one.task], one, tokenizer, max_length) for one in examples]
    prompts = [prompt for prompt in fitting if prompt is not None]
    log.info(
        "teacher: %d instances of %d other tasks are mixed in; %d longer than %d tokens are not",
        *(len(prompts), len(tasks), len(fitting) - len(prompts), max_length),
    )
    return prompts


def _fit(
    task: MixtureTask,
    example: MixtureExample,
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
) -> Prompt | None:
    shown = [pair for pair in task.positive_examples if pair[0] != example.text]
    for count in range(len(shown), -1, -1):
        prompt = mixture_prompt(task.definition, shown[:count], example.text, example.output)
        try:
            if not encode(prompt, tokenizer, max_length).cut:
                return prompt
        except ModelError:  # even without the input
            continue
    return None
