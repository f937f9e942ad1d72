"""The lines of Python that let a student answer, with plain transformers."""

from __future__ import annotations

import json

from daftt_core.tasks.task import Task

CUE = "\nOutput:"
"""The end of the input of a causal student, which writes the output after it."""


def prediction_code(
    task: Task, folder: str, *, causal: bool, max_length: int, max_target_length: int
) -> str:
    """Return code that loads a student and prints its answer to an input.

    Args:
        task: The task.
        folder: The student's folder.
        causal: Whether it is a causal language model that writes texts.
        max_length: Tokens of an input, at most.
        max_target_length: Tokens of an output text, at most.
    """
    model, pair = json.dumps(folder, ensure_ascii=False), task.columns.text_pair
    cut = f"truncation=True, max_length={max_length}"
    limit = f"max_new_tokens={max_target_length}, do_sample=False"
    if task.is_classification:
        given = '{"text": "A first text.", "text_pair": "A second text."}' if pair else '"A text."'
        load = f'student = pipeline("text-classification", model={model})'
        if task.is_multilabel:
            return _lines(
                "from transformers import pipeline",
                load,
                "least = student.model.config.label_thresholds  # chosen on dev",
                f"scores = student({given}, top_k=None, {cut})",
                'print([s for s in scores if s["score"] >= least[s["label"]]])',
            )
        return _lines("from transformers import pipeline", load, f"print(student({given}, {cut}))")
    if causal:
        given = "A first text.\nA second text." if pair else "A text."
        return _lines(
            "from transformers import pipeline",
            f'student = pipeline("text-generation", model={model})',
            f"print(student({json.dumps(given + CUE)}, {limit}, return_full_text=False))",
        )
    given = '"A first text.", "A second text."' if pair else '"A text."'
    return _lines(
        "from transformers import AutoModelForSeq2SeqLM, AutoTokenizer",
        f"tokenizer = AutoTokenizer.from_pretrained({model})",
        f"student = AutoModelForSeq2SeqLM.from_pretrained({model})",
        f'inputs = tokenizer({given}, return_tensors="pt", {cut})',
        f"answers = student.generate(**inputs, {limit})",
        "print(tokenizer.batch_decode(answers, skip_special_tokens=True))",
    )


def _lines(*lines: str) -> str:
    return "\n".join(lines)
