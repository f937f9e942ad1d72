"""How fast vLLM labels inputs: a label set in one request, against an echo for each label.

    python tests/support/vllm_environment.py /opt/vllm-env      # once; 6 GB
    PATH=$PATH:/opt/vllm-env/bin python benchmarks/vllm_labelling.py

Sentences of movie reviews are labelled by the demo's untuned teacher with the same prompts (the
task's definition, four demonstrations and the sentence) on one vLLM server, which the engine
starts as with ``synthesis_engine=vllm``, and by the local engine. The two ways to ask the server
are measured in turn on the same inputs, and each round has inputs of its own: an input that was
asked about before would be in the prefix cache. The echo comes second, because it does not read
that cache. A ratio is that of two times in one round; the median of the rounds is printed, so that
other work on the machine matters less.

Agreement is the share of inputs whose most probable label is that of the local engine, and the
greatest difference of a log-probability.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import numpy as np
from annotation import MAX_LENGTH, TEACHER, shown_prompts

from daftt_core.config import SynthesisConfig
from daftt_core.engines import Engine, ServerEngine, answer_scores, open_engine, open_local
from daftt_core.modeling import find_model
from daftt_core.tasks import Prompt


def main() -> None:
    """Measure and print a line a round, and the medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--examples", type=int, default=48, help="inputs of a round")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--concurrency", type=int, default=16)
    found = parser.parse_args()
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; as much as it likes without
    task, prompts = shown_prompts(found.examples * (found.rounds + 1))
    answers = [f" {label.verbalizer}" for label in task.labels]
    config = SynthesisConfig(
        engine="vllm",
        max_length=MAX_LENGTH,
        server_concurrency=found.concurrency,
        server_start_seconds=3600,
    )
    local = open_local(config, TEACHER)
    with open_engine(config, find_model(TEACHER)) as opened:
        server = opened.engine
        assert isinstance(server, ServerEngine)
        echo = _with_echo(server, answers)
        rows = [
            _round(prompts[start : start + found.examples], answers, local, server, echo)
            for start in range(0, len(prompts), found.examples)
        ][1:]  # the first one warms up
    to_echo = statistics.median(row[1] / row[2] for row in rows)
    to_local = statistics.median(row[1] / row[0] for row in rows)
    print(f"medians: {to_echo:.1f} times the echo, {to_local:.2f} times the local engine")
    same = statistics.fmean(row[3] for row in rows)
    print(f"labels: {same:.1%} agree, log-probabilities within {max(row[4] for row in rows):.1e}")


def _with_echo(server: ServerEngine, answers: list[str]) -> ServerEngine:
    """Return an engine that asks the same server, but with an echo for each answer."""
    engine = ServerEngine(server._api, server._model, server._concurrency)
    engine._ways[tuple(answers)] = answer_scores._Echo(server._api, server._model, answers)
    return engine


def _round(
    prompts: list[Prompt],
    answers: list[str],
    local: Engine,
    server: ServerEngine,
    echo: ServerEngine,
) -> list[float]:
    """Return examples a second: local, server, echo; then agreement and greatest difference."""
    rates, scores = [], []
    for engine in (local, server, echo):
        started = time.perf_counter()
        scores.append(engine.score(prompts, answers))
        rates.append(len(prompts) / (time.perf_counter() - started))
    ours, theirs = scores[0], scores[1]
    same = float((ours.argmax(1) == theirs.argmax(1)).mean())
    row = [*rates, same, float(np.abs(ours - theirs).max())]
    print(_describe(row), flush=True)
    return row


def _describe(row: list[float]) -> str:
    local, server, echo, same, difference = row
    return (
        f"local {local:.2f} examples/s, one request {server:.2f}, echo {echo:.2f}: one request is "
        f"{server / echo:.1f} times the echo and {server / local:.2f} times the local engine; "
        f"{same:.1%} of the labels agree, log-probabilities within {difference:.1e}"
    )


if __name__ == "__main__":
    main()
