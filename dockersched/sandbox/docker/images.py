"""Resolves each image of a run once: builds our own, pulls others by policy, and pins what was found."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct

from dockersched.errors import EngineRefusedError, ImageBuildError, ImageUnavailableError, TransientRunnerError
from dockersched.model import PullPolicy
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.image_sources import bare_name, is_current, is_ours
from dockersched.sandbox.docker.pool import EnginePool

Progress = Callable[[str], None]

_LABELS_MAX = 2**16
"""Bytes in JSON. The engine tells an image's labels with each of its containers, whenever all are listed."""

_OF_32_BIT = {"386", "arm"}  # as Go names processors


class ResolvedImage(Struct, frozen=True):
    """An image on the engine.

    Args:
        image_id: its content id, which containers are made from, so that a tag may move meanwhile.
        digest: its registry digest where it has one, else the content id.
        volumes: paths that it declares as volumes.
        search_path: where it says that programs are looked for; None leaves it to the engine.
        is_32_bit: its programs are made for a 32-bit processor, as far as it says.
    """

    image_id: str
    digest: str
    volumes: tuple[str, ...] = ()
    search_path: str | None = None
    is_32_bit: bool = False


class ImageResolver:
    """Resolves images, each one once however many sandboxes ask for it."""

    def __init__(self, pool: EnginePool, progress: Progress) -> None:
        self._pool = pool
        self._progress = progress
        self._is_closed = False
        self._on_record: dict[str, tuple[str, str]] = {}
        self._pinned: dict[str, ResolvedImage] = {}
        self._resolutions: dict[tuple[str, PullPolicy], asyncio.Task[ResolvedImage]] = {}
        self._turns: dict[str, asyncio.Lock] = {}

    async def resolve(self, reference: str, policy: PullPolicy) -> ResolvedImage:
        """The image of this name: whatever it was found to be first, for all that ask.

        Raises:
            ImageUnavailableError: it is not there and cannot be got, or must not be used.
            RunnerError: the machinery failed.
        """
        if reference in self._pinned:
            return self._pinned[reference]
        key = (reference, policy)
        if key not in self._resolutions:
            resolving = self._resolutions[key] = asyncio.create_task(self._resolve_in_turn(reference, policy))
            resolving.add_done_callback(partial(self._forget_if_transient, key))
        # One caller that is cancelled must not take the image from the others.
        image = await asyncio.shield(self._resolutions[key])
        return self._pinned.setdefault(reference, image)

    def _forget_if_transient(self, key: tuple[str, PullPolicy], resolved: asyncio.Task[ResolvedImage]) -> None:
        """What failed for the moment is tried again for whoever asks next."""
        if not resolved.cancelled() and isinstance(resolved.exception(), TransientRunnerError):
            del self._resolutions[key]

    async def _resolve_in_turn(self, reference: str, policy: PullPolicy) -> ResolvedImage:
        """Of one image there is one pull at a time, whatever the policies of those who ask."""
        async with self._turns.setdefault(reference, asyncio.Lock()):
            return await self._pool.image(self._batch(reference, policy))

    def pin(self, images: Mapping[str, tuple[str, str]]) -> None:
        """Takes images as resolved already: id and digest, by name."""
        self._on_record.update(images)

    def resolved(self) -> dict[str, tuple[str, str]]:
        """Id and digest of every image that was resolved, by name."""
        return self._on_record | {name: (image.image_id, image.digest) for name, image in self._pinned.items()}

    def _batch(self, reference: str, policy: PullPolicy) -> Callable[[EngineCalls], ResolvedImage]:
        if reference in self._on_record:
            image_id, digest = self._on_record[reference]
            return partial(_look_up, reference=reference, image_id=image_id, digest=digest)
        return partial(_obtain, reference=reference, policy=policy, progress=self._tell)

    def _tell(self, line: str) -> None:
        if not self._is_closed:
            self._progress(line)

    async def aclose(self) -> None:
        """Gives up what is still being resolved; a pull that is under way may go on, in silence."""
        self._is_closed = True
        for task in self._resolutions.values():
            task.cancel()
        await asyncio.gather(*self._resolutions.values(), return_exceptions=True)


def _look_up(calls: EngineCalls, *, reference: str, image_id: str, digest: str) -> ResolvedImage:
    if (found := calls.inspect_image(image_id)) is None:
        raise ImageUnavailableError(
            f"image {reference!r}, {image_id} when the run began, is not on the engine any more"
        )
    return _resolved(reference, found, image_id, digest)


def _obtain(calls: EngineCalls, *, reference: str, policy: PullPolicy, progress: Progress) -> ResolvedImage:
    if is_ours(reference):
        found = _ensure(calls, reference, progress)
    else:
        found = None if policy == "always" else calls.inspect_image(reference)
        if found is None and policy != "never":
            _pull(calls, reference, progress)
            found = calls.inspect_image(reference)
    if found is None:
        raise ImageUnavailableError(
            f"image {reference!r} is not on the engine and its pull policy is {policy!r}; "
            f"load it (docker pull {reference}) or allow the pull"
        )
    return _resolved(reference, found, str(found["Id"]), _digest(reference, found))


def _resolved(reference: str, inspected: dict[str, Any], image_id: str, digest: str) -> ResolvedImage:
    labels = (inspected.get("Config") or {}).get("Labels") or {}
    if (size := len(json.dumps(labels))) > _LABELS_MAX:
        raise ImageUnavailableError(
            f"image {reference!r} has labels of {size} bytes, more than {_LABELS_MAX >> 10} KiB: "
            "the engine tells them of each container again and again; use an image with fewer"
        )
    is_32_bit = inspected.get("Architecture") in _OF_32_BIT
    return ResolvedImage(image_id, digest, _volumes(inspected), _search_path(inspected), is_32_bit)


def _ensure(calls: EngineCalls, reference: str, progress: Progress) -> dict[str, Any] | None:
    try:
        name = bare_name(reference)
        found = calls.inspect_image(reference)
        if found is not None and is_current(found, name):
            return found
        from dockersched.sandbox.docker import image_build  # noqa: PLC0415 (0.1 s to import, seldom needed)

        with calls.sdk() as client:
            image_build.ensure(client, name, progress)
    except ImageBuildError as error:
        raise ImageUnavailableError(str(error)) from error
    return calls.inspect_image(reference)


def _pull(calls: EngineCalls, reference: str, progress: Progress) -> None:
    try:
        calls.pull(reference, progress)
    except EngineRefusedError as refused:
        raise ImageUnavailableError(
            f"image {reference!r} is not on the engine and could not be pulled: {refused.explanation}"
        ) from refused


def _digest(reference: str, inspected: dict[str, Any]) -> str:
    """The digest that was asked for, else one that a registry knows it by."""
    if "@" in reference:
        return reference.rpartition("@")[2]
    digests = inspected.get("RepoDigests") or ()
    return str(digests[0]).rpartition("@")[2] if digests else str(inspected["Id"])


def _volumes(inspected: dict[str, Any]) -> tuple[str, ...]:
    return tuple(sorted((inspected.get("Config") or {}).get("Volumes") or ()))


def _search_path(inspected: dict[str, Any]) -> str | None:
    variables = (inspected.get("Config") or {}).get("Env") or ()
    found = [variable.removeprefix("PATH=") for variable in variables if variable.startswith("PATH=")]
    return found[-1] if found else None
