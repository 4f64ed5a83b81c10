"""What other processes ask of a run while it goes on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from dockersched.control import EpicControl
from dockersched.store.requests import CancelRequests

INTERVAL_S = 0.2


@asynccontextmanager
async def taking_requests(requests: CancelRequests, control: EpicControl) -> AsyncIterator[None]:
    """Lets other processes cancel the run, or tasks of it; what was asked before comes before any start."""

    def take() -> None:
        with suppress(OSError):  # such as too many open files, for a moment: the next look is soon
            for task_ids in requests.take():
                control.cancel(task_ids)

    async def look() -> None:
        while True:
            await asyncio.sleep(INTERVAL_S)
            take()

    take()
    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        with suppress(asyncio.CancelledError):
            await looking
