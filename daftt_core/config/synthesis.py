"""Settings of what the teacher writes, and of what is kept of it."""

from __future__ import annotations

import shlex
from typing import Literal

from pydantic import Field, field_validator, model_validator

from daftt_core.config.section import (
    BatchSize,
    NonNegative,
    Positive,
    RunOfWords,
    Section,
    Share,
    read_json,
)
from daftt_core.network import address_problem

NOVELTY_WINDOW = 20
"""How many of a stream's inputs, the last ones, ``stop_novelty`` looks at."""


class SynthesisConfig(Section):
    """What the teacher writes."""

    mode: Literal["annotate", "generate", "both"] = "both"
    """annotate unlabelled inputs, generate new pairs, or both."""
    annotate_temperature: float = Field(default=0.1, ge=0, le=2)
    """Sampling temperature of outputs (the paper: 0.1)."""
    samples: int = Field(default=1, ge=1, le=32)
    """Texts written for one input of a text-to-text task; the one that agrees most with the
    others is kept, and that agreement is its confidence. 1: the confidence is the model's own
    mean probability of a token."""
    agreement: Literal["rouge-l", "exact"] = "rouge-l"
    """How far two such texts agree: ROUGE-L (rouge-l), or wholly if they are equal but for case
    and spacing and else not at all (exact)."""
    correct_prior: bool = True
    """Divide the teacher's preference for some labels, measured on inputs without content, out
    of its answers."""
    channel_labels: int = Field(default=8, ge=0, le=1000)
    """Up to so many labels, a teacher that has learned to write inputs also says how probable each
    input is after each label (a noisy channel), which counts beside its answer as far as dev
    prefers that; it reads an input once more for each label. 0: never. Without effect where an
    input may have several labels, and for texts."""
    second_opinion: bool = True
    """Let the students of the labels alone, and a regression on the embeddings of their untrained
    model, judge each input beside the teacher: the opinions are combined as fits dev best, and the
    teacher's alone is taken where dev does not prefer that. Without effect where an input may have
    several labels, and for texts."""
    min_precision: Share = 0.0
    """Share of labels that should be right, as measured on dev: below the confidence that
    reaches it the teacher gives no label. 0: it always gives one."""
    generate_count: Positive = 600
    """New inputs to write."""
    label_balance: Literal["uniform", "as-labelled"] = "uniform"
    """Labels to write new inputs for: as many of each (uniform), or by their shares of the
    labelled examples (as-labelled; set curation_balance to false too)."""
    demonstrations: int = Field(default=0, ge=0, le=32)
    """Labelled examples, drawn for each prompt, that are shown where a new input is requested;
    they have the wanted label. 0: the form that a teacher tuned in both directions has
    learned."""
    generate_temperature: float = Field(default=0.8, gt=0, le=2)
    """Sampling temperature of inputs (the paper: 0.8)."""
    generate_top_p: float = Field(default=0.95, gt=0, le=1)
    """Nucleus of the sampled distribution."""
    stop_novelty: Share = Field(
        default=0.0,
        description="A stream of new inputs (synthesis_streams) ends when, of its last "
        f"{NOVELTY_WINDOW} readable inputs, less than this share is new: neither equal to an "
        "earlier one of the stream nor 0.8 like it (as in curation_near_duplicate). 0: all are "
        "written.",
    )
    max_new_tokens: int = Field(default=48, ge=1, le=2**20)
    """Tokens of a written text, at most; a longer one is rejected."""
    max_length: int = Field(default=256, ge=32, le=2**20)
    """Tokens of prompt and answer together; longer inputs lose their end, and one that would
    lose half of itself is set aside."""
    batch_size: BatchSize = 32
    """Sequences in one forward pass, at most."""
    batch_tokens: int = Field(default=8192, ge=1, le=2**30)
    """Tokens in one forward pass, and in the cache of the texts that are written side by side,
    at most; lowered by itself when memory runs out."""
    engine: Literal["local", "server", "vllm"] = "local"
    """What asks the teacher: this process (local), vLLM, which each stage starts on the GPUs that
    it has (vllm), or an OpenAI-compatible completions server (server), given by
    synthesis_server_url or synthesis_server_command."""
    server_url: str = ""
    """Address of a running server, with scheme, port and path (usually /v1); its key, if it
    wants one, comes from the environment variable DAFTT_SERVER_API_KEY."""
    server_command: str = ""
    """Command that starts a server beside each stage, as words or a JSON list; {model} is the
    fine-tuned teacher's folder and {port} a free port, as in: vllm serve {model} --port {port}."""
    server_model: str = ""
    """Name of the model on the server; may be empty if it has only one."""
    server_concurrency: int = Field(default=16, ge=1, le=1024)
    """Prompts that a server is asked at the same time."""
    server_start_seconds: int = Field(default=900, ge=1, le=86_400)
    """How long a started server may take to load its model."""
    chunk_size: int = Field(default=64, ge=1, le=1_000_000)
    """Examples committed together, at least; the teacher writes 64 at a time."""
    streams: int = Field(default=8, ge=1, le=1024)
    """Independent sequences that the work of a mode falls into, so that neither shards nor
    interruptions change what is made; more of them allow more shards."""
    shards: int = Field(default=2, ge=1, le=1024)
    """Tasks that share the work of a mode, at most as many as synthesis_streams."""

    @model_validator(mode="after")
    def _have_work_for_each_shard(self) -> SynthesisConfig:
        if self.shards > self.streams:
            raise ValueError(
                f"shards is {self.shards}, but there are {self.streams} streams to share: raise "
                "streams, or lower shards"
            )
        return self

    @model_validator(mode="after")
    def _let_samples_differ(self) -> SynthesisConfig:
        if self.samples > 1 and self.annotate_temperature == 0:
            raise ValueError(
                f"{self.samples} samples would be the same text {self.samples} times, because "
                "annotate_temperature is 0: raise it, or set samples to 1"
            )
        return self

    @model_validator(mode="after")
    def _name_one_server(self) -> SynthesisConfig:
        named = bool(self.server_url) + bool(self.server_command)
        if self.engine != "server" and (named or self.server_model):
            raise ValueError(
                f"a server is described, but engine is {self.engine}: set engine to server"
            )
        if self.engine == "server" and named != 1:
            raise ValueError("engine server needs either server_url or server_command")
        if any(character in self.server_url for character in "@?#"):
            raise ValueError(  # settings are stored, logged and shown, and so would a key in them
                "server_url must hold no user, password or query; the server's key goes into the "
                "environment variable DAFTT_SERVER_API_KEY"
            )
        if self.server_url and (problem := address_problem(self.server_url)):
            raise ValueError(f"server_url {problem}")
        if self.server_command and not any("{port}" in word for word in self.server_words()):
            raise ValueError("server_command must say {port} where the port goes")
        return self

    def server_words(self) -> list[str]:
        """Return the program and the arguments of ``server_command``."""
        if not self.server_command.lstrip().startswith("["):
            try:
                return shlex.split(self.server_command)
            except ValueError as error:
                raise ValueError(f"server_command: {error}") from None
        try:
            words = read_json(self.server_command)
        except ValueError as error:
            raise ValueError(f"server_command {error}") from None
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            raise ValueError("server_command must be a JSON list of strings")
        return words


class CurationConfig(Section):
    """Which synthetic examples are kept."""

    verify: Literal["off", "drop", "relabel"] = "relabel"
    """Generated pairs are labelled again by the teacher: ignore that (off), keep only pairs that
    agree (drop), or take the new label (relabel)."""
    min_confidence: Share = 0.0
    """Least confidence of a kept example."""
    keep_share: float = Field(default=1.0, gt=0, le=1)
    """Share of each label's annotated examples to keep, the most confident first (of each set of
    labels in a multi-label task); of all of them in a text-to-text task. Students that learn
    probabilities of the labels make good use of all."""
    min_characters: NonNegative = 10
    """Least length of a kept input."""
    max_characters: Positive = 2000
    """Greatest length of a kept input."""
    check_format: bool = True
    """Remove texts with control characters, without a word, with the prompt's field names, or
    that repeat themselves."""
    language: str = Field(default="", pattern=r"^([a-z]{2,3})?$")
    """ISO 639-1 code of the inputs' language, such as en; inputs that are clearly in another one
    are removed. Empty: any language."""
    personal_data: Literal["redact", "drop", "keep"] = "redact"
    """E-mail addresses, phone and card numbers: replace them (redact), remove the example
    (drop), or do not look (keep)."""
    phone_region: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    """Country (ISO 3166, such as US) whose phone numbers are known without a country code.
    Empty: only numbers that begin with one."""
    echo_words: int = Field(default=4, ge=2, le=20)
    """Length of the runs of words that tell an echo."""
    echo_share: Share = 0.8
    """A generated input that has this share of its runs of words from the prompt or from one
    labelled example is removed; 0: none is."""
    near_duplicate: Share = 0.8
    """Jaccard similarity of character 5-grams from which two inputs are near duplicates, of
    which one stays: 0.6 to 1; 0: do not look."""
    overlap_words: RunOfWords = 8
    """An input that shares this many words in a row with dev or test is removed."""
    balance: bool = True
    """Keep the same number of generated examples for each label; where outputs are sets of
    labels, nothing is taken away."""
    ratio: float = Field(default=0.0, ge=0, le=1_000_000)
    """Kept examples of each source for every labelled one, at most, drawn at random by label; 0:
    no limit."""

    @field_validator("near_duplicate")
    @classmethod
    def _check_near_duplicate(cls, value: float) -> float:
        if 0 < value < 0.6:
            raise ValueError("must be 0, or at least 0.6: below that, unlike texts are compared")
        return value
