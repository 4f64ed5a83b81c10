"""Cleaning up goes on to its end, however often it is cancelled."""

import asyncio

import pytest

from dockersched.unbroken import unbroken


@pytest.mark.parametrize("cancels", [0, 1, 3])
async def test_it_goes_on_to_its_end(cancels: int) -> None:
    may_end = asyncio.Event()

    async def clean_up() -> str:
        await may_end.wait()
        return "gone"

    cleaning = asyncio.ensure_future(unbroken(clean_up()))
    for _ in range(cancels):
        await asyncio.sleep(0)
        cleaning.cancel()
    await asyncio.sleep(0.01)
    assert not cleaning.done()
    may_end.set()
    assert await cleaning == "gone"


async def test_it_raises_what_it_ran_into() -> None:
    async def clean_up() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError):
        await unbroken(clean_up())
