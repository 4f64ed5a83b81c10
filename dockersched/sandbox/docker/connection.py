"""Which engine to talk to, and how.

Resolution follows the docker command (https://docs.docker.com/engine/manage-resources/contexts/). It is done
with the standard library alone, as `make run` asks for it before the SDK (0.2 s to import) is worth loading.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from msgspec import Struct

from dockersched.errors import EngineUnavailableError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from docker.api import APIClient

DEFAULT_HOST = "unix:///var/run/docker.sock"
DEFAULT_SOURCE = "default socket"
SCHEMES = ("unix", "tcp", "http", "https", "ssh")


class TlsFiles(Struct, frozen=True):
    """Files of a TLS connection; `verify` is false when the server's certificate is taken on trust."""

    ca: Path | None
    cert: Path | None
    key: Path | None
    verify: bool

    @classmethod
    def in_folder(cls, folder: Path, *, verify: bool) -> TlsFiles:
        """The files that docker keeps in a certificate folder: `ca.pem`, `cert.pem`, `key.pem`."""
        ca, cert, key = (
            path if path.is_file() else None for path in (folder / f"{name}.pem" for name in ("ca", "cert", "key"))
        )
        return cls(ca, cert, key, verify)


class EngineEndpoint(Struct, frozen=True):
    """Where the engine is.

    Args:
        host: `unix:///path`, `tcp://name:port` or `ssh://[user@]name[:port][/socket]`.
        tls: TLS files of a `tcp://` endpoint; None for plain TCP.
        source: what named the endpoint, in words for a person.
    """

    host: str
    tls: TlsFiles | None
    source: str

    @property
    def is_default(self) -> bool:
        """Whether nobody chose this endpoint."""
        return self.source == DEFAULT_SOURCE

    @property
    def socket(self) -> str | None:
        """The path of the engine's socket, when it is one on this machine."""
        return self.host.removeprefix("unix://") if self.host.startswith("unix://") else None

    def __str__(self) -> str:
        return f"{self.host} ({self.source})"


def resolve_endpoint(environ: Mapping[str, str] = os.environ) -> EngineEndpoint:
    """The endpoint that the docker command would use in this environment.

    Precedence: `DOCKER_HOST` (with `DOCKER_TLS_VERIFY`, `DOCKER_CERT_PATH`), `DOCKER_CONTEXT`, the current
    context of docker's `config.json` (in `DOCKER_CONFIG` or `~/.docker`), the default socket.

    Raises:
        EngineUnavailableError: the context does not exist or the address cannot be understood.
    """
    if host := environ.get("DOCKER_HOST"):
        tls = None if host.startswith(("unix://", "ssh://")) else _tls_from_environ(environ)
        return _endpoint(host, tls, "DOCKER_HOST")
    if name := environ.get("DOCKER_CONTEXT"):
        return _from_context(name, _config(environ), "DOCKER_CONTEXT")
    config = _config(environ)
    if name := _current_context(config):
        return _from_context(name, config, str(config / "config.json"))
    return EngineEndpoint(DEFAULT_HOST, None, DEFAULT_SOURCE)


def make_client(endpoint: EngineEndpoint, *, version: str, timeout: float) -> APIClient:
    """An SDK client for one batch of calls; building it makes no request.

    Args:
        endpoint: where the engine is.
        version: API version, negotiated once by the caller.
        timeout: seconds to wait for an answer, on each call.
    """
    from docker.api import APIClient  # noqa: PLC0415 (0.2 s to import)
    from docker.tls import TLSConfig  # noqa: PLC0415

    options: dict[str, Any] = {"version": version, "timeout": timeout}
    # The SDK cannot use ssh without another library, nor find a socket whose path looks like a URL's other parts.
    if endpoint.host.startswith("ssh://") or (endpoint.socket and endpoint.socket != urlsplit(endpoint.host).path):
        from dockersched.sandbox.docker.dialled import DiallingAdapter  # noqa: PLC0415

        client = APIClient(base_url=DEFAULT_HOST, **options)
        client.mount("http+docker://", DiallingAdapter(endpoint, timeout))
        return client
    if endpoint.tls is not None:
        files = endpoint.tls
        pair = (str(files.cert), str(files.key)) if files.cert and files.key else None
        options["tls"] = TLSConfig(client_cert=pair, ca_cert=str(files.ca) if files.ca else None, verify=files.verify)
    client = APIClient(base_url=endpoint.host, **options)
    # REQUESTS_CA_BUNDLE would replace the engine's own authority, and a proxy is no way to an engine.
    client.trust_env = False
    return client


def _config(environ: Mapping[str, str]) -> Path:
    """The folder of docker's own configuration, which need not be there."""
    if folder := environ.get("DOCKER_CONFIG"):
        return Path(folder)
    try:
        return Path(environ.get("HOME") or "~").expanduser() / ".docker"
    except RuntimeError:  # without HOME, of a user whom the system does not know
        return Path("/nonexistent")


def _endpoint(host: str, tls: TlsFiles | None, source: str) -> EngineEndpoint:
    if host.startswith("unix://") and host != "unix://":
        return EngineEndpoint(host, None, source)  # any character may be in a path
    try:
        url = urlsplit(host if "://" in host else f"tcp://{host}")
        port, password = url.port, url.password
    except ValueError as error:
        raise _no_address(host, source) from error
    if password is not None:
        raise EngineUnavailableError(
            f"{source} has a password in it, which others could see and no engine takes: leave it out; "
            "ssh logs in with keys."
        )
    has_more = url.query or url.fragment or (url.path.strip("/") and url.scheme != "ssh")
    if url.scheme not in SCHEMES or url.scheme == "unix" or not url.hostname or has_more:
        raise _no_address(host, source)
    if url.scheme == "ssh":
        return EngineEndpoint(host, None, source)
    if url.scheme == "https" and tls is None:
        tls = TlsFiles(None, None, None, verify=True)
    name = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return EngineEndpoint(f"tcp://{name}:{port or (2376 if tls else 2375)}", tls, source)


def _no_address(host: str, source: str) -> EngineUnavailableError:
    remedy = "use unix:///path, tcp://host:port, ssh://user@host or ssh://user@host/path"
    shown = re.sub(r":[^/@]*@", ":…@", host)  # what may be a password
    return EngineUnavailableError(f"{source} is '{shown}', which is no engine address: {remedy}.")


def _tls_from_environ(environ: Mapping[str, str]) -> TlsFiles | None:
    verify = bool(environ.get("DOCKER_TLS_VERIFY"))
    folder = environ.get("DOCKER_CERT_PATH")
    if not verify and not folder:
        return None
    if folder and not Path(folder).is_dir():
        raise EngineUnavailableError(f"DOCKER_CERT_PATH is '{folder}', which is no folder: name the one with ca.pem.")
    return TlsFiles.in_folder(Path(folder) if folder else _config(environ), verify=verify)


def _current_context(config: Path) -> str | None:
    path = config / "config.json"
    try:
        name = json.loads(path.read_text("utf-8")).get("currentContext")
    except (FileNotFoundError, PermissionError):  # or it is another user's
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise EngineUnavailableError(
            f"{path} cannot be read as docker's configuration ({error}). Repair it, or set DOCKER_HOST."
        ) from error
    return str(name) if name else None


def _from_context(name: str, config: Path, source: str) -> EngineEndpoint:
    if name == "default":
        return EngineEndpoint(DEFAULT_HOST, None, DEFAULT_SOURCE)
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / digest / "meta.json"
    try:
        docker = json.loads(meta.read_text("utf-8"))["Endpoints"]["docker"]
        host, verify = str(docker["Host"]), not docker.get("SkipTLSVerify", False)
    except FileNotFoundError as error:
        raise EngineUnavailableError(
            f"There is no docker context '{name}' (named by {source}). "
            "`docker context ls` lists them; `docker context use NAME` or DOCKER_HOST chooses another."
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailableError(
            f"The docker context '{name}' cannot be read from {meta} ({error!r}). Make it anew, or set DOCKER_HOST."
        ) from error
    folder = config / "contexts" / "tls" / digest / "docker"
    tls = TlsFiles.in_folder(folder, verify=verify) if folder.is_dir() else None
    return _endpoint(host, tls, f"context {name}")
