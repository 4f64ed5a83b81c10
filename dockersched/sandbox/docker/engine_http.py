"""Plain calls to the engine's API: HTTP over one socket, answers as JSON or in pieces.

The SDK needs several times the processor time for each call, and long for its import; it is used where it knows more:
for pulls, with their credentials, and for image builds.
Format: https://docs.docker.com/reference/api/engine/version/v1.41/
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.dial import dial

Query = Mapping[str, str | int]

_TAR = "application/x-tar"
_JSON = "application/json"


class EngineHttp:
    """Calls one after another, for one thread, over a connection that is kept until `close` or a failure.

    All raise `EngineRefusedError` for an answer of 400 or more, `OSError` or `http.client.HTTPException` for a
    connection that failed, and `ValueError` for an answer that is no JSON.

    Args:
        endpoint: where the engine is.
        api_version: of all calls.
        timeout_s: seconds of silence after which a call fails.
    """

    def __init__(self, endpoint: EngineEndpoint, api_version: str, timeout_s: float) -> None:
        self.endpoint = endpoint
        self.api_version = api_version
        self.timeout_s = timeout_s
        self._connection = _Connection(endpoint, timeout_s)

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()

    def get(self, path: str, query: Query | None = None) -> Any:
        """What the engine answers to a question."""
        return json.loads(self.call("GET", path, query))

    def post(self, path: str, body: Mapping[str, Any], query: Query | None = None) -> Any:
        """What the engine answers to an order in JSON."""
        return json.loads(self.call("POST", path, query, json.dumps(body).encode(), _JSON))

    def call(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str = _TAR,
    ) -> bytes:
        """The engine's whole answer; the arguments are those of `answer`."""
        with self.answer(method, path, query, body, content_type) as answer:
            return answer.read()

    @contextmanager
    def answer(
        self,
        method: str,
        path: str,
        query: Query | None = None,
        body: bytes | Iterable[bytes] | None = None,
        content_type: str = _TAR,
    ) -> Iterator[http.client.HTTPResponse]:
        """The engine's answer, to be read in the block; what is not read by then is given up with the connection.

        Args:
            method: of HTTP.
            path: below the API version, as `path_of` makes it.
            query: parameters.
            body: of the request; what is no bytes goes in chunks.
            content_type: of the body.
        """
        is_read = False
        try:
            # An engine that refuses a body need not read it to its end: its answer says why.
            with suppress(BrokenPipeError, ConnectionResetError):
                target = f"/v{self.api_version}{path}" + (f"?{urlencode(query)}" if query else "")
                self._connection.request(method, target, body, {} if body is None else {"Content-Type": content_type})
            answer = self._connection.getresponse()
            if answer.status >= HTTPStatus.BAD_REQUEST:
                raise EngineRefusedError(answer.status, _explanation(answer.read()))
            yield answer
            is_read = answer.isclosed()
        finally:
            if not is_read:
                self._connection.close()


def path_of(*parts: str) -> str:
    """The path of a thing of the engine, as `/containers/NAME/json`."""
    return "".join(f"/{quote(part, safe='/:')}" for part in parts)


def _explanation(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, LookupError, TypeError):
        return body.decode(errors="replace").strip()


class _Connection(http.client.HTTPConnection):
    """Connects by itself, and again after it was closed."""

    def __init__(self, endpoint: EngineEndpoint, timeout_s: float) -> None:
        url = urlsplit(endpoint.host)
        super().__init__((url.scheme == "tcp" and url.hostname) or "localhost", url.port)
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = dial(self._endpoint, self._timeout_s)
