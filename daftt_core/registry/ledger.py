"""The champion of each task: read it, replace it by compare-and-swap, roll it back.

    <registry>/<task>/champion.json          the pointer and the history, always written together
    <registry>/<task>/versions/<version>/    a model folder with its card and lineage; never changed

The file is replaced only if it is still the version that was read: by generation in a bucket, by a
lock and an atomic rename in a folder. Of two writers that read the same file one wins; the other
reads again, and gives up if the champion is no longer the one that it was compared with.
"""

from __future__ import annotations

import getpass
import os
import re
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from daftt_core.errors import BusyError, ConfigError, StorageError, did_you_mean
from daftt_core.network import Retry, TransientError
from daftt_core.records import explain
from daftt_core.registry.models import Decision, Event, Ledger
from daftt_core.stages import VERSIONS
from daftt_core.storage import NOTHING, RemoteFolder, Storage, open_storage, read_manifest, verify

_FILE = "champion.json"
_ATTEMPTS = 20
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 0.05, 2.0
_TASK = re.compile(r"[a-z0-9][a-z0-9-]*")


class TaskRegistry:
    """One task's part of a registry.

    Args:
        registry: Folder or storage prefix of the registry.
        task: The task's id.
        sleep: Waits for some seconds.

    Raises:
        ConfigError: That is not the id of a task.
    """

    def __init__(
        self, registry: str, task: str, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        if not may_be_task(task):
            raise ConfigError(f"task {task!r}: a task's id has only a to z, 0 to 9 and -")
        self.task, self.uri = task, f"{registry.rstrip('/')}/{task}"
        self._storage: Storage = open_storage(self.uri)
        self._retry = Retry(
            first_pause_seconds=_FIRST_PAUSE_SECONDS,
            longest_pause_seconds=_LONGEST_PAUSE_SECONDS,
            attempts=_ATTEMPTS,
            sleep=sleep,
        )

    def read(self) -> Ledger:
        """Return the champion and the history; both empty before the first promotion.

        Raises:
            StorageError: They cannot be read, or were changed by hand.
        """
        return self._read()[0]

    def promote(self, decision: Decision, run: str, by: str) -> Ledger:
        """Replace the champion by the version that was compared with it.

        Args:
            decision: The decision.
            run: The run that the version comes from.
            by: Who promotes it.

        Raises:
            BusyError: There is a new champion meanwhile; nothing was changed.
            StorageError: The version's files do not match its manifest.
        """
        self.check_version(decision.version)
        event = _event("promoted", decision.version, decision.reason, by, run, decision)
        return self._append(event, decision.champion)

    def refuse(self, decision: Decision, run: str, by: str) -> Ledger:
        """Record that a version was refused. Arguments as for :meth:`promote`."""
        event = _event("refused", decision.version, decision.reason, by, run, decision)
        return self._append(event)

    def roll_back(self, to: str, why: str, by: str) -> Event:
        """Make an earlier champion the champion again.

        Args:
            to: The version, or its beginning; empty: the one that the champion replaced.
            why: The reason, in one sentence.
            by: Who rolls back.

        Raises:
            ConfigError: There is no such version, or none before the champion.
            BusyError: There is a new champion meanwhile; nothing was changed.
            StorageError: The version's files do not match its manifest.
        """
        if not why.strip():
            raise ConfigError("why: the history needs a reason for the roll-back (--why)")
        ledger = self.read()
        if ledger.champion is None:
            raise ConfigError(f"{self.task}: has no champion in {self.uri}")
        version = self.find(to) if to else _before(ledger)
        if version == ledger.champion:
            raise ConfigError(f"{self.task}: {version} is already the champion")
        self.check_version(version)
        promoted = ledger.promotion_of(version)
        run = promoted.run if promoted else ""
        event = _event("rolled-back", version, _line("why", why), by, run)
        return self._append(event, ledger.champion).events[-1]

    def find(self, start: str) -> str:
        """Return the promoted version that begins like this, or for ``champion`` the champion.

        Raises:
            ConfigError: No promoted version does, or several do.
        """
        ledger = self.read()
        if start == "champion":
            if ledger.champion is None:
                raise ConfigError(f"{self.task}: has no champion in {self.uri}")
            return ledger.champion
        known = ledger.versions()
        matches = [version for version in known if start and version.startswith(start)]
        if len(matches) == 1:
            return matches[0]
        raise ConfigError(
            f"{self.task}: {'several versions begin' if matches else 'no promoted version begins'} "
            f"with {start!r}{did_you_mean(start, known)} (known: {', '.join(known) or 'none'})"
        )

    def check_version(self, version: str) -> None:
        """Check every stored file of a version against its manifest.

        Raises:
            StorageError: A file is missing or was changed, or there is no such version.
        """
        name = VERSIONS.part(version).name
        folder = self._storage.folder
        if folder is not None:
            manifest = read_manifest(folder / name)
            if manifest is not None:
                verify(folder / name, manifest)
                return
        else:
            remote = RemoteFolder(self._storage, name)
            manifest = remote.manifest()
            if manifest is not None:
                # read from storage, not from the cache on this machine
                with tempfile.TemporaryDirectory(prefix="daftt-version-") as download:
                    changed = remote.download(manifest, Path(download))
                if not changed:
                    return
                raise StorageError(
                    f"{remote.uri}: {changed[0]} does not match the manifest; it was changed"
                )
        raise StorageError(f"{self.uri}/{name}: has no manifest, so there is no such version")

    def _read(self) -> tuple[Ledger, str]:
        content = self._storage.read(_FILE)
        if content is None:
            return Ledger(task=self.task), NOTHING
        try:
            ledger = Ledger.model_validate_json(content.data)
        except ValidationError as error:
            first = ": ".join(filter(None, next(explain(error, Ledger))))
            raise StorageError(
                f"{self.uri}/{_FILE}: is not the history it was: {first}; put an unchanged copy "
                "in its place"
            ) from None
        if ledger.task != self.task:
            raise StorageError(f"{self.uri}/{_FILE}: is the history of {ledger.task!r}")
        return ledger, content.version

    def _append(self, event: Event, expected: str | object | None = ...) -> Ledger:
        """Add an event; with ``expected`` only if that is the champion."""
        changed: Ledger | None = None

        def attempt(_seconds: float) -> Ledger:
            nonlocal changed
            ledger, version = self._read()
            if changed and changed.events[-1] in ledger.events:
                return changed  # it was written, and another process wrote after it
            if expected is not ... and ledger.champion != expected:
                raise BusyError(_overtaken(self.task, ledger, expected))
            changed = ledger.followed_by(event)
            text = changed.model_dump_json(indent=1) + "\n"
            try:
                self._storage.write(_FILE, text.encode(), replaces=version)
            except BusyError as error:
                raise TransientError(str(error)) from None
            return changed

        try:
            return self._retry.call(attempt)
        except TransientError:
            raise BusyError(
                f"{self.uri}/{_FILE}: many processes write it at once; try again"
            ) from None


def may_be_task(name: str) -> bool:
    """Return whether a name can be a task's id, rather than a path or a URI."""
    return bool(_TASK.fullmatch(name))


def registered_tasks(registry: str) -> list[str]:
    """Return the tasks in a registry, in order.

    Raises:
        StorageError: It cannot be read.
    """
    return [name for name in open_storage(registry).folders() if may_be_task(name)]


def who(name: str = "") -> str:
    """Return the author of a change: the name, else ``DAFTT_USER``, else this process's user.

    Raises:
        ConfigError: It is not one line of text.
    """
    name = name or os.environ.get("DAFTT_USER", "")
    if not name:
        try:
            name = getpass.getuser()
        except (KeyError, OSError):  # a container's user may have no name
            name = f"user {os.getuid()}"
    return _line("by", name)


def _line(field: str, text: str) -> str:
    if not text.isprintable() or len(text) > 500:
        raise ConfigError(f"{field}: {text[:60]!r} must be one line of at most 500 characters")
    return text.strip()


def _event(
    action: str, version: str, why: str, by: str, run: str, decision: Decision | None = None
) -> Event:
    fields = {
        "at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "by": by,
        "action": action,
        "version": version,
        "champion": None,
        "run": run,
        "why": why,
        "decision": decision,
    }
    return Event.model_validate(fields)


def _before(ledger: Ledger) -> str:
    promoted = ledger.promotion_of(ledger.champion or "")
    if promoted is None or promoted.champion is None:
        raise ConfigError(
            f"{ledger.task}: {ledger.champion} is the first champion, so there is none to roll "
            "back to; name a version with --to"
        )
    return promoted.champion


def _overtaken(task: str, ledger: Ledger, expected: object) -> str:
    last = next(event for event in reversed(ledger.events) if event.action != "refused")
    return (
        f"{task}: meanwhile {last.by} has made {last.version} of run {last.run} the champion "
        f"({last.at}) in place of {expected or 'none'}; nothing was changed: compare again"
    )
