"""How fast inputs are labelled, against plain batched ``generate`` and the machine's own limit.

    python benchmarks/annotation.py
    python benchmarks/annotation.py --examples 200 --threads 2
    python benchmarks/annotation.py --peer distilabel

Sentences of movie reviews are labelled by the demo's teacher with the same prompts: the task's
definition, four demonstrations and the sentence. DAFTT scores the labels (prefix computed once, all
labels in one pass). The first peer lets the model write the label: ``generate`` over whole prompts,
padded on the left, longest first, which is what a script with transformers does. The second is
distilabel's transformers engine; ``--peer distilabel`` makes an environment of its own for it in
the cache, once (about 2 GB), and runs it there on the same model and prompts. All compute in
float32.

The limit is what one large matrix product reaches in the same run, measured between the rounds. The
share is that of the operations which cannot be left out: those of the weights for each token read,
the prefix once and no padding; the vocabulary's once for each example; and attention's.
``--precision bfloat16`` also shows what rounding the weights would bring, and how many labels it
changes.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from typing import Any

import numpy as np
import torch
from limits import fastest, matmul_flops, weights
from peers import peer_folder

from daftt_core.data.sources import own_source
from daftt_core.engines import LocalEngine
from daftt_core.modeling import find_model, load_causal_lm
from daftt_core.records import Example
from daftt_core.tasks import Prompt, Task, answer_prompt, load_task

TEACHER = "smollm2-135m-instruct"
DEMONSTRATIONS = 4
MAX_LENGTH = 512
_PEER = """
import json, sys, time
import torch
from distilabel.models.llms import TransformersLLM
asked = json.load(open(sys.argv[1]))
torch.set_num_threads(asked["threads"])
llm = TransformersLLM(model=asked["model"], chat_template="{{ messages[0]['content'] }}",
                      torch_dtype="float32", use_magpie_template=False)
llm.load()
chats = [[{"role": "user", "content": text}] for text in asked["prompts"]]
size = asked["batch_size"]
llm.generate_outputs(inputs=chats[:2], max_new_tokens=asked["tokens"], do_sample=False)
times = []
for _ in range(asked["rounds"]):
    started = time.perf_counter()
    for at in range(0, len(chats), size):
        llm.generate_outputs(inputs=chats[at : at + size], max_new_tokens=asked["tokens"],
                             do_sample=False)
    times.append(time.perf_counter() - started)
print(min(times))
"""


def main() -> None:
    """Measure and print one line a case."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=32, help="sequences side by side")
    parser.add_argument("--threads", type=int, default=0, help="0 takes torch's own choice")
    parser.add_argument("--rounds", type=int, default=3, help="the fastest of so many counts")
    parser.add_argument("--precision", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--peer", choices=["distilabel"], help="also measure this package")
    arguments = parser.parse_args()
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    model, tokenizer = load_causal_lm(TEACHER)
    task, prompts = shown_prompts(arguments.examples)
    answers = [f" {label.verbalizer}" for label in task.labels]
    flops = _flops_needed(model, tokenizer, prompts)
    seconds, scores, limit = _score(
        torch.float32, prompts, answers, arguments.batch_size, arguments.rounds
    )
    print(f"one matrix product: {limit / 1e9:.0f} GFLOP/s with {torch.get_num_threads()} threads")
    print(
        f"labels scored: {len(prompts) / seconds:.2f} examples/s "
        f"({flops / seconds / limit:.0%} of the matrix product's speed)"
    )
    longest = max(len(tokenizer(answer).input_ids) for answer in answers)
    size, rounds = arguments.batch_size, arguments.rounds
    plain = fastest(lambda: _generate(model, tokenizer, prompts, size, longest), rounds)
    _tell("plain generate, the same batch size", prompts, plain, seconds)
    if arguments.precision == "bfloat16":
        rounded, others, _ = _score(
            torch.bfloat16, prompts, answers, arguments.batch_size, arguments.rounds
        )
        same = (others.argmax(1) == scores.argmax(1)).mean()
        print(
            f"weights in bfloat16: {len(prompts) / rounded:.2f} examples/s; {same:.1%} of the "
            f"labels stay, log-probabilities move by up to {np.abs(others - scores).max():.3f}"
        )
    if arguments.peer:
        peer = _distilabel(prompts, size, longest, rounds)
        _tell("distilabel's TransformersLLM", prompts, peer, seconds)


def _score(
    dtype: torch.dtype, prompts: list[Prompt], answers: list[str], batch_size: int, rounds: int
) -> tuple[float, Any, float]:
    """Seconds of the fastest round, the scores, and the limit as it was meanwhile."""
    model, tokenizer = load_causal_lm(TEACHER, dtype=dtype)
    engine = LocalEngine(model, tokenizer, batch_size=batch_size, max_length=MAX_LENGTH)
    engine.score(prompts[:2], answers)
    seconds, limit, scores = float("inf"), matmul_flops(), None
    for _ in range(rounds):
        engine._known_prefix = None  # its cost counts
        started = time.perf_counter()
        scores = engine.score(prompts, answers)
        seconds = min(seconds, time.perf_counter() - started)
        limit = max(limit, matmul_flops())
    return seconds, scores, limit


def _tell(peer: str, prompts: list[Prompt], seconds: float, ours: float) -> None:
    speed = len(prompts) / seconds
    print(f"{peer}: {speed:.2f} examples/s; scoring is {seconds / ours:.1f} times as fast")


def shown_prompts(count: int) -> tuple[Task, list[Prompt]]:
    """The task, and the same prompts as the stages', with demonstrations in their prefix."""
    task = load_task("movie-reviews")
    examples: list[Example] = [row.example for row in own_source(task).rows]
    shown = ""
    for number, example in enumerate(examples[:DEMONSTRATIONS], start=1):
        shown += f"Positive Example {number}-\nInput: {example.text}\nOutput: "
        shown += f"{task.verbalize(example.output or '')}.\n\n"
    prompts = []
    for example in examples[DEMONSTRATIONS : DEMONSTRATIONS + count]:
        prompt = answer_prompt(task, Example.of(example.text))
        definition, _, _ = prompt.prefix.partition("\n\nInput:")
        prefix = f"{definition}\n\n{shown}Now complete the following example-\nInput:"
        prompts.append(Prompt(prefix, prompt.body, prompt.suffix))
    return task, prompts


def _generate(
    model: Any, tokenizer: Any, prompts: list[Prompt], batch_size: int, tokens: int
) -> None:
    """What a plain script does."""
    tokenizer.padding_side = "left"
    texts = sorted(map(str, prompts), key=len, reverse=True)
    for at in range(0, len(texts), batch_size):
        batch = tokenizer(texts[at : at + batch_size], padding=True, return_tensors="pt")
        with torch.inference_mode():
            model.generate(**batch.to(model.device), max_new_tokens=tokens, do_sample=False)


def _flops_needed(model: Any, tokenizer: Any, prompts: list[Prompt]) -> float:
    """Two operations for each weight and token; four for each head's dimension and token seen."""
    body, head = weights(model)
    prefix = len(tokenizer(prompts[0].prefix).input_ids)
    rests = [len(tokenizer(p.body + p.suffix).input_ids) for p in prompts]
    seen = prefix**2 / 2 + sum(prefix * rest + rest**2 / 2 for rest in rests)
    config = model.config
    attention = 4 * config.num_hidden_layers * config.num_attention_heads * config.head_dim * seen
    return 2.0 * (body * (prefix + sum(rests)) + head * len(prompts)) + attention


def _distilabel(prompts: list[Prompt], batch_size: int, tokens: int, rounds: int) -> float:
    """Seconds that distilabel takes in its fastest round, in an environment of its own."""
    needed = [
        "distilabel[hf-transformers]==1.5.3",
        "transformers==4.57.6",
        f"torch=={torch.__version__.split('+')[0]}",
    ]
    folder = peer_folder("distilabel", needed)
    python = folder / "bin" / "python"
    model = folder / "model"
    shutil.copytree(find_model(TEACHER), model, dirs_exist_ok=True)
    settings = json.loads((model / "tokenizer_config.json").read_text())
    settings["tokenizer_class"] = "PreTrainedTokenizerFast"  # as older transformers call it
    (model / "tokenizer_config.json").write_text(json.dumps(settings))
    asked = folder / "asked.json"
    asked.write_text(
        json.dumps(
            {
                "model": str(model),
                "prompts": sorted(map(str, prompts), key=len, reverse=True),
                "batch_size": batch_size,
                "tokens": tokens,
                "rounds": rounds,
                "threads": torch.get_num_threads(),
            }
        )
    )
    done = subprocess.run(
        [python, "-c", _PEER, asked], check=True, stdout=subprocess.PIPE, text=True
    )
    return float(done.stdout.split()[-1])


if __name__ == "__main__":
    sys.exit(main())
