"""Functions that a caller gave to be shown something, and whose mistakes are not the run's."""

from __future__ import annotations

import asyncio
import inspect
import traceback
from collections.abc import Callable
from typing import ParamSpec

from dockersched.log import Logger

P = ParamSpec("P")

log = Logger("callbacks")


def display_only(call: Callable[P, None], name: str) -> Callable[P, None]:
    """The function, called until it raises something: that is logged, and it is not called again.

    Args:
        call: the caller's.
        name: of the argument that it was given as.
    """
    is_broken = False

    def guarded(*args: P.args, **kwargs: P.kwargs) -> None:
        nonlocal is_broken
        if is_broken:
            return
        try:
            call(*args, **kwargs)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - whatever the caller's code raises
            is_broken = True
            place = traceback.extract_tb(error.__traceback__)[-1]
            log.warning("callback.failed", name=name, error=repr(error), where=f"{place.filename}:{place.lineno}")

    return guarded


def check_callback(call: object, name: str) -> None:
    """Refuses what cannot be called, or would have to be awaited.

    Raises:
        TypeError: it is such a thing.
    """
    if call is None:
        return
    if not callable(call):
        raise TypeError(f"{name} is a function, not {call!r}")
    if inspect.iscoroutinefunction(call) or inspect.iscoroutinefunction(type(call).__call__):
        raise TypeError(f"{name} is called and not awaited: give it a function that is not async, {call!r} is")
