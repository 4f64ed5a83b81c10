"""Raw connections to the engine: one socket, whatever the endpoint's kind."""

from __future__ import annotations

import atexit
import json
import socket
import subprocess
import threading
from shlex import quote
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from msgspec import Struct

from dockersched.errors import EngineRefusedError, EngineUnavailableError, PermanentRunnerError
from dockersched.sandbox.docker.http_answer import HttpAnswer, explanation

if TYPE_CHECKING:
    import ssl

    from dockersched.sandbox.docker.connection import EngineEndpoint, TlsFiles

_ANY_API = "0.0"
_REFUSED = 400
_WORDS_MAX = 500
_ssh_processes: list[subprocess.Popen[bytes]] = []
_ssh_processes_lock = threading.Lock()


class EngineVersion(Struct, frozen=True):
    """Versions that an engine reports: its own, and the newest and the oldest API that it speaks."""

    engine: str
    api: str
    oldest_api: str = _ANY_API


def dial(endpoint: EngineEndpoint, timeout: float) -> socket.socket:
    """A connected socket that speaks HTTP with the engine; the caller closes it.

    Args:
        endpoint: where the engine is.
        timeout: seconds for connecting; also left set on the socket.

    Raises:
        OSError: nothing answers there.
    """
    if endpoint.socket is not None:
        return _dial_unix(endpoint.socket, timeout)
    url = urlsplit(endpoint.host)
    if url.scheme == "ssh":
        return _dial_ssh(endpoint.host, timeout)
    plain = socket.create_connection((url.hostname or "", url.port or 0), timeout)
    if endpoint.tls is None:
        return plain
    try:
        return tls_context(endpoint.tls).wrap_socket(plain, server_hostname=url.hostname)
    except BaseException:
        plain.close()
        raise


def fetch_version(endpoint: EngineEndpoint, timeout: float) -> EngineVersion:
    """Ask the engine for its versions: proof that it answers.

    Raises:
        EngineUnavailableError: it does not answer, or not as an engine does.
    """
    try:
        body = json.loads(_ask_for_version(endpoint, timeout))
        oldest = str(body.get("MinAPIVersion") or _ANY_API)
        return EngineVersion(engine=str(body["Version"]), api=str(body["ApiVersion"]), oldest_api=oldest)
    except EngineRefusedError as error:
        raise EngineUnavailableError(
            f"What answers at {endpoint} refuses ({error.status}: {error.explanation or 'no reason given'}): "
            "ask whoever runs it, or name another engine in DOCKER_HOST"
        ) from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError, PermanentRunnerError) as error:
        if endpoint.socket is not None and isinstance(error, PermissionError):
            raise EngineUnavailableError(
                f"This user may not use the engine at {endpoint}: join the group docker "
                "(sudo usermod -aG docker $USER, and log in again), or name another engine in DOCKER_HOST"
            ) from error
        reason = str(error) or repr(error)
        raise EngineUnavailableError(f"No Docker engine answers at {endpoint}: {reason}") from error


def _ask_for_version(endpoint: EngineEndpoint, timeout: float) -> bytes:
    with dial(endpoint, timeout) as connection:
        connection.sendall(b"GET /version HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: identity\r\n\r\n")
        answer = HttpAnswer(connection)
        body = answer.read()
    if answer.status >= _REFUSED:
        raise EngineRefusedError(answer.status, " ".join(explanation(body).split())[:_WORDS_MAX])
    return body


def is_there(error: EngineUnavailableError) -> bool:
    """Whether an engine that `fetch_version` could not ask is there: to start one would help nobody."""
    return isinstance(error.__cause__, EngineRefusedError | PermissionError)


def _dial_unix(path: str, timeout: float) -> socket.socket:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connected.settimeout(timeout)
        connected.connect(path)
    except BaseException:
        connected.close()
        raise
    return connected


def _dial_ssh(host: str, timeout: float) -> socket.socket:
    # The far end of a socket pair becomes ssh's stdin and stdout, so that timeouts work as on any socket
    # (the SDK's own ssh transport reads a pipe and cannot time out), and closing ours ends ssh.
    ours, theirs = socket.socketpair()
    with theirs:
        try:
            process = subprocess.Popen(
                ssh_command(host),
                stdin=theirs.fileno(),
                stdout=theirs.fileno(),
                start_new_session=True,
            )
        except BaseException:
            ours.close()
            raise
    with _ssh_processes_lock:
        _ssh_processes[:] = [process, *(other for other in _ssh_processes if other.poll() is None)]
    ours.settimeout(timeout)
    return ours


@atexit.register
def _end_ssh_processes() -> None:
    for process in _ssh_processes:
        process.terminate()
        process.wait()


def ssh_command(host: str) -> list[str]:
    """The command line that speaks with the engine of `ssh://[user@]name[:port][/socket]`."""
    url = urlsplit(host)
    user = ["-l", unquote(url.username)] if url.username else []
    port = ["-p", str(url.port)] if url.port else []
    # As it is written: `hostname` is in lower case, and ssh looks the name up in its own configuration.
    name = url.netloc.rpartition("@")[2]
    name = name[1:].partition("]")[0] if name.startswith("[") else name.partition(":")[0]
    path = unquote(url.path)
    far = ["--host", quote(f"unix://{path}")] if path.strip("/") else []  # as a shell reads it
    return ["ssh", *user, *port, "-T", "-o", "BatchMode=yes", "--", name, "docker", *far, "system", "dial-stdio"]


def tls_context(files: TlsFiles) -> ssl.SSLContext:
    """The TLS settings that an endpoint's files ask for."""
    import ssl  # noqa: PLC0415 (slow to import, seldom needed)

    context = ssl.create_default_context(cafile=files.ca)
    if not files.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if files.cert and files.key:
        context.load_cert_chain(files.cert, files.key)
    return context
