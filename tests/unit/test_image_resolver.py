"""What is kept of an image that was asked for once."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest

from dockersched.errors import EngineUnavailableError, ImageUnavailableError, RunnerError
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
