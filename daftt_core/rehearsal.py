"""A run's work in small, which shows the pace of a machine without a GPU before the run.

Models of the run's own architectures, with random weights and as few layers as a few seconds allow,
go through the code of the stages: batches of the lengths that the run's examples have, the same
number format, as many threads and as many processes side by side. Neither weights nor tokenizers
are needed: a stand-in takes each byte for a token. What a layer takes follows from two numbers of
layers.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, pairwise
from pathlib import Path
from statistics import fmean, median
from typing import Any

import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForSeq2SeqLM,
    AutoModelForSequenceClassification,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Trainer,
    TrainerCallback,
)
from transformers.trainer_callback import PrinterCallback
from typing_extensions import override

from daftt_core.config import Config
from daftt_core.config.training import CONTRASTIVE, CONTRASTIVE_BATCH
from daftt_core.engines import LocalEngine
from daftt_core.errors import ConfigError
from daftt_core.evaluation.label_sets import EVEN
from daftt_core.modeling import (
    IGNORED,
    be_quiet,
    limit_threads,
    reads_forward,
    training_arguments,
    use_bfloat16,
)
from daftt_core.modeling.building import byte_tokenizer
from daftt_core.modeling.machine import choose_device
from daftt_core.modeling.pooling import is_pooled_by_mean, pool_by_mean, prepare_training
from daftt_core.planning import Lengths, Pace, model_shape, student_shape
from daftt_core.planning.architectures import read_shape
from daftt_core.planning.memory import training_parts
from daftt_core.planning.settings import teacher_setup
from daftt_core.planning.shapes import FLOAT32, find_model_config
from daftt_core.planning.times import extend
from daftt_core.records import Example
from daftt_core.storage import commit
from daftt_core.student.contrastive import fit_contrastively
from daftt_core.student.encoding import Reading, encode
from daftt_core.student.lessons import Lesson
from daftt_core.student.prediction import answer
from daftt_core.student.processes import students_at_once, work_on
from daftt_core.student.training import fit
from daftt_core.tasks import Prompt, Task
from daftt_core.teacher.packing import choose_collator
from daftt_core.teacher.training import add_adapter
from daftt_core.telemetry import LOCAL_LOOP_WIDTH

_Settings = Mapping[str, Any]

_MEASURED = 40_000_000
"""Parameters of the layers that are measured, at most, unless two layers have more."""
_LAYER_COUNTS = (
    "num_hidden_layers", "n_layer", "n_layers", "num_layers", "num_decoder_layers",
    "encoder_layers", "decoder_layers",
)  # fmt: skip
_STEPS = 6  # of a training; the first ones are slower
_WARM_UP = 2
_TRIES, _SECONDS_OF_TRIES = 3, 1.0
_WRITTEN = 12  # tokens of each text, at most; later ones take as long
_ANSWERED = 64  # inputs of a student
_STORED = 64_000_000  # bytes
_GIB = 2**30
_LIBRARIES = "import kfp.dsl.executor, daftt_core.teacher, daftt_core.synthesis"


def rehearse(config: Config, task: Task, lengths: Lengths) -> Pace:
    """Measure this machine's pace, in well under a minute for models that suit it.

    Args:
        config: The run's settings; :func:`check_machine` has accepted them.
        task: Its task.
        lengths: Mean lengths of its examples.
    """
    be_quiet()
    cores = limit_threads()
    teacher, student = map(_settings_of, (config.teacher.model, config.student.model))
    at_once = students_at_once(config.student.seeds, student_shape(config, task).parameters)
    loops = LOCAL_LOOP_WIDTH if sys.platform == "linux" else 1  # elsewhere nothing can be copied
    with tempfile.TemporaryDirectory(prefix="daftt-", ignore_cleanup_errors=True) as scratch:
        # Processes begin as copies of this one, which must not have used its threads by then.
        query = partial(_query, config, task, lengths, max(1, cores // LOCAL_LOOP_WIDTH), teacher)
        scoring, writing = _together([query] * loops, LOCAL_LOOP_WIDTH)
        limit_threads()
        study = [
            partial(_study, config, task, lengths, Path(scratch, str(number)), student)
            for number in range(at_once)
        ]
        learning, contrasting, answering = _together(study, at_once)
        (training,) = _whole(teacher, partial(_teach, config, lengths, Path(scratch)))
        storing = _seconds_to_store(Path(scratch, "stored"))
    return Pace(
        cores=cores,
        bfloat16=use_bfloat16(config.teacher.precision),
        start=_seconds_to_start(),
        training=training,
        scoring=scoring,
        writing=writing,
        learning=learning,
        contrasting=contrasting,
        answering=answering,
        storing=storing,
    )


def check_machine(config: Config) -> None:
    """Check that the run's pace on this machine can be measured.

    Raises:
        ConfigError: The machine has a GPU, the teacher is to be asked by something else than the
            stages' own processes, or the memory does not hold it.
    """
    if choose_device().type != "cpu":
        raise ConfigError(
            "job_gpu_model: say for which kind of GPU to plan, such as a100-80; a machine that has "
            "one is not measured"
        )
    if config.synthesis.engine != "local":
        raise ConfigError(
            f"synthesis_engine: how fast a teacher behind {config.synthesis.engine!r} answers "
            "cannot be measured before there is one; plan with the engine local"
        )
    shape = model_shape("teacher", config.teacher.model)
    bf16 = use_bfloat16(config.teacher.precision)
    # two shards side by side hold a teacher each
    needed = float(LOCAL_LOOP_WIDTH * FLOAT32 * shape.parameters)
    if config.teacher.epochs:
        needed = max(needed, training_parts(shape, teacher_setup(config, bf16=bf16)).total)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if needed > memory:
        raise ConfigError(
            f"teacher: {config.teacher.model} needs about {needed / _GIB:,.0f} GiB of memory and "
            f"this machine has {memory / _GIB:,.0f}; choose a smaller teacher, or say for which "
            "kind of GPU to plan (job_gpu_model)"
        )


def _settings_of(model: str) -> dict[str, Any]:
    settings = dict(find_model_config(model) or {})
    for name in ("_name_or_path", "architectures", "quantization_config", "dtype", "torch_dtype"):
        settings.pop(name, None)
    return settings


def _together(
    jobs: Sequence[Callable[..., tuple[float, ...]]], processes: int
) -> tuple[float, ...]:
    """Return what jobs measured, as if the whole machine had worked on each token.

    Args:
        jobs: The same work several times, side by side.
        processes: How many processes share the machine in that stage of a run.
    """
    found = [result for _, result in work_on(jobs, len(jobs), lambda _: None)]
    return tuple(fmean(values) / processes for values in zip(*found, strict=True))


def _whole(
    settings: _Settings, measure: Callable[[_Settings], tuple[float, ...]]
) -> tuple[float, ...]:
    """Return what would be measured of a whole model.

    Args:
        settings: Its configuration.
        measure: Measures a model of a configuration with as many layers or fewer.
    """
    shape = read_shape(settings)
    layers = max(block.count for block in shape.blocks)
    size = sum(block.count * block.parameters for block in shape.blocks) // layers
    most = min(layers, max(2, _MEASURED // size))
    counts = [most] if most == layers else [max(1, most // 4), most]
    parts = [_with_layers(settings, count) for count in counts]
    measured = [(read_shape(part).products, measure(part)) for part in parts]
    return tuple(
        extend([(products, values[index]) for products, values in measured], shape.products)
        for index in range(len(measured[0][1]))
    )


def _with_layers(settings: _Settings, count: int) -> dict[str, Any]:
    cut = {name: min(settings[name], count) for name in _LAYER_COUNTS if name in settings}
    if kinds := settings.get("layer_types"):
        cut["layer_types"] = kinds[:count]
    return {**settings, **cut}


def _build(auto: Any, settings: _Settings, **head: Any) -> tuple[Any, PreTrainedTokenizerBase]:
    """Return a model with random weights, and the stand-in for its tokenizer."""
    longest = max(settings.get("max_position_embeddings", 0), settings.get("n_positions", 0))
    tokenizer = byte_tokenizer(longest or 2**20)
    special = {"pad_token_id": tokenizer.pad_token_id, "eos_token_id": tokenizer.eos_token_id}
    config = AutoConfig.for_model(**{**settings, **special, **head})
    if auto is None:
        auto = AutoModelForCausalLM if reads_forward(config) else AutoModelForSeq2SeqLM
    model: PreTrainedModel = auto.from_config(config, dtype=torch.float32)
    if model.can_generate():
        model.generation_config.pad_token_id = tokenizer.pad_token_id
        model.generation_config.eos_token_id = None  # texts of a given length
    return model, tokenizer


def _seconds(work: Callable[[], object]) -> float:
    """Return the time of some work, after it was done once: the median of up to three tries."""
    work()
    tries: list[float] = []
    while not tries or (len(tries) < _TRIES and sum(tries) < _SECONDS_OF_TRIES):
        started = time.monotonic()
        work()
        tries.append(time.monotonic() - started)
    return median(tries)


class _Clock(TrainerCallback):
    """Notes when steps end."""

    def __init__(self) -> None:
        self._ends: list[float] = []

    def tick(self) -> None:
        """Note the end of a step."""
        self._ends.append(time.monotonic())

    @override
    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.tick()

    @property
    def seconds(self) -> float:
        """Return the time of a step."""
        ends = self._ends[_WARM_UP - 1 :]
        return median(after - before for before, after in pairwise(ends))


def _query(
    config: Config,
    task: Task,
    lengths: Lengths,
    threads: int,
    settings: _Settings,
    _on_units: Callable[[int], None],
) -> tuple[float, ...]:
    """Measure the teacher's answers: seconds a token of scoring, and of writing."""
    torch.set_num_threads(threads)
    synthesis, count = config.synthesis, config.synthesis.batch_size
    answers = _answers(task, lengths)
    question = Prompt("d" * lengths.beginning, "q" * lengths.question, "")
    label = Prompt("d" * lengths.beginning, "l" * lengths.answer, "")

    def measure(part: _Settings) -> tuple[float, float]:
        engine = LocalEngine(
            *_build(AutoModelForCausalLM, part),
            batch_size=count,
            batch_tokens=synthesis.batch_tokens,
            max_length=synthesis.max_length,
        )

        def write(prompt: Prompt, tokens: int) -> float:
            def some(tokens: int) -> tuple[int, float]:
                return tokens, _seconds(
                    lambda: engine.write(
                        [prompt] * count,
                        range(count),
                        temperature=1.0,
                        top_p=1e-6,  # a nucleus of random weights would hold thousands of tokens
                        max_new_tokens=tokens,
                    )
                )

            wanted = min(tokens, synthesis.max_new_tokens)
            numbers = sorted({1, min(wanted, _WRITTEN)})  # the first comes with the prompt's tokens
            return extend(list(map(some, numbers)), wanted)

        scoring = writing = 0.0
        if task.is_classification:
            scoring = _seconds(lambda: engine.score([question] * count, answers))
            if synthesis.mode != "annotate":
                writing = write(label, lengths.question)
        else:
            writing = write(question, lengths.answer)
        return scoring, writing

    tokens = count * lengths.queried
    return tuple(seconds / tokens for seconds in _whole(settings, measure))


def _answers(task: Task, lengths: Lengths) -> list[str]:
    """Return as many answers as the teacher chooses from, each of an answer's tokens."""
    count = 2 if task.is_multilabel else len(task.labels)
    width = max(lengths.answer - 1, len(str(count)))
    return [f"{number:0{width}d}" for number in range(count)]


def _study(
    config: Config,
    task: Task,
    lengths: Lengths,
    folder: Path,
    settings: _Settings,
    _on_units: Callable[[int], None],
) -> tuple[float, ...]:
    """Measure a student: seconds a token of training, plain and by contrast, and of its answers."""
    student = config.student.model_copy(
        update={"epochs": 1, "min_steps": _STEPS, "patience": 0, "order": "together"}
    )
    outputs = task.label_names[:2] if task.is_classification else ["a" * max(1, lengths.target - 1)]

    def examples(count: int) -> list[Example]:
        # not all of one length: a batch without padding has no mask, and is faster
        texts = ["q" * max(1, lengths.input - number % 3) for number in range(count)]
        return [
            Example.of(text, output=output)
            for text, output in zip(texts, cycle(outputs), strict=False)
        ]

    def measure(part: _Settings) -> tuple[float, float, float]:
        model, tokenizer = _build_student(config, task, part)
        reading = Reading.of(task, model, tokenizer, student.max_length, student.max_target_length)
        # before the training, after which the Trainer's model goes on computing in bfloat16
        torch.nn.Module.eval(model)
        questions = encode(tokenizer, reading, examples(_ANSWERED), outputs=False)
        written = replace(reading, max_target_length=max(1, lengths.target))
        answering = _seconds(lambda: answer(model, tokenizer, written, questions, lambda _: None))

        def lesson(size: int) -> Lesson:
            dataset = encode(tokenizer, reading, examples(size), outputs=True).dataset
            return Lesson(reading, dataset, size, None, {})

        known: dict[str, Any] = {"seed": config.run.seed, "name": "rehearsal"}
        contrasting, ways = 0.0, student.ways("real", task.kind, pooled=is_pooled_by_mean(model))
        if CONTRASTIVE in ways:
            size, clock = CONTRASTIVE_BATCH, _Clock()
            fit_contrastively(
                *(model, tokenizer, lesson(size), student),
                **known,
                steps=_STEPS,
                on_step=clock.tick,
            )
            contrasting = clock.seconds / size
        size, clock = student.batch_size, _Clock()
        fit(*(model, tokenizer, lesson(size), student), **known, folder=folder, on_step=clock.tick)
        return clock.seconds / size, contrasting, answering / _ANSWERED

    return tuple(seconds / lengths.learned for seconds in _whole(settings, measure))


def _build_student(
    config: Config, task: Task, settings: _Settings
) -> tuple[Any, PreTrainedTokenizerBase]:
    if not task.is_classification:
        return _build(None, settings)
    model, tokenizer = _build(
        AutoModelForSequenceClassification,
        settings,
        num_labels=len(task.label_names),
        problem_type="multi_label_classification" if task.is_multilabel else None,
    )
    model.config.update({"label_thresholds": dict.fromkeys(task.label_names, EVEN)})
    if config.student.pooling == "mean" and pool_by_mean(model):
        prepare_training(model)
    return model, tokenizer


def _teach(
    config: Config, lengths: Lengths, folder: Path, settings: _Settings
) -> tuple[float, ...]:
    """Measure the teacher's training: seconds a token."""
    teacher = config.teacher
    model, tokenizer = _build(AutoModelForCausalLM, settings)
    if teacher.method == "lora":
        model = add_adapter(model, teacher)
    clock = _Clock()
    size, accumulation = teacher.micro_batches(1)
    batch = [
        _lesson(lengths, writing=teacher.directions == "both" and number % 2 == 1)
        for number in range(teacher.batch_size)
    ]
    trainer = Trainer(
        model=model,
        args=training_arguments(
            folder,
            teacher.precision,
            max_steps=_STEPS,
            per_device_train_batch_size=size,
            gradient_accumulation_steps=accumulation,
            activation_checkpointing=teacher.gradient_checkpointing,
            activation_checkpointing_kwargs={"use_reentrant": False},
            max_grad_norm=teacher.max_grad_norm,
            train_sampling_strategy="sequential",
            save_strategy="no",
        ),
        train_dataset=Dataset.from_list(batch * _STEPS),
        data_collator=choose_collator(
            model, tokenizer, packing=teacher.packing, max_length=teacher.max_length
        ),
        callbacks=[clock],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    return (clock.seconds / (len(batch) * lengths.taught),)


def _lesson(lengths: Lengths, *, writing: bool) -> dict[str, Any]:
    """Return an example for the teacher: an answer to a question, or a question for an answer."""
    parts = (lengths.question, lengths.answer)
    asked, answered = reversed(parts) if writing else parts
    first = 3 + writing  # the two directions begin differently; 0 to 2 are special tokens
    return {
        "input_ids": [first] * lengths.beginning + [5] * (asked + answered),
        "labels": [IGNORED] * (lengths.beginning + asked) + [5] * answered,
        "shared": lengths.beginning,
    }


def _seconds_to_store(folder: Path) -> float:
    """Measure the seconds a byte of a file that is written and committed."""
    content = bytes(_STORED)

    def store() -> None:
        folder.mkdir(exist_ok=True)
        (folder / "model").write_bytes(content)
        commit(folder, "rehearsal", {})

    return _seconds(store) / _STORED


def _seconds_to_start() -> float:
    started = time.monotonic()
    subprocess.run([sys.executable, "-c", _LIBRARIES], check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.monotonic() - started
