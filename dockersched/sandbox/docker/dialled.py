"""The SDK over connections that `dial` makes: its own transports need paramiko for ssh, and misread some paths."""

from __future__ import annotations

from typing import TYPE_CHECKING

import urllib3
from docker.transport.basehttpadapter import BaseHTTPAdapter
from urllib3.connection import HTTPConnection

from dockersched.sandbox.docker.dial import dial

if TYPE_CHECKING:
    from requests import PreparedRequest

    from dockersched.sandbox.docker.connection import EngineEndpoint


class _DialledConnection(HTTPConnection):
    def __init__(self, endpoint: EngineEndpoint, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = dial(self._endpoint, self._timeout_s)


class _DialledPool(urllib3.HTTPConnectionPool):
    def __init__(self, endpoint: EngineEndpoint, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s, maxsize=1)
        self._endpoint = endpoint
        self._timeout_s = timeout_s

    def _new_conn(self) -> _DialledConnection:
        return _DialledConnection(self._endpoint, self._timeout_s)


class DiallingAdapter(BaseHTTPAdapter):
    """Carries an SDK client's requests to an endpoint; mounted in place of the unix socket's adapter."""

    def __init__(self, endpoint: EngineEndpoint, timeout_s: float) -> None:
        super().__init__()
        self._pool = _DialledPool(endpoint, timeout_s)

    def get_connection(self, url: object, proxies: object = None) -> urllib3.HTTPConnectionPool:  # noqa: ARG002
        """The one pool: every request goes to the same engine."""
        return self._pool

    def request_url(self, request: PreparedRequest, proxies: object) -> str:  # noqa: ARG002
        """Path and query alone, as the engine expects them."""
        return request.path_url

    def close(self) -> None:
        """Close the connections."""
        self._pool.close()
        super().close()
