"""A proxy between a client and the engine that spoils chosen calls, as networks and daemons do.

Faults are data: the first rule that matches a request's method and path decides. Each connection carries one request.
"""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dockersched.sandbox.docker.connection import EngineEndpoint, resolve_endpoint
from dockersched.sandbox.docker.dial import dial

Action = Literal["refuse", "sever", "drop", "hang", "error", "cut", "short", "delay", "stall", "lose", "last", "late"]
"""refuse: the request never reaches the engine. sever: it does, up to the middle of its body. drop: it does, its reply
is lost. hang: it does, and no reply ever comes. error: 500 instead of asking. cut: the reply ends in the middle of its
body. short: so does its content, but as if that were its end. delay: it comes late.

Of what the client sends once the engine has answered, where that is more than a request: stall: nothing arrives. lose:
in its place, the connection is cut. last: it arrives, and the connection is cut. late: it arrives late."""

_INPUT_ACTIONS = {"stall", "lose", "last", "late"}

_SEVERED_BYTES = 300_000
"""How much of a request that is severed reaches the engine; its body must be longer."""


@dataclass(slots=True)
class Fault:
    """Spoils requests whose `METHOD /path` matches.

    Args:
        pattern: regular expression, searched in `POST /v1.41/containers/create?name=x`.
        action: what happens.
        times: how often; None always.
        seconds: of a delay.
        skip: how many requests pass before.
    """

    pattern: str
    action: Action
    times: int | None = None
    seconds: float = 1.0
    skip: int = 0


@dataclass
class EngineProxy:
    """Listens on loopback, or if `local` on a socket of this machine, as an engine does that has its files.

    `url` is for DOCKER_HOST.
    """

    faults: Sequence[Fault] = ()
    tls: ssl.SSLContext | None = None
    local: bool = False
    upstream: EngineEndpoint = field(default_factory=resolve_endpoint)
    requests: list[str] = field(default_factory=list)
    spoiled: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._folder = Path(tempfile.mkdtemp(prefix="engine-proxy-")) if self.local else None
        self._listener = _listener_in(self._folder) if self._folder else socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        if self._folder:
            return f"unix://{self._listener.getsockname()}"
        return f"tcp://127.0.0.1:{self._listener.getsockname()[1]}"

    def close(self) -> None:
        self._stopping.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._open:
                _shut(connection)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            if self.tls is not None:
                client = self.tls.wrap_socket(client, server_side=True)
            with self._tracked(client):
                self._handle(client)
        except OSError:
            client.close()

    @contextmanager
    def _tracked(self, connection: socket.socket) -> Iterator[None]:
        with self._lock:
            self._open.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._open.discard(connection)
            _shut(connection)
            connection.close()

    def _handle(self, client: socket.socket) -> None:
        head, rest = _read_head(client)
        if not head:
            return
        request = " ".join(head.decode("latin-1").split(" ")[:2])
        action, seconds = self._decide(request)
        if action == "refuse":
            return
        if action == "error":
            client.sendall(b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 22\r\nConnection: close\r\n\r\n")
            client.sendall(b'{"message": "spoiled"}')
            return
        with dial(self.upstream, 60) as engine:
            engine.settimeout(None)
            with self._tracked(engine):
                engine.sendall(_with_close(head) + rest)
                if action == "sever":
                    _send_body(client, engine, _SEVERED_BYTES)
                    return
                if action in _INPUT_ACTIONS:
                    self._spoil_input(client, engine, action, seconds)
                    return
                if self.tls is None:
                    threading.Thread(target=_pump, args=(client, engine), daemon=True).start()
                else:  # one TLS connection is not for two threads at a time
                    _send_body(client, engine, _content_length(head) - len(rest))
                self._reply(engine, client, action, seconds)

    def _spoil_input(self, client: socket.socket, engine: socket.socket, action: Action | None, seconds: float) -> None:
        threading.Thread(target=_pump, args=(engine, client), daemon=True).start()
        data = client.recv(65_536)
        if action == "stall":
            self._stopping.wait()
        if action == "late":
            self._stopping.wait(seconds)
        if action in {"last", "late"}:
            engine.sendall(data)
        if action == "late":
            _pump(client, engine)

    def _reply(self, engine: socket.socket, client: socket.socket, action: Action | None, seconds: float) -> None:
        if action == "delay":
            self._stopping.wait(seconds)
        if action in {"drop", "hang"}:
            swallowed = engine.recv(65_536)  # the call has had its effect
            if action == "hang":
                while swallowed:  # an engine that cannot send a file on keeps its container locked
                    swallowed = engine.recv(65_536)
                self._stopping.wait()
            return
        if action == "cut":
            data, body = _read_head(engine)
            client.sendall(data + body[: max(1, len(body) // 2)])
            return
        if action == "short":
            client.sendall(_shortened(engine))
            return
        _pump(engine, client)

    def _decide(self, request: str) -> tuple[Action | None, float]:
        with self._lock:
            self.requests.append(request)
            for fault in self.faults:
                if re.search(fault.pattern, request) and fault.times != 0:
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    if fault.times is not None:
                        fault.times -= 1
                    self.spoiled.append(request)
                    return fault.action, fault.seconds
        return None, 0.0


def _listener_in(folder: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "engine.sock"))
    listener.listen(128)
    return listener


def relay_stdio(host: str) -> None:
    """What `docker system dial-stdio` does: joins stdin and stdout to the engine at `host`."""
    import os  # noqa: PLC0415
    import sys  # noqa: PLC0415

    path = urlsplit(host).path
    engine = socket.socket(socket.AF_UNIX)
    engine.connect(path)

    def inwards() -> None:
        while data := os.read(sys.stdin.fileno(), 65_536):
            engine.sendall(data)
        engine.shutdown(socket.SHUT_WR)

    threading.Thread(target=inwards, daemon=True).start()
    while data := engine.recv(65_536):
        os.write(sys.stdout.fileno(), data)


def _read_head(source: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        chunk = source.recv(65_536)
        if not chunk:
            return b"", b""
        data += chunk
    head, _, rest = data.partition(b"\r\n\r\n")
    return head + b"\r\n\r\n", rest


def _shortened(engine: socket.socket) -> bytes:
    """A reply that comes in chunks, with no more than half of the first one."""
    head, body = _read_head(engine)
    assert b"chunked" in head, head
    while body.count(b"\r\n") < 2:
        body += engine.recv(65_536)
    size = int(body.partition(b"\r\n")[0], 16) // 2
    content = body.partition(b"\r\n")[2][:size]
    return head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(content), content)


def _with_close(head: bytes) -> bytes:
    if b"\r\nUpgrade:" in head:  # it is no more HTTP then, and ends by itself
        return head
    lines = [line for line in head.split(b"\r\n")[:-2] if not line.lower().startswith(b"connection:")]
    return b"\r\n".join([*lines, b"Connection: close", b"", b""])


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError, ValueError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        socket.socket.shutdown(target, socket.SHUT_WR)


def _content_length(head: bytes) -> int:
    found = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    return int(found[1]) if found else 0


def _send_body(source: socket.socket, target: socket.socket, missing: int) -> None:
    while missing > 0 and (data := source.recv(min(missing, 65_536))):
        target.sendall(data)
        missing -= len(data)


def _shut(connection: socket.socket) -> None:
    # Of a TLS connection only the socket below: another thread may be using what TLS adds.
    with suppress(OSError):
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
