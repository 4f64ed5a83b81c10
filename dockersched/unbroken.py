"""Waiting that a cancellation does not break: for cleaning up, which a second one may come upon."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

T = TypeVar("T")


async def ended(future: asyncio.Future[Any]) -> None:
    """Waits until a future is done, whatever cancellations come meanwhile: they are lost.

    Only for who is being cancelled already.
    """
    while not future.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait([future])


def unasked(future: asyncio.Future[Any]) -> None:
    """As a callback of a future whose failure perhaps nobody asks for: asyncio then does not complain of it."""
    if not future.cancelled():
        future.exception()


async def unbroken(work: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end, in the same way."""
    task = asyncio.ensure_future(work)
    await ended(task)
    return task.result()


async def whole(work: Coroutine[Any, Any, None]) -> None:
    """Does something to its end, even when it is cancelled meanwhile, and then is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await ended(task)
        task.result()
        raise
