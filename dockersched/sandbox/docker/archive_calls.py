"""Calls that put files into containers and take them out, as tar archives."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal

import msgspec

from dockersched.errors import EngineRefusedError, PermanentRunnerError
from dockersched.sandbox.docker import answers
from dockersched.sandbox.docker.engine_http import path_of
from dockersched.sandbox.docker.http_answer import HttpAnswer
from dockersched.sandbox.docker.transport import NOT_FOUND, Transport, tells_no_space

_PATH_STAT = "x-docker-container-path-stat"
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
                self._http.call("PUT", _path(container), {"path": path}, iter(open_archive()))
            except EngineRefusedError as refused:
                if tells_no_space(refused):
                    raise ArchiveTooLargeError(f"{path} of the sandbox has no room for what belongs there") from refused
                raise

        self._repeat(put)

    @contextmanager
    def archive(self, container: str, path: str) -> Iterator[Iterator[bytes]]:
        """A path of a container as a tar stream; one that is cut raises, or lacks the archive's end.

        While a reply is not read to its end, the engine keeps the container locked, and every other call for it waits.
        So the connection is closed when the block is left, however that is.
        """
        with ExitStack() as opened:
            ask = self._http.answer
            yield self._pieces(self._repeat(lambda: opened.enter_context(ask("GET", _path(container), {"path": path}))))

    def _pieces(self, answer: HttpAnswer) -> Iterator[bytes]:
        with self._translated():
            yield from answer

    def kind(self, container: str, path: str) -> PathKind | None:
        """What a path of a container is, without following it; None when there is nothing.

        Format: https://docs.docker.com/reference/api/engine/version/v1.41/#tag/Container/operation/ContainerArchiveInfo
        """

        def look() -> PathKind | None:
            try:
                with self._http.answer("HEAD", _path(container), {"path": path}) as answer:
                    told = b64decode(answer.headers.get(_PATH_STAT, ""))
                    status = msgspec.json.decode(told, type=answers.PathStat)
                    answer.read()
            except EngineRefusedError as refused:
                if refused.status == NOT_FOUND:
                    return None
                raise EngineRefusedError(refused.status, f"{path} cannot be looked at") from refused
            if status.link_target:
                return "link"
            return "directory" if status.mode & _GO_DIRECTORY else "file"

        return self._repeat(look)


def _path(container: str) -> str:
    return path_of("containers", container, "archive")
