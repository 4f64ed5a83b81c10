"""A registry on loopback with one small image, for pulls without a network.

Format: https://distribution.github.io/distribution/spec/api/ and image manifest version 2, schema 2.
"""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
_CONFIG = "application/vnd.docker.container.image.v1+json"
_LAYER = "application/vnd.docker.image.rootfs.diff.tar"


class Registry:
    """Serves `image`; counts how often it is asked what the tag is; answers with `status` instead when that is set.

    `failures` are statuses of the next answers to come, each once.
    """

    def __init__(self, name: str, busybox: bytes) -> None:
        self._name = name
        self.asked = 0
        self.status: int | None = None
        self.failures: list[int] = []
        layer = _layer(busybox)
        config = _config(layer)
        manifest = _manifest(config, layer)
        self.digest = _digest(manifest)
        self._blobs = {_digest(config): config, _digest(layer): layer}
        self._manifest = manifest
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry._answer(self)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, *_: Any) -> None:
                """Quiet."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def image(self) -> str:
        return f"127.0.0.1:{self._server.server_port}/{self._name}:1"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        kind, _, reference = request.path.removeprefix(f"/v2/{self._name}/").partition("/")
        status = self.failures.pop(0) if kind == "manifests" and self.failures else self.status
        if kind == "manifests" and status is not None:
            _send(request, status, b'{"errors": [{"code": "TOOMANYREQUESTS", "message": "slow down"}]}', _CONFIG)
        elif request.path == "/v2/":
            _send(request, 200, b"{}", "application/json")
        elif kind == "manifests":
            self.asked += not reference.startswith("sha256:")  # a newer engine fetches by digest what it asked for
            _send(request, 200, self._manifest, _MANIFEST, self.digest)
        elif kind == "blobs" and reference in self._blobs:
            _send(request, 200, self._blobs[reference], "application/octet-stream", reference)
        else:
            _send(request, 404, b'{"errors": [{"code": "NAME_UNKNOWN"}]}', "application/json")


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, kind: str, digest: str = "") -> None:
    request.send_response(status)
    request.send_header("Content-Type", kind)
    request.send_header("Content-Length", str(len(body)))
    request.send_header("Docker-Distribution-Api-Version", "registry/2.0")
    if digest:
        request.send_header("Docker-Content-Digest", digest)
    request.end_headers()
    if request.command == "GET":
        request.wfile.write(body)


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def _layer(busybox: bytes) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo("bin/true")
        entry.size, entry.mode = len(busybox), 0o755
        archive.addfile(entry, io.BytesIO(busybox))
    return packed.getvalue()


def _config(layer: bytes) -> bytes:
    root = {"type": "layers", "diff_ids": [_digest(layer)]}
    fields = {"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"]}, "rootfs": root}
    return json.dumps(fields).encode()


def _manifest(config: bytes, layer: bytes) -> bytes:
    def described(kind: str, data: bytes) -> dict[str, object]:
        return {"mediaType": kind, "size": len(data), "digest": _digest(data)}

    fields = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": described(_CONFIG, config),
        "layers": [described(_LAYER, layer)],
    }
    return json.dumps(fields).encode()
