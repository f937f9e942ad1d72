"""``daftt models``: models brought to where a cluster can read them."""

from __future__ import annotations

import click

from daftt_core.cli.printing import say


@click.group("models")
def models_command() -> None:
    """Bring models to where a cluster can read them.

    \b
    Examples:
      daftt models copy EleutherAI/gpt-neox-20b gs://my-bucket/models/gpt-neox-20b
    """


@models_command.command("copy")
@click.argument("source")
@click.argument("target")
def copy_command(source: str, target: str) -> None:
    """Copy the model SOURCE to the folder TARGET of a bucket.

    SOURCE is a bundled model, a folder, a .gguf file, a Hugging Face Hub id, or a folder in a
    bucket. A run then names TARGET as its teacher_model or student_model; its pods need no
    internet. Weights, configuration and tokenizer are copied, no pickled weights and no code. What
    is there already is not sent again.

    \b
    Examples:
      daftt models copy EleutherAI/gpt-neox-20b gs://my-bucket/models/gpt-neox-20b
      daftt models copy ./my-teacher gs://my-bucket/models/my-teacher
    """
    from daftt_core.modeling import find_model
    from daftt_core.storage.models import store_model

    model, is_new = store_model(find_model(source), target)
    size_gb = sum(model.sizes.values()) / 1e9
    done = "copied" if is_new else "is there already"
    say(f"{model.uri}: {done}, {len(model.sizes)} files, {size_gb:.2f} GB, {model.digest}")
