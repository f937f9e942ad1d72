"""``daftt registry``: champions, their history and lineage, promotion, and going back."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click
from rich.table import Table

from daftt_core.cli.printing import say, say_json, show_table
from daftt_core.cli.runs.report import find_run, read_run
from daftt_core.cli.runs.stored_runs import check_given
from daftt_core.errors import ConfigError, StorageError, did_you_mean
from daftt_core.stages import VERSIONS

if TYPE_CHECKING:
    from daftt_core.registry import Event, Ledger, Lineage, TaskRegistry

_Decorated = TypeVar("_Decorated", bound=Callable[..., Any])


def with_registry(command: _Decorated) -> _Decorated:
    """Give a command the options that say where the registry is."""
    command = click.option(
        "--output",
        default="runs",
        show_default=True,
        help="Folder, or prefix in a bucket, of the runs; the registry is 'registry' in it.",
    )(command)
    return click.option("--registry", default="", help="Another place of the registry.")(command)


def _with_author(command: _Decorated) -> _Decorated:
    return click.option(
        "--by", default="", help="Who does it; else DAFTT_USER, else this machine's user."
    )(command)


def _with_json(command: _Decorated) -> _Decorated:
    return click.option("--json", "as_json", is_flag=True, help="Print JSON.")(command)


@click.group("registry", short_help="Champions: list, show, diff, promote, rollback.")
def registry_command() -> None:
    """See and change which model serves for each task.

    Every change and every refusal is written into the task's history: who, when, what and why.

    
    Examples:
      daftt registry list
      daftt registry show movie-reviews
      daftt registry rollback movie-reviews --why "complaints since Monday"
    """


@registry_command.command("list")
@with_registry
@_with_json
def _list(registry: str, output: str, as_json: bool) -> None:
    """List the champion of every task.

    \b
    Example:
      daftt registry list --output gs://my-bucket/daftt
    """
    from daftt_core.registry import registered_tasks

    place = _known_place(registry, output)
    ledgers = {task: _read(place, task) for task in registered_tasks(place)}
    damaged = [str(one) for one in ledgers.values() if isinstance(one, StorageError)]
    if as_json:
        say_json([_brief(task, one) for task, one in ledgers.items()])
    elif not ledgers:
        say(f"There is no champion in {place}; a run promotes one: daftt run")
    else:
        headings = ["task", "champion", "since", "by", "run", "score"]
        table = _table(*headings, *["error"] * bool(damaged))
        for task, one in ledgers.items():
            table.add_row(task, *_champion(one))
        show_table(table)
    if damaged:
        raise StorageError("\n".join(damaged))


@registry_command.command("show")
@click.argument("task")
@click.argument("version", default="champion")
@with_registry
@_with_json
def _show(task: str, version: str, registry: str, output: str, as_json: bool) -> None:
    """Show a task's champion, or another VERSION: where it is, whence it comes, its history.

    \b
    Example:
      daftt registry show movie-reviews
    """
    from daftt_core.registry import read_lineage, registered_tasks

    tasks, place = open_registry(registry, output, task), _known_place(registry, output)
    known = registered_tasks(place)
    if task not in known:
        others = f"{did_you_mean(task, known)} (known: {', '.join(known) or 'none'})"
        raise ConfigError(f"task {task!r}: is not in {place}{others}")
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
    table = _table("when", "what", "version", "by", "run", "why")
    for event in ledger.events:
        table.add_row(*_row(event))
    show_table(table)


@registry_command.command("diff")
@click.argument("task")
@click.argument("version")
@click.argument("other", default="champion")
@with_registry
@_with_json
def _diff(task: str, version: str, other: str, registry: str, output: str, as_json: bool) -> None:
    """Show in what VERSION and OTHER (the champion) differ: data, settings, code, scores.

    \b
    Example:
      daftt registry diff movie-reviews 3f2a91
    """
    from daftt_core.registry import read_lineage

    tasks, place = open_registry(registry, output, task), registry_place(registry, output)
    ledger = tasks.read()
    versions = [tasks.find(version), tasks.find(other)]
    flat = [_flat(ledger, read_lineage(place, task, one)) for one in versions]
    names = dict.fromkeys([*flat[0], *flat[1]])
    found = {
        name: [one.get(name, "") for one in flat]
        for name in names
        if flat[0].get(name, "") != flat[1].get(name, "")
    }
    if as_json:
        say_json({"versions": versions, "differences": found})
        return
    table = _table("", *versions)
    for name, values in found.items():
        table.add_row(name, *values)
    show_table(table)


@registry_command.command("promote")
@click.argument("run", metavar="[RUN]", default="latest")
@click.option(
    "--output",
    default="runs",
    show_default=True,
    help="Folder, or prefix in a bucket, where runs are looked for.",
)
@_with_author
def _promote(run: str, output: str, by: str) -> None:
    """Compare a finished run's best student with the champion, by the run's own settings.

    RUN is a run's folder, its place in a bucket, its name, or 'latest'. It is what the pipeline's
    last stage does: a student that is not proven better is refused. For other settings give the
    run's command again with them, such as daftt run --promotion-rule non-inferiority.

    \b
    Example:
      daftt registry promote movie-reviews-1a2b3c4d
    """
    from daftt_core.registry import promote, run_config, who
    from daftt_core.reporting import write_report

    found = read_run(find_run(run, output))
    config = run_config(found)
    result = promote(found, config.promotion, config.student, config.evaluation, by=who(by))
    write_report(found)
    say(result.result.reason)


@registry_command.command("rollback")
@click.argument("task")
@click.option("--to", default="", help="A version; not given: the one the champion replaced.")
@click.option("--why", required=True, help="One sentence for the history.")
@_with_author
@with_registry
def _rollback(task: str, to: str, why: str, by: str, registry: str, output: str) -> None:
    """Make an earlier champion the champion again.

    What was taken back is not promoted again by a run; only a roll-back --to it does that.

    \b
    Example:
      daftt registry rollback movie-reviews --why "wrong on short reviews since Tuesday"
    """
    from daftt_core.registry import who

    event = open_registry(registry, output, task).roll_back(to, why, who(by))
    say(f"{task}: {event.version} is the champion again, in place of {event.champion}")


def registry_place(registry: str, output: str) -> str:
    """Where the registry is, by the two options of :func:`with_registry`."""
    from daftt_core.registry import REGISTRY

    return registry or f"{output.rstrip('/')}/{REGISTRY}"


def _known_place(registry: str, output: str) -> str:
    """Where the registry is, of a place that is there unless nobody has named it."""
    check_given("registry" if registry else "output")
    return registry_place(registry, output)


def open_registry(registry: str, output: str, task: str) -> TaskRegistry:
    """One task's part of the registry.

    Raises:
        ConfigError: That is not the id of a task.
    """
    from daftt_core.registry import TaskRegistry

    return TaskRegistry(registry_place(registry, output), task)


def _read(place: str, task: str) -> Ledger | StorageError:
    """A task's ledger; or why it cannot be read, so that the others are shown all the same."""
    from daftt_core.registry import TaskRegistry

    try:
        return TaskRegistry(place, task).read()
    except StorageError as error:
        return error


def _brief(task: str, found: Ledger | StorageError) -> dict[str, Any]:
    if isinstance(found, StorageError):
        return {"task": task, "champion": None, "events": None, "error": str(found)}
    return {"task": task, "champion": found.champion, "events": len(found.events), "error": None}


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


def _row(event: Event) -> list[str]:
    return [event.at, event.action, event.version, event.by, event.run, event.why]


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
    """Everything that may tell two versions apart, by name."""
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


def _table(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold")
    return table
