"""The calls to the engine, put together of those of a few modules."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec

from dockersched.errors import EngineFullError, EngineRefusedError, PermanentRunnerError, TransientRunnerError
from dockersched.sandbox.docker import answers
from dockersched.sandbox.docker.answers import having
from dockersched.sandbox.docker.archive_calls import ArchiveCalls, ArchiveTooLargeError
from dockersched.sandbox.docker.engine_http import Query, path_of
from dockersched.sandbox.docker.image_calls import ImageCalls
from dockersched.sandbox.docker.outcome import was_started
from dockersched.sandbox.docker.transport import CONFLICT, NOT_FOUND, unless
from dockersched.sandbox.docker.volume_calls import VolumeCalls

__all__ = ["ArchiveTooLargeError", "EngineCalls"]

_PS_ARGS = "-eo pid,args:256"
"""The processes are the task's: it decides how long their command lines are."""


class EngineCalls(ArchiveCalls, ImageCalls, VolumeCalls):
    """A batch of calls over one connection, for one thread.

    Every call raises `EngineRefusedError` for an answer of the engine, `TransientRunnerError` for a connection that
    failed. Calls that may be repeated are, with jittered back-off.

    Args:
        http: the plain calls; closed by `close`.
        closing: set when retries should give up.
        health: told of each call.
    """

    def create_or_find(self, name: str, body: Mapping[str, Any]) -> str:
        """Creates a container, or finds the one that an earlier call for the same attempt created; gives its id.

        A reply that got lost is made good by the name, which only this attempt can have.

        Raises:
            PermanentRunnerError: a container that is not ours has the name.
        """

        def create() -> str:
            try:
                with self._translated():
                    created = self._http.post("/containers/create", body, {"name": name})
                    return msgspec.convert(created, answers.WithId).id
            except EngineRefusedError as refused:
                if refused.status != CONFLICT:
                    raise
            found = self.inspect_or_none(name)
            if found is None:  # as while an engine is still about what a process asked for that was killed
                raise TransientRunnerError(f"the engine is just making or removing a container {name}")
            if not _has_all(found, body["Labels"]):
                raise PermanentRunnerError(
                    f"a container that is not ours has the name {name}; remove or rename it (docker rm {name})"
                )
            return str(found["Id"])

        return self._retry(create)

    def start(self, container: str) -> None:
        """Starts a container once: after a lost reply it looks before it tries again, in a later batch, too.

        Raises:
            EngineRefusedError: the daemon went down meanwhile. Its successor can show a container as never started
                whose process runs (seen with 26.1); a second start would run it twice.
        """

        def start() -> None:
            if container in self._health.unanswered_starts:
                inspected = self.inspect(container)
                if was_started(inspected["State"]):
                    return
                if not self.remembers(container, "create", datetime.fromisoformat(inspected["Created"])):
                    raise EngineRefusedError(0, "the engine went down while it started the container")
            self._health.unanswered_starts.add(container)
            try:
                with self._translated():
                    self._http.call("POST", path_of("containers", container, "start"))
            except (EngineRefusedError, EngineFullError):
                self._health.unanswered_starts.discard(container)
                raise

        self._retry(start)
        self._health.unanswered_starts.discard(container)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        path = path_of("containers", container, "json")
        return self._repeat(lambda: having(answers.Container, self._http.get(path)))

    def inspect_or_none(self, container: str) -> dict[str, Any] | None:
        """What the engine knows of a container; None when there is none."""
        return unless(NOT_FOUND, lambda: self.inspect(container))

    def find_ours(self, name: str, labels: Mapping[str, str]) -> dict[str, Any] | None:
        """What the engine knows of the container of this name, if it has all these labels."""
        found = self.inspect_or_none(name)
        return found if found and _has_all(found, labels) else None

    def remove_ours(self, name: str, labels: Mapping[str, str]) -> bool:
        """Kills and removes the container of this name, if it has all these labels; another's is not touched.

        Returns:
            whether there was one.
        """
        found = self.find_ours(name, labels)
        if found is not None:
            self.remove(str(found["Id"]))
        return found is not None

    def list_run(self, label: str) -> list[dict[str, Any]]:
        """All containers with a label, in any state, by one request."""
        query: Query = {"all": 1, "filters": json.dumps({"label": [label]})}
        return self._repeat(lambda: msgspec.convert(self._http.get("/containers/json", query), list[dict[str, Any]]))

    def kill(self, container: str, signal: str) -> bool:
        """Sends a signal; False when the process had ended before.

        After a lost reply, in an earlier batch, too, it may well be our own signal that ended it.
        """
        sent, key = self._health.unanswered_kills, (container, signal)

        def kill() -> bool:
            was_sent = key in sent
            sent.add(key)
            try:
                self._http.call("POST", path_of("containers", container, "kill"), {"signal": signal})
            except (ConnectionRefusedError, FileNotFoundError):  # nobody listens: it was not sent
                if not was_sent:
                    sent.discard(key)
                raise
            except EngineRefusedError as refused:
                if refused.status not in {CONFLICT, NOT_FOUND}:
                    raise
                sent.discard(key)
                return was_sent
            sent.discard(key)
            return True

        return self._repeat(kill)

    def processes(self, container: str) -> list[str]:
        """The command lines of the processes in a container that runs, or how they begin."""
        path = path_of("containers", container, "top")
        found = self._repeat(
            lambda: msgspec.convert(self._http.get(path, {"ps_args": _PS_ARGS}), answers.Processes).processes
        )
        return [process[-1] for process in found or () if process]

    def pause(self, container: str) -> None:
        """Freezes all processes of a container; they may be frozen already."""
        unless(
            CONFLICT, lambda: self._repeat(lambda: self._http.call("POST", path_of("containers", container, "pause")))
        )

    def unpause(self, container: str) -> None:
        """Lets the processes of a frozen container go on."""
        self._repeat(lambda: self._http.call("POST", path_of("containers", container, "unpause")))

    def remove(self, container: str) -> None:
        """Kills and removes a container and its anonymous volumes; it may be gone already."""

        def remove() -> None:
            try:
                self._http.call("DELETE", path_of("containers", container), {"v": 1, "force": 1})
            except EngineRefusedError as refused:
                if refused.status == CONFLICT:  # a removal is in progress: look again until it is gone
                    raise TransientRunnerError(refused.explanation) from refused
                raise

        unless(NOT_FOUND, lambda: self._repeat(remove))

    def remembers(self, container: str, event: str, since: datetime) -> bool:
        """Whether the daemon that answers now is the one that did or saw this: events live in its memory only.

        Args:
            container: id or name.
            event: `create`, `start` or `oom`.
            since: when it was, by the engine's clock; none is found if that was set back to a time before.
        """
        now = self.now()
        if since > now:  # asked for what is to come, the engine would wait for it
            return False
        query: Query = {
            "since": int(since.timestamp()) - 2,
            "until": f"{now.timestamp():.6f}",
            "filters": json.dumps({"container": [container], "event": [event]}),
        }
        events: bytes = self._repeat(lambda: self._http.call("GET", "/events", query))
        return bool(events.strip())

    def read_log(self, container: str) -> Iterator[bytes]:
        """All output that the engine kept, stdout and stderr as they came, in raw multiplexed chunks."""
        path = path_of("containers", container, "logs")
        with self._translated(), self._http.answer("GET", path, {"stdout": 1, "stderr": 1}) as answer:
            yield from answer

    def info(self) -> dict[str, Any]:
        """What the engine says of itself and its host."""
        return self._repeat(lambda: having(answers.Info, self._http.get("/info")))

    def now(self) -> datetime:
        """The time by the engine's clock."""
        return datetime.fromisoformat(self.info()["SystemTime"])

    def clock_gain(self) -> timedelta:
        """How far the engine's clock has been set forward since we connected; less than none where it was set back."""
        return self.now() - self._health.now()

    def version(self) -> dict[str, Any]:
        """The versions of the engine and of the programs that it uses."""
        return self._repeat(lambda: having(dict, self._http.get("/version")))


def _has_all(container: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    theirs = container["Config"].get("Labels") or {}
    return all(theirs.get(key) == value for key, value in labels.items())
