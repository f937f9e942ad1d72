"""How fast texts are written, against plain batched ``generate`` and the machine's own limits.

    python benchmarks/generation.py
    python benchmarks/generation.py --texts 96 --batch-size 1 4 32 --threads 2

Both write texts of the same lengths, which follow the spread of real ones: the demo's movie
reviews in tokens. The demo's teacher is asked for a text as the stages do it, temperature 0.8 and
top-p 0.95, and made to end each text at its length; so both write the same number of tokens, in
float32 and with the same number of texts side by side. Plain ``generate`` computes the shared
prefix for each text anew and runs each batch until its longest text has ended; DAFTT's texts share
the prefix and make room for the next.

The limits are measured in the same run. Few texts side by side are limited by memory, which carries
all weights in each forward pass; many by the matrix products of the tokens read and written.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from limits import matmul_flops, read_bandwidth, weights
from torch import Tensor
from transformers import LogitsProcessor, LogitsProcessorList

from daftt_core.data.sources import own_source
from daftt_core.engines import decoding, encode_all
from daftt_core.engines.caches import prefix_cache
from daftt_core.engines.decoding import draw
from daftt_core.modeling import load_causal_lm, pack_weights
from daftt_core.tasks import load_task, writing_prompt

TEACHER = "smollm2-135m-instruct"
TEMPERATURE, TOP_P, LONGEST = 0.8, 0.95, 64


def main() -> None:
    """Measure and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=int, default=128)
    parser.add_argument("--batch-size", type=int, nargs="+", default=[32], help="side by side")
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own choice")
    parser.add_argument("--rounds", type=int, default=2, help="the fastest of so many counts")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load_causal_lm(TEACHER)
    packed, _ = load_causal_lm(TEACHER)
    pack_weights(packed)
    lengths = _lengths(tokenizer, arguments.texts)
    print(
        f"{len(lengths)} texts of {min(lengths)} to {max(lengths)} tokens, "
        f"half of them up to {statistics.median(lengths):g}"
    )
    task = load_task("movie-reviews")
    labels = [task.label_names[number % 2] for number in range(len(lengths))]
    prompts = [writing_prompt(task, None, label) for label in labels]
    encoded = encode_all(prompts, tokenizer, 256, LONGEST)
    prefix, bodies = encoded[0].prefix, [one.rest for one in encoded]
    body, head = weights(model)
    tokens = sum(lengths)
    flops = 2.0 * ((body + head) * tokens + body * (len(prefix) + sum(map(len, bodies))))
    for size in arguments.batch_size:
        _ours(packed, tokenizer, prefix, bodies[:8], lengths[:8], size)
        _plain(model, tokenizer, prefix, bodies[:8], lengths[:8], size)
        ours = plain = float("inf")
        product = memory = 0.0
        for _ in range(arguments.rounds):
            seconds, passes = _ours(packed, tokenizer, prefix, bodies, lengths, size)
            ours = min(ours, seconds)
            product, memory = max(product, matmul_flops()), max(memory, read_bandwidth())
            plain = min(plain, _plain(model, tokenizer, prefix, bodies, lengths, size))
        print(
            f"{size} side by side: DAFTT {tokens / ours:.1f} tokens/s, plain generate "
            f"{tokens / plain:.1f} tokens/s: {plain / ours:.2f} times as fast; "
            f"{flops / ours / product:.0%} of a matrix product's {product / 1e9:.0f} GFLOP/s, "
            f"{4 * (body + head) * passes / ours / memory:.0%} of memory's {memory / 1e9:.0f} GB/s",
            flush=True,
        )


def _lengths(tokenizer: Any, count: int) -> list[int]:
    """Lengths in tokens, end marks included, of real reviews drawn by seed."""
    rows = own_source(load_task("movie-reviews")).rows
    chosen = np.random.default_rng(0).choice(len(rows), count, replace=False)
    texts = [f" {rows[number].example.text}" for number in chosen]
    return [min(LONGEST, len(ids) + 1) for ids in tokenizer(texts).input_ids]


class _Timer:
    """A generator that counts its draws."""

    def __init__(self, seed: int, length: int) -> None:
        self._generator = np.random.default_rng(seed)
        self.left = length

    def random(self) -> float:
        self.left -= 1
        return self._generator.random()


def _ours(
    model: Any,
    tokenizer: Any,
    prefix: list[int],
    bodies: Sequence[list[int]],
    lengths: Sequence[int],
    size: int,
) -> tuple[float, int]:
    """Seconds, and forward passes."""
    end = tokenizer.eos_token_id
    passes = 0

    def count(*_: object) -> None:
        nonlocal passes
        passes += 1

    def timed_draw(
        logits: Tensor, timers: Sequence[Any], temperature: float, top_p: float
    ) -> Tensor:
        logits[:, end] = -1e9
        drawn = draw(logits, timers, temperature, top_p)
        return torch.where(torch.tensor([timer.left == 0 for timer in timers]), end, drawn)

    decoding.draw = timed_draw
    texts: Any = [
        decoding.Text(row, body, _Timer(row, length))  # type: ignore[arg-type]
        for row, (body, length) in enumerate(zip(bodies, lengths, strict=True))
    ]
    sampling = decoding.Sampling(TEMPERATURE, TOP_P, LONGEST, end)
    hook = model.register_forward_pre_hook(count)
    started = time.perf_counter()
    with torch.inference_mode():
        cache = prefix_cache(model, prefix)
        slots = min(size, len(texts))
        written = list(decoding.write_texts(model, cache, texts, slots, sampling))
    seconds = time.perf_counter() - started
    hook.remove()
    assert {one.row: len(one.tokens) for one in written} == dict(enumerate(lengths))
    return seconds, passes


class _EndAtLength(LogitsProcessor):
    def __init__(self, lengths: Sequence[int], start: int, end: int) -> None:
        self._lengths = torch.tensor(lengths)
        self._start = start
        self._end = end

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        scores[:, self._end] = -1e9
        done = self._lengths <= input_ids.shape[1] - self._start + 1
        scores[done, self._end] = 1e9
        return scores


def _plain(
    model: Any,
    tokenizer: Any,
    prefix: list[int],
    bodies: Sequence[list[int]],
    lengths: Sequence[int],
    size: int,
) -> float:
    """What a plain script does."""
    end = tokenizer.eos_token_id
    torch.manual_seed(0)
    started = time.perf_counter()
    for at in range(0, len(bodies), size):
        whole = [prefix + body for body in bodies[at : at + size]]
        width = max(map(len, whole))
        ids = torch.tensor([[end] * (width - len(one)) + one for one in whole])
        real = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in whole])
        hook = _EndAtLength(lengths[at : at + size], width, end)
        with torch.inference_mode():
            model.generate(
                input_ids=ids,
                attention_mask=real,
                logits_processor=LogitsProcessorList([hook]),
                max_new_tokens=LONGEST,
                do_sample=True,
                temperature=TEMPERATURE,
                top_p=TOP_P,
                top_k=0,  # no limit of its own, as here
                eos_token_id=end,
                pad_token_id=end,
            )
    return time.perf_counter() - started


if __name__ == "__main__":
    sys.exit(main())
