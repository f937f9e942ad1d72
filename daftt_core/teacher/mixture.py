"""The mixture as prompts for one teacher: only what it can read whole."""

from __future__ import annotations

from transformers import PreTrainedTokenizerBase

from daftt_core.data.candidates import MixtureExample, MixtureTask
from daftt_core.data.mixture import read_mixture
from daftt_core.engines import encode
from daftt_core.errors import ModelError
from daftt_core.tasks import Prompt, mixture_prompt
from daftt_core.telemetry import log
from daftt_core.workspace import Run

__all__ = ["mixture_prompts"]


def mixture_prompts(
    run: Run, mixture: str, tokenizer: PreTrainedTokenizerBase, max_length: int
) -> list[Prompt]:
    """What the teacher learns beside the target task.

    A solved example that would make an instance too long is not shown before it; an instance that
    is too long by itself is left out: half an input teaches nothing.

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
    """The prompt with the solved examples that fit; None where it is too long without any."""

    def whole(shown: list[tuple[str, str]]) -> Prompt | None:
        prompt = mixture_prompt(task.definition, shown, example.text, example.output)
        try:
            return None if encode(prompt, tokenizer, max_length).cut else prompt
        except ModelError:  # too long even without its input
            return None

    shown: list[tuple[str, str]] = []
    best = whole(shown)
    for pair in task.positive_examples if best else ():
        longer = whole([*shown, pair]) if pair[0] != example.text else None
        if longer is not None:
            shown, best = [*shown, pair], longer
    return best
