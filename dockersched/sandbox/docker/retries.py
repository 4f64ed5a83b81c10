"""Calls that are made again after a failure that may be gone in a moment, with jittered back-off."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Retries(NamedTuple):
    """How often a call is made, and what is waited in between.

    Args:
        tries: in all.
        first_wait_s: at most, before the second; each later wait may be twice as long.
        longest_wait_s: at most, before any.
    """

    tries: int
    first_wait_s: float
    longest_wait_s: float

    def run(
        self, call: Callable[[], T], is_worth_another: Callable[[BaseException], bool], closing: threading.Event
    ) -> T:
        """What the call gives, or raises at the last try.

        Args:
            call: to be made.
            is_worth_another: whether it may be made again after this error.
            closing: while it is set, nothing is waited.
        """
        try:
            return call()
        except Exception as error:
            if not is_worth_another(error):
                raise
            failures = [error]

        # Hardly any run needs it, so it is imported late.
        from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential  # noqa: PLC0415
        from tenacity.nap import sleep_using_event  # noqa: PLC0415

        def call_again() -> T:
            if failures:  # the try that was made before counts as the first of all
                raise failures.pop()
            return call()

        return Retrying(
            retry=retry_if_exception(is_worth_another),
            wait=wait_random_exponential(multiplier=self.first_wait_s, max=self.longest_wait_s),
            stop=stop_after_attempt(self.tries),
            sleep=sleep_using_event(closing),
            reraise=True,
        )(call_again)
