"""The calls to the engine: the only module that talks to the SDK, knows its exceptions, and retries."""

from __future__ import annotations

import json
import re
import threading
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal, TypeVar

import requests
import urllib3
from docker.api import APIClient
from docker.errors import APIError, DockerException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.nap import sleep_using_event

from dockersched.errors import (
    EngineFullError,
    EngineRefusedError,
    EngineUnavailableError,
    PermanentRunnerError,
    TransientRunnerError,
)
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.outcome import was_started

T = TypeVar("T")
PathKind = Literal["file", "directory", "link"]

_CONFLICT, _NOT_FOUND, _SERVER_ERROR = 409, 404, 500
_TRIES = 4
_ARCHIVE_CHUNK_BYTES = 2**18
_PATH_STAT = "X-Docker-Container-Path-Stat"
_GO_DIRECTORY = 1 << 31
_NO_SPACE = "no space left on device"
_PULL_TRIES = 5
_PULL_WAIT = wait_random_exponential(multiplier=1, max=10)
# What the engine says of a registry that may do better in a moment: too many requests, its own trouble, the way to it.
_REGISTRY_TROUBLE = re.compile(
    r"toomanyrequests|too many requests|unexpected http status(?: code)?: (?:429|5\d\d)|status code (?:429|5\d\d)"
    r"|(?:internal server error|bad gateway|service unavailable|gateway timeout)"
    r"|timeout|connection (?:refused|reset)|unexpected eof|temporary failure|server misbehaving",
    re.IGNORECASE,
)


class ArchiveTooLargeError(PermanentRunnerError):
    """An archive that does not fit into the volume it is unpacked into."""


class EngineCalls:
    """A batch of calls over one SDK client, for one thread.

    Every call raises `EngineRefusedError` for an answer of the engine, `TransientRunnerError` for a connection that
    failed. Calls that may be repeated are, with jittered back-off.

    Args:
        client: the SDK's low-level client; closed by `close`.
        closing: set when retries should give up.
        health: told of each call.
    """

    def __init__(self, client: APIClient, closing: threading.Event, health: EngineHealth) -> None:
        self._client = client
        self._health = health
        self._retrying = Retrying(
            retry=retry_if_exception(_is_worth_another_try),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            stop=stop_after_attempt(_TRIES),
            sleep=sleep_using_event(closing),
            reraise=True,
        )
        # A call that changes nothing when it is repeated is worth it whatever the engine's trouble was.
        self._repeating = self._retrying.copy(retry=retry_if_exception(_is_engine_trouble))
        self._pulling = self._retrying.copy(
            retry=retry_if_exception(_is_worth_another_pull), wait=_PULL_WAIT, stop=stop_after_attempt(_PULL_TRIES)
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @property
    def client(self) -> APIClient:
        """The SDK's client, for image builds and pulls, which have a progress of their own."""
        return self._client

    def create_or_find(self, name: str, body: Mapping[str, Any]) -> str:
        """Creates a container, or finds the one that an earlier call for the same attempt created; gives its id.

        A reply that got lost is made good by the name, which only this attempt can have.

        Raises:
            PermanentRunnerError: a container that is not ours has the name.
        """

        def create() -> str:
            try:
                with self._translated():
                    return str(self._client.create_container_from_config(dict(body), name)["Id"])
            except EngineRefusedError as refused:
                if refused.status != _CONFLICT:
                    raise
            found = self.find_ours(name, body["Labels"])
            if found is None:
                raise PermanentRunnerError(
                    f"a container that is not ours has the name {name}; remove or rename it (docker rm {name})"
                )
            return str(found["Id"])

        return self._retrying(create)

    def start(self, container: str) -> None:
        """Starts a container once: after a lost reply it looks before it tries again.

        Raises:
            EngineRefusedError: the daemon went down meanwhile. Its successor can show a container as never started
                whose process runs (seen with 26.1); a second start would run it twice.
        """
        first = True

        def start() -> None:
            nonlocal first
            if not first:
                inspected = self.inspect(container)
                if was_started(inspected["State"]):
                    return
                if not self.remembers(container, "create", datetime.fromisoformat(inspected["Created"])):
                    raise EngineRefusedError(0, "the engine went down while it started the container")
            first = False
            with self._translated():
                self._client.start(container)

        self._retrying(start)

    def inspect(self, container: str) -> dict[str, Any]:
        """What the engine knows of a container."""
        return self._repeat(lambda: self._client.inspect_container(container))

    def inspect_or_none(self, container: str) -> dict[str, Any] | None:
        """What the engine knows of a container; None when there is none."""
        return _unless(_NOT_FOUND, lambda: self.inspect(container))

    def find_ours(self, name: str, labels: Mapping[str, str]) -> dict[str, Any] | None:
        """What the engine knows of the container of this name, if it has all these labels."""
        found = self.inspect_or_none(name)
        theirs = (found["Config"].get("Labels") or {}) if found else {}
        return found if all(theirs.get(key) == value for key, value in labels.items()) else None

    def remove_ours(self, name: str, labels: Mapping[str, str]) -> None:
        """Kills and removes the container of this name, if it has all these labels; another's is not touched."""
        if (found := self.find_ours(name, labels)) is not None:
            self.remove(str(found["Id"]))

    def list_run(self, label: str) -> list[dict[str, Any]]:
        """All containers with a label, in any state, by one request."""
        # The high-level SDK would inspect each one, and fail when one goes meanwhile.
        return self._repeat(lambda: self._client.containers(all=True, filters={"label": label}))

    def kill(self, container: str, signal: str) -> bool:
        """Sends a signal; False when the process had ended before."""
        tries = 0

        def kill() -> bool:
            nonlocal tries
            tries += 1
            try:
                self._client.kill(container, signal)
            except APIError as error:
                if error.status_code not in {_CONFLICT, _NOT_FOUND}:
                    raise
                return tries > 1  # after a lost reply, it may well be our own signal that ended it
            return True

        return self._repeat(kill)

    def remove(self, container: str) -> None:
        """Kills and removes a container and its anonymous volumes; it may be gone already."""

        def remove() -> None:
            try:
                self._client.remove_container(container, v=True, force=True)
            except APIError as error:
                if error.status_code == _CONFLICT:  # a removal is in progress: look again until it is gone
                    raise TransientRunnerError(str(error.explanation)) from error
                raise

        _unless(_NOT_FOUND, lambda: self._repeat(remove))

    def remembers(self, container: str, event: str, since: datetime) -> bool:
        """Whether the daemon that answers now is the one that did this: events live in its memory only.

        Args:
            container: id or name.
            event: `create` or `start`.
            since: when it was, by the engine's clock.
        """
        events = self._repeat(
            lambda: list(
                self._client.events(
                    since=since - timedelta(seconds=2),
                    until=self._health.now() + timedelta(seconds=1),
                    filters={"container": container, "event": event},
                    decode=True,
                )
            )
        )
        return bool(events)

    def read_log(self, container: str) -> Iterator[bytes]:
        """All output that the engine kept, stdout and stderr as they came, in raw multiplexed chunks."""
        with self._translated():
            url = f"{self._client.base_url}/v{self._client.api_version}/containers/{container}/logs"
            response = self._client.get(
                url, params={"stdout": 1, "stderr": 1}, stream=True, timeout=self._client.timeout
            )
            with response:
                if not response.ok:
                    raise EngineRefusedError(response.status_code, response.text.strip())
                yield from response.iter_content(65_536)

    def put_archive(self, container: str, path: str, open_archive: Callable[[], Iterable[bytes]]) -> None:
        """Unpacks a tar stream into a folder of a container; a repetition opens the archive anew.

        Raises:
            ArchiveTooLargeError: what is mounted there has no room for it, which says nothing of the engine's disk.
        """

        def put() -> None:
            try:
                # A list would be taken for form fields.
                self._client.put_archive(container, path, iter(open_archive()))
            except APIError as error:
                if _NO_SPACE in str(error.explanation):
                    raise ArchiveTooLargeError(f"{path} of the sandbox has no room for what belongs there") from error
                raise

        self._repeat(put)

    def read_archive(self, container: str, path: str) -> Iterator[bytes]:
        """A path of a container as a tar stream; a stream that is cut raises, it never just ends."""
        stream, _ = self._repeat(lambda: self._client.get_archive(container, path, chunk_size=_ARCHIVE_CHUNK_BYTES))
        with self._translated():
            yield from stream

    def kind(self, container: str, path: str) -> PathKind | None:
        """What a path of a container is, without following it; None when there is nothing.

        Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerArchiveInfo
        """
        url = f"{self._client.base_url}/v{self._client.api_version}/containers/{container}/archive"

        def look() -> PathKind | None:
            response = self._client.head(url, params={"path": path}, timeout=self._client.timeout)
            if response.status_code == _NOT_FOUND:
                return None
            if not response.ok:
                raise EngineRefusedError(response.status_code, f"{path} cannot be looked at")
            status = json.loads(b64decode(response.headers[_PATH_STAT]))
            if status["linkTarget"]:
                return "link"
            return "directory" if status["mode"] & _GO_DIRECTORY else "file"

        return self._repeat(look)

    def create_volume(self, name: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Creates a volume of the local driver, or finds the one that an earlier call for the same attempt created.

        Raises:
            PermanentRunnerError: a volume that is not ours has the name.
        """
        created = self._repeat(lambda: self._client.create_volume(name, "local", dict(options), dict(labels)))
        theirs = created.get("Labels") or {}
        if any(theirs.get(key) != value for key, value in labels.items()):
            raise PermanentRunnerError(f"a volume that is not ours has the name {name} (docker volume rm {name})")
        if created.get("Options") != dict(options):
            raise PermanentRunnerError(
                f"the engine did not apply the limits of volume {name}: {created.get('Options')}"
            )

    def list_volumes(self, label: str) -> dict[str, Mapping[str, str]]:
        """The volumes with a label: their labels, by name."""
        found = self._repeat(lambda: self._client.volumes(filters={"label": label}))
        return {str(volume["Name"]): volume.get("Labels") or {} for volume in found.get("Volumes") or ()}

    def remove_volume(self, name: str) -> None:
        """Removes a volume that no container uses any more; it may be gone already."""
        _unless(_NOT_FOUND, lambda: self._repeat(lambda: self._client.remove_volume(name)))

    def info(self) -> dict[str, Any]:
        """What the engine says of itself and its host."""
        return self._repeat(self._client.info)

    def version(self) -> dict[str, Any]:
        """The versions of the engine and of the programs that it uses."""
        return self._repeat(self._client.version)

    def inspect_image(self, image: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None when it has none of that name."""
        return _unless(_NOT_FOUND, lambda: self._repeat(lambda: self._client.inspect_image(image)))

    def import_image(self, archive: bytes, repository: str, tag: str) -> None:
        """Makes an image of a tar archive of its files; the same again changes nothing."""
        self._repeat(lambda: self._client.import_image_from_data(archive, repository=repository, tag=tag))

    def pull(self, image: str, progress: Callable[[str], None]) -> None:
        """Pulls an image, telling its progress; tries again, up to four times, what a registry may grant later."""
        name, tag = _name_and_tag(image)

        def pull() -> None:
            with self._translated():
                for message in self._client.pull(name, tag=tag, stream=True, decode=True):
                    if "error" in message:
                        raise EngineRefusedError(_NOT_FOUND, str(message["error"]))
                    if message.get("status") and not message.get("progressDetail"):  # not each step of a download
                        progress(" ".join(filter(None, ("pull", message.get("id"), str(message["status"])))))

        self._pulling(pull)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what the SDK and its libraries raise into our errors; some of it is no `DockerException`."""
        begun_at = self._health.now()
        try:
            yield
        except APIError as error:
            self._health.answered(begun_at)
            explanation = str(error.explanation or error)
            if _NO_SPACE in explanation:
                self._health.full()
                raise EngineFullError(explanation) from error
            raise EngineRefusedError(error.status_code or 0, explanation) from error
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError, OSError) as error:
            self._health.lost()
            raise EngineUnavailableError(f"the connection to the engine failed: {error}") from error
        except (requests.RequestException, DockerException) as error:
            raise TransientRunnerError(f"the engine's answer could not be used: {error}") from error
        self._health.answered(begun_at)

    def _repeat(self, call: Callable[[], T]) -> T:
        def translated() -> T:
            with self._translated():
                return call()

        return self._repeating(translated)


def _unless(status: int, call: Callable[[], T]) -> T | None:
    try:
        return call()
    except EngineRefusedError as refused:
        if refused.status != status:
            raise
        return None


def _name_and_tag(image: str) -> tuple[str, str | None]:
    """The SDK pulls every tag of a name that has none."""
    if "@" in image:
        return image, None
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")


def _is_engine_trouble(error: BaseException) -> bool:
    return _is_worth_another_try(error) or (isinstance(error, EngineRefusedError) and error.status >= _SERVER_ERROR)


def _is_worth_another_pull(error: BaseException) -> bool:
    if isinstance(error, EngineRefusedError):
        return _REGISTRY_TROUBLE.search(error.explanation) is not None
    return _is_worth_another_try(error)


def _is_worth_another_try(error: BaseException) -> bool:
    return isinstance(error, TransientRunnerError) and not isinstance(error, EngineFullError)
