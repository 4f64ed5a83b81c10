"""The image of holders on the engine: imported where it is missing."""

from __future__ import annotations

import threading

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker import holder
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.gate.program import archive

IMAGE_REPOSITORY = "dockersched-namespace"

_importing = threading.Lock()


def image_id(calls: EngineCalls, architecture: str) -> str:
    """The id of the image.

    Args:
        calls: to the engine.
        architecture: of the engine's host, one of the gate's `ARCHITECTURES`.
    """
    tag = holder.image_tag(architecture)
    reference = f"{IMAGE_REPOSITORY}:{tag}"
    with _importing:  # two at once would leave one without a name
        found = calls.inspect_image(reference)
        if found is None:
            calls.import_image(archive(architecture), IMAGE_REPOSITORY, tag)
            found = calls.inspect_image(reference)
    if found is None:
        raise EngineRefusedError(0, f"{reference} is not there after it was imported")
    return str(found["Id"])
