"""``daftt registry``: champions, their history, promotion, roll-back."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

import click

from daftt_core.cli.printing import say, say_json, with_json
from daftt_core.cli.runs.stored_runs import check_named_folder, find_run, read_run, with_run
from daftt_core.cli.tables import new_table, show_table
from daftt_core.errors import ConfigError, StorageError, did_you_mean
from daftt_core.stages import VERSIONS

if TYPE_CHECKING:
    from daftt_core.registry import Ledger, Lineage

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def with_places(command: _Decorated) -> _Decorated:
    """Give a command the options that say where the runs and the registry are."""
    command = click.option(
        "--output",
        default="runs",
        show_default=True,
        help="Folder, or prefix in a bucket, of the runs; the registry is 'registry' in it.",
    )(command)
    return click.option("--registry", default="", help="The registry, if it is elsewhere.")(command)


def registry_at(registry: str, output: str) -> str:
    """Return the place of the registry that the options of :func:`with_places` name.

    Raises:
        StorageError: A folder that was named is not there.
    """
    from daftt_core.registry import REGISTRY

    check_named_folder("registry" if registry else "output")
    return registry or f"{output.rstrip('/')}/{REGISTRY}"


def _with_registry(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command those options, and pass the registry's place as ``place``."""

    @with_places
    @wraps(command)
    def located(registry: str, output: str, **options: Any) -> None:
        command(place=registry_at(registry, output), **options)

    return located


def _with_author(command: _Decorated) -> _Decorated:
    return click.option(
        "--by", default="", help="Who does it; else DAFTT_USER, else this machine's user."
    )(command)


@click.group("registry")
def registry_command() -> None:
    """See and change which model serves for each task.

    Every change and every refusal is written into the task's history: who, when, what and why.

    \b
    Examples:
      daftt registry list
      daftt registry show movie-reviews
      daftt registry rollback movie-reviews --why "complaints since Monday"
    """


@registry_command.command("list")
@_with_registry
@with_json
def _list(place: str, as_json: bool) -> None:
    """List the champion of every task.

    \b
    Example:
      daftt registry list --output gs://my-bucket/daftt
    """
    from daftt_core.registry import registered_tasks

    ledgers = {task: _read(place, task) for task in registered_tasks(place)}
    damaged = [str(ledger) for ledger in ledgers.values() if isinstance(ledger, StorageError)]
    if as_json:
        say_json([_brief(task, ledger) for task, ledger in ledgers.items()])
    elif not ledgers:
        say(f"There is no champion in {place}; a run promotes one: daftt run")
    else:
        headings = ["task", "champion", "since", "by", "run", "score"]
        table = new_table([*headings, *["error"] * bool(damaged)])
        for task, ledger in ledgers.items():
            table.add_row(task, *_champion(ledger))
        show_table(table)
    if damaged:
        raise StorageError("\n".join(damaged))


@registry_command.command("show")
@click.argument("task")
@click.argument("version", default="champion")
@_with_registry
@with_json
def _show(task: str, version: str, place: str, as_json: bool) -> None:
    """Show a task's champion, or another VERSION: its folder, its lineage, the task's history.

    \b
    Example:
      daftt registry show movie-reviews
    """
    from daftt_core.registry import TaskRegistry, read_lineage, registered_tasks

    tasks = TaskRegistry(place, task)
    known = registered_tasks(place)
    if task not in known:
        hint = f"{did_you_mean(task, known)} (known: {', '.join(known) or 'none'})"
        raise ConfigError(f"task {task!r}: is not in {place}{hint}")
    ledger = tasks.read()
    if ledger.champion is None and version == "champion":
        lineage = None
    else:
        version = tasks.find(version)
        lineage = read_lineage(place, task, version)
    if as_json:
        say_json(
            {
                "ledger": ledger.model_dump(mode="json"),
                "lineage": lineage.model_dump(mode="json") if lineage else None,
            }
        )
        return
    say(f"{task}: champion {ledger.champion or 'none'}")
    if lineage is not None:
        say(f"version {version}, in {tasks.uri}/{VERSIONS.part(version)}")
        for name, value in _facts(lineage):
            say(f"  {name}: {value}")
    table = new_table(["when", "what", "version", "by", "run", "why"])
    for event in ledger.events:
        table.add_row(event.at, event.action, event.version, event.by, event.run, event.why)
    show_table(table)


@registry_command.command("diff")
@click.argument("task")
@click.argument("version")
@click.argument("other", default="champion")
@_with_registry
@with_json
def _diff(task: str, version: str, other: str, place: str, as_json: bool) -> None:
    """Show how VERSION and OTHER (the champion) differ: data, settings, code, scores.

    \b
    Example:
      daftt registry diff movie-reviews 3f2a91
    """
    from daftt_core.registry import TaskRegistry, read_lineage

    tasks = TaskRegistry(place, task)
    ledger = tasks.read()
    versions = [tasks.find(version), tasks.find(other)]
    left, right = (_flat(ledger, read_lineage(place, task, version)) for version in versions)
    differences = {
        name: [left.get(name, ""), right.get(name, "")]
        for name in left | right
        if left.get(name, "") != right.get(name, "")
    }
    if as_json:
        say_json({"versions": versions, "differences": differences})
        return
    table = new_table(["", *versions])
    for name, values in differences.items():
        table.add_row(name, *values)
    show_table(table)


@registry_command.command("promote")
@with_run()
@_with_author
def _promote(run: str, output: str, by: str) -> None:
    """Compare a finished run's best student with the champion, by the run's own settings.

    RUN is a run's folder, its URI in a bucket, its name, or 'latest'. This is what the pipeline's
    last stage does: a student that is not proven better is refused. To use other settings, repeat
    the run's command with them, such as daftt run --promotion-rule non-inferiority.

    \b
    Example:
      daftt registry promote movie-reviews-1a2b3c4d
    """
    from daftt_core.registry import promote, run_config, who
    from daftt_core.reporting import write_report

    stored = read_run(find_run(run, output))
    config = run_config(stored)
    result = promote(stored, config.promotion, config.student, config.evaluation, by=who(by))
    write_report(stored)
    say(result.result.reason)


@registry_command.command("rollback")
@click.argument("task")
@click.option("--to", default="", help="A version; default: the one that the champion replaced.")
@click.option("--why", required=True, help="One sentence for the history.")
@_with_author
@_with_registry
def _rollback(task: str, to: str, why: str, by: str, place: str) -> None:
    """Make an earlier champion the champion again.

    No run promotes again what was rolled back; only a roll-back --to it does that.

    \b
    Example:
      daftt registry rollback movie-reviews --why "wrong on short reviews since Tuesday"
    """
    from daftt_core.registry import TaskRegistry, read_lineage, register_or_warn, who

    event = TaskRegistry(place, task).roll_back(to, why, who(by))
    say(f"{task}: {event.version} is the champion again, in place of {event.champion}")
    lineage = read_lineage(place, task, event.version)
    if url := lineage.promotion.model_registry:
        register_or_warn(url, place, lineage.task, event.version)


@registry_command.command("register")
@click.argument("task")
@click.option(
    "--model-registry", "url", default="", help="Its address; default: promotion_model_registry."
)
@_with_registry
def _register(task: str, url: str, place: str) -> None:
    """Register the champion of TASK in Kubeflow's Model Registry.

    A run does so itself where promotion_model_registry is set.

    \b
    Example:
      daftt registry register movie-reviews --model-registry http://localhost:8080
    """
    from daftt_core.errors import ConfigError
    from daftt_core.registry import TaskRegistry, read_lineage, register

    version = TaskRegistry(place, task).read().champion
    if version is None:
        raise ConfigError(f"{task}: there is no champion to register")
    lineage = read_lineage(place, task, version)
    url = url or lineage.promotion.model_registry
    if not url:
        raise ConfigError("the run had no promotion_model_registry; give --model-registry URL")
    say(register(url, place, lineage.task, version))


def _read(place: str, task: str) -> Ledger | StorageError:
    """Return a task's ledger, or why it cannot be read: other tasks are shown all the same."""
    from daftt_core.registry import TaskRegistry

    try:
        return TaskRegistry(place, task).read()
    except StorageError as error:
        return error


def _brief(task: str, ledger: Ledger | StorageError) -> dict[str, Any]:
    if isinstance(ledger, StorageError):
        return {"task": task, "champion": None, "events": None, "error": str(ledger)}
    return {"task": task, "champion": ledger.champion, "events": len(ledger.events), "error": None}


def _champion(ledger: Ledger | StorageError) -> list[str]:
    if isinstance(ledger, StorageError):
        return ["not known", "", "", "", "", str(ledger)]
    if ledger.champion is None:
        return ["none", "", "", "", ""]
    moved = next(event for event in reversed(ledger.events) if event.action != "refused")
    promoted = ledger.promotion_of(ledger.champion)
    decision = promoted.decision if promoted else None
    score = f"{100 * decision.score:.1f} {decision.metric}" if decision else ""
    return [ledger.champion, moved.at, moved.by, moved.run, score]


def _facts(lineage: Lineage) -> list[tuple[str, str]]:
    counts = ", ".join(f"{n} {source}" for source, n in lineage.training_examples.items() if n)
    return [
        ("run", f"{lineage.run} ({lineage.uri})"),
        ("student", f"{lineage.student.model}, arm {lineage.arm}, seed {lineage.seed}"),
        ("learned from", counts),
        ("data", ", ".join(f"{k} {v}" for k, v in (lineage.data.get("sha256") or {}).items())),
        ("test examples", lineage.test_digest),
        ("teacher", f"{lineage.teacher['model']} ({lineage.teacher['digest']})"),
        ("synthetic", ", ".join(f"{k} {v}" for k, v in lineage.synthetic.items())),
        ("code", ", ".join(f"{k} {v}" for k, v in lineage.code.items())),
        ("images", ", ".join(lineage.images.values()) or "none"),
    ]


def _flat(ledger: Ledger, lineage: Lineage) -> dict[str, str]:
    """Return everything that may tell two versions apart, by name."""
    promoted = ledger.promotion_of(lineage.version)
    scores = promoted.decision.scores if promoted and promoted.decision else {}
    return {
        "run": lineage.run,
        "arm": lineage.arm,
        "seed": str(lineage.seed),
        **{f"{name} on test": f"{value:.4f}" for name, value in scores.items()},
        **{f"{name} examples": str(n) for name, n in lineage.training_examples.items()},
        **{f"data: {k}": v for k, v in (lineage.data.get("sha256") or {}).items()},
        **{f"stage: {name}": digest for name, digest in lineage.stages.items()},
        **{f"code: {name}": version for name, version in lineage.code.items()},
        **{f"image: {name}": image for name, image in lineage.images.items()},
        **{name: str(value) for name, value in lineage.settings.items()},
    }
