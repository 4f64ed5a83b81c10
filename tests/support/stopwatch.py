"""The processor's time, for tests that bound it."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time


class Watch:
    """What was measured, in seconds."""

    seconds = math.inf


@contextmanager
def stopwatch() -> Iterator[Watch]:
    """The processor's time, without what coverage costs."""
    watch, tracer = Watch(), sys.gettrace()
    sys.settrace(None)
    started = process_time()
    try:
        yield watch
    finally:
        watch.seconds = process_time() - started
        sys.settrace(tracer)
