"""Collects what a checkup judges: asks the engine, and tries what it does not tell."""

from __future__ import annotations

import os
import secrets
import shutil
import threading
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from dockersched.errors import EngineRefusedError, RunnerError
from dockersched.sandbox.docker import image_sources
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.checkup import DiskQuotaTrial, EngineFacts
from dockersched.sandbox.docker.connect import reach
from dockersched.sandbox.docker.connection import EngineEndpoint
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.translate import LABEL_PREFIX

_CALL_TIMEOUT_S = 15.0
_SMALL_DISK = "16m"


def survey(environ: Mapping[str, str] = os.environ) -> EngineFacts:
    """The facts of the engine that the environment names. Blocks: not for an event loop's thread.

    Raises:
        EngineUnavailableError: none answers, or it is too old.
        RunnerError: it does not answer as an engine does.
    """
    endpoint, _, api_version = reach(environ)
    http = EngineHttp(endpoint, api_version, _CALL_TIMEOUT_S)
    calls = EngineCalls(http, threading.Event(), EngineHealth(lambda: datetime.now(UTC)))
    try:
        info = calls.info()
        images = {f"{image_sources.REPOSITORY}/{name}": name for name in image_sources.known_images()}
        found = {image: calls.inspect_image(image) for image in images}
        return EngineFacts(
            address=str(endpoint),
            is_open=endpoint.host.startswith("tcp://") and endpoint.tls is None,
            version=calls.version(),
            info=info,
            images={
                image: None if inspected is None else image_sources.is_current(inspected, images[image])
                for image, inspected in found.items()
            },
            disk_quota=_try_disk_quota(calls, filter(None, found.values())),
            free_bytes=_free_bytes(endpoint, str(info.get("DockerRootDir"))),
        )
    finally:
        calls.close()


def _try_disk_quota(calls: EngineCalls, images: Iterable[Mapping[str, Any]]) -> DiskQuotaTrial | None:
    """Makes a container with a limited root file system, which is never started; None without an image for it."""
    image = next(iter(images), None)
    if image is None:
        return None
    body = {
        "Image": image["Id"],
        "Labels": {f"{LABEL_PREFIX}.doctor": "disk quota"},
        "HostConfig": {"NetworkMode": "none", "StorageOpt": {"size": _SMALL_DISK}},
    }
    name = f"dockersched-doctor-{secrets.token_hex(8)}"
    try:
        container = calls.create_or_find(name, body)
    except EngineRefusedError as refused:
        return DiskQuotaTrial(refusal=refused.explanation)
    except RunnerError as error:  # as for want of space: it says nothing about quotas, and hides no other finding
        return DiskQuotaTrial(failure=str(error))
    try:
        calls.remove(container)
    except RunnerError as error:
        return DiskQuotaTrial(failure=f"container {name} could not be removed ({error}); docker rm -f {name}")
    return DiskQuotaTrial()


def _free_bytes(endpoint: EngineEndpoint, folder: str) -> int | None:
    if endpoint.socket is None:
        return None
    try:
        return shutil.disk_usage(folder).free
    except OSError:  # the socket may lead into a virtual machine
        return None
