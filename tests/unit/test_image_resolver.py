"""What is kept of an image that was asked for once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, cast

import pytest

from dockersched.errors import EngineUnavailableError, ImageUnavailableError, RunnerError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.images import ImageResolver, ResolvedImage
from dockersched.sandbox.docker.pool import EnginePool

IMAGE = ResolvedImage("sha256:1", "sha256:2")


class Pool:
    """An engine that fails once, and then has the image."""

    def __init__(self, failure: RunnerError) -> None:
        self.failure: RunnerError | None = failure
        self.asked = 0

    async def image(self, _batch: object) -> ResolvedImage:
        self.asked += 1
        failure, self.failure = self.failure, None
        if failure is not None:
            raise failure
        return IMAGE


def resolver(pool: Pool) -> ImageResolver:
    return ImageResolver(cast("EnginePool", pool), cast("Any", print))


async def test_a_failure_of_the_moment_is_not_kept() -> None:
    pool = Pool(EngineUnavailableError("no answer"))
    images = resolver(pool)
    with pytest.raises(EngineUnavailableError):
        await images.resolve("app", "missing")
    await asyncio.sleep(0)
    assert [await images.resolve("app", "missing") for _ in range(2)] == [IMAGE] * 2
    assert pool.asked == 2


async def test_an_image_that_is_not_there_is_asked_for_once() -> None:
    pool = Pool(ImageUnavailableError("no such image"))
    images = resolver(pool)
    for _ in range(2):
        with pytest.raises(ImageUnavailableError):
            await images.resolve("app", "missing")
    assert pool.asked == 1


class Engine:
    """An engine that has an image with these labels, asked without a thread."""

    def __init__(self, labels: dict[str, str] | None) -> None:
        self._labels = labels

    async def image(self, batch: Callable[[EngineCalls], ResolvedImage]) -> ResolvedImage:
        return batch(cast("EngineCalls", self))

    def inspect_image(self, _image: str) -> dict[str, Any]:
        return {"Id": "sha256:1", "Config": {"Labels": self._labels}}


@pytest.mark.parametrize("pinned", [False, True])
async def test_labels_that_would_make_every_listing_large_are_refused(*, pinned: bool) -> None:
    images = ImageResolver(cast("EnginePool", Engine({"x": "A" * 2**16})), print)
    if pinned:
        images.pin({"app": ("sha256:1", "sha256:1")})
    with pytest.raises(ImageUnavailableError, match=r"image 'app' has labels of 65545 bytes, more than 64 KiB"):
        await images.resolve("app", "missing")


@pytest.mark.parametrize("labels", [None, {}, {"x": "A" * 65_000}])
async def test_an_image_may_have_labels(labels: dict[str, str] | None) -> None:
    images = ImageResolver(cast("EnginePool", Engine(labels)), print)
    assert (await images.resolve("app", "missing")).image_id == "sha256:1"


async def test_nothing_is_told_of_an_image_once_it_is_given_up() -> None:
    engine, told = Pulling(), list[str]()
    images = ImageResolver(cast("EnginePool", engine), told.append)
    resolving = asyncio.ensure_future(images.resolve("app", "always"))
    await asyncio.wait_for(engine.asked.wait(), 5)
    engine.say("a layer")
    await images.aclose()
    engine.say("another")
    assert told == ["a layer"]
    with pytest.raises(asyncio.CancelledError):
        await resolving


class Pulling:
    """An engine that pulls an image without end."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.say: Callable[[str], None] = print

    async def image(self, batch: partial[ResolvedImage]) -> None:
        self.say = batch.keywords["progress"]
        self.asked.set()
        await asyncio.Event().wait()
