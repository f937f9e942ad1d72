"""Opening the engine that the settings choose, the one place where the teacher is chosen.

A new engine is a class, a function that opens it, and a line in ``ENGINES``; its name stands in
``SynthesisConfig.engine`` too, which is checked on machines that cannot load engines.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from daftt_core.config import SynthesisConfig
from daftt_core.engines.completions_api import CompletionsApi
from daftt_core.engines.engine import Engine
from daftt_core.engines.local import LocalEngine
from daftt_core.engines.server import ServerEngine
from daftt_core.engines.server_process import ServerProcess, free_port, running_server
from daftt_core.engines.vllm_command import ENVIRONMENT, vllm_command
from daftt_core.modeling import inference_dtype, limit_threads, load_causal_lm, meter_gpus
from daftt_core.telemetry import log


@dataclass(frozen=True)
class OpenEngine:
    """An engine and the model behind it.

    Attributes:
        engine: The engine.
        is_tuned: Whether the model is the tuned teacher of this run.
        model: The model in words, for the report.
    """

    engine: Engine
    is_tuned: bool = True
    model: str = "the fine-tuned teacher"


def open_local(config: SynthesisConfig, model: str | Path) -> LocalEngine:
    """Load a model, by a name that :func:`find_model` understands, into this process."""
    limit_threads()
    return LocalEngine(
        *load_causal_lm(model, dtype=inference_dtype()),
        batch_size=config.batch_size,
        batch_tokens=config.batch_tokens,
        max_length=config.max_length,
    )


@contextmanager
def _local(config: SynthesisConfig, teacher: Path) -> Iterator[OpenEngine]:
    yield OpenEngine(open_local(config, teacher))


@contextmanager
def _server(config: SynthesisConfig, teacher: Path) -> Iterator[OpenEngine]:
    """Connect to a server; it has the tuned teacher if its command names ``{model}``."""
    if config.server_url:
        with closing(CompletionsApi(config.server_url, config.server_concurrency)) as api:
            yield _connect(config, api, is_tuned=False)
        return
    port = free_port()
    values = {"{port}": str(port), "{model}": str(teacher)}
    command = [
        re.sub(r"\{(port|model)\}", lambda match: values[match[0]], word)
        for word in config.server_words()
    ]
    with running_server(command) as server, _started(config, server, port) as api:
        yield _connect(config, api, is_tuned="{model}" in config.server_command)


@contextmanager
def _vllm(config: SynthesisConfig, teacher: Path) -> Iterator[OpenEngine]:
    """Serve the tuned teacher with vLLM."""
    port = free_port()
    running = running_server(vllm_command(config, teacher, port), "synthesis_engine", ENVIRONMENT)
    with running as server, _started(config, server, port) as api:
        yield _connect(config, api, is_tuned=True)


@contextmanager
def _started(config: SynthesisConfig, server: ServerProcess, port: int) -> Iterator[CompletionsApi]:
    """Wait for a server that was started on this machine."""
    meter_gpus()  # the server has them
    url = f"http://127.0.0.1:{port}"
    with closing(CompletionsApi(url, config.server_concurrency, server.check)) as api:
        server.wait_until(api.is_healthy, config.server_start_seconds)
        yield api


def _connect(config: SynthesisConfig, api: CompletionsApi, *, is_tuned: bool) -> OpenEngine:
    model = api.choose_model(config.server_model)
    log.info("querying %s at %s", model, api.root)
    engine = ServerEngine(api, model, config.server_concurrency)
    if is_tuned:
        return OpenEngine(engine)
    return OpenEngine(engine, is_tuned=False, model=f"{model}, as a server has it")


ENGINES: dict[str, Callable[[SynthesisConfig, Path], AbstractContextManager[OpenEngine]]] = {
    "local": _local,
    "server": _server,
    "vllm": _vllm,
}
"""Opens each engine that ``synthesis_engine`` may name."""


def open_engine(config: SynthesisConfig, teacher: Path) -> AbstractContextManager[OpenEngine]:
    """Open the engine that the settings choose, for as long as a block lasts.

    ``teacher`` is the folder of the tuned teacher.

    Raises:
        ModelError: The model cannot be loaded, or the server does not have it.
        RemoteError: The server cannot be started or reached.
    """
    return ENGINES[config.engine](config, teacher)
