"""Calls that put files into containers and take them out, as tar archives."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager
from typing import Literal

import requests
from docker.errors import APIError

from dockersched.errors import EngineRefusedError, PermanentRunnerError
from dockersched.sandbox.docker.transport import NO_SPACE, NOT_FOUND, Transport

_ARCHIVE_CHUNK_BYTES = 2**18
_PATH_STAT = "X-Docker-Container-Path-Stat"
_GO_DIRECTORY = 1 << 31

PathKind = Literal["file", "directory", "link"]


class ArchiveTooLargeError(PermanentRunnerError):
    """An archive that does not fit into the volume it is unpacked into."""


class ArchiveCalls(Transport):
    """What dockersched asks an engine about files of containers."""

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
                if NO_SPACE in str(error.explanation):
                    raise ArchiveTooLargeError(f"{path} of the sandbox has no room for what belongs there") from error
                raise

        self._repeat(put)

    @contextmanager
    def archive(self, container: str, path: str) -> Iterator[Iterator[bytes]]:
        """A path of a container as a tar stream; one that is cut raises, or lacks the archive's end.

        While a reply is not read to its end, the engine keeps the container locked, and every other call for it waits.
        So the connection is closed when the block is left, however that is.
        """

        def ask() -> requests.Response:
            response = self._client.get(
                self._url(container), params={"path": path}, stream=True, timeout=self._client.timeout
            )
            if not response.ok:
                raise EngineRefusedError(response.status_code, response.text.strip())
            return response

        with closing(self._repeat(ask)) as response:
            yield self._pieces(response)

    def _pieces(self, response: requests.Response) -> Iterator[bytes]:
        with self._translated():
            yield from response.iter_content(_ARCHIVE_CHUNK_BYTES)

    def _url(self, container: str) -> str:
        return f"{self._client.base_url}/v{self._client.api_version}/containers/{container}/archive"

    def kind(self, container: str, path: str) -> PathKind | None:
        """What a path of a container is, without following it; None when there is nothing.

        Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerArchiveInfo
        """

        def look() -> PathKind | None:
            response = self._client.head(self._url(container), params={"path": path}, timeout=self._client.timeout)
            if response.status_code == NOT_FOUND:
                return None
            if not response.ok:
                raise EngineRefusedError(response.status_code, f"{path} cannot be looked at")
            status = json.loads(b64decode(response.headers[_PATH_STAT]))
            if status["linkTarget"]:
                return "link"
            return "directory" if status["mode"] & _GO_DIRECTORY else "file"

        return self._repeat(look)
