"""How calls reach the engine: what goes wrong becomes our errors, and what may be repeated is."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, TypeVar

from dockersched.errors import EngineFullError, EngineRefusedError, EngineUnavailableError, TransientRunnerError
from dockersched.sandbox.docker.connection import make_client
from dockersched.sandbox.docker.engine_http import EngineHttp
from dockersched.sandbox.docker.health import EngineHealth
from dockersched.sandbox.docker.retries import Retries

if TYPE_CHECKING:
    from docker.api import APIClient

T = TypeVar("T")
CONFLICT, NOT_FOUND, SERVER_ERROR = 409, 404, 500
RETRIES = Retries(tries=4, first_wait_s=0.1, longest_wait_s=2.0)
# As an error is told, at the end: a path that the engine quotes can have any words in it.
_NO_SPACE = re.compile(r"(?!cannot mount volume over existing file)(?s:.*: )?no space left on device(: unknown)?[\s.]*")


class Transport:
    """One connection, for one thread: what every call raises, and how it is tried again.

    Args:
        http: the plain calls; closed by `close`.
        closing: set when retries should give up.
        health: told of each call.
    """

    def __init__(self, http: EngineHttp, closing: threading.Event, health: EngineHealth) -> None:
        self._http = http
        self._health = health
        self._closing = closing

    def close(self) -> None:
        """Closes the connection."""
        self._http.close()

    @contextmanager
    def sdk(self) -> Iterator[APIClient]:
        """An SDK client for what the SDK knows more of than plain calls; what it raises is its own."""
        http = self._http
        with closing(make_client(http.endpoint, version=http.api_version, timeout=http.timeout_s)) as client:
            yield client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what a plain call raises into our errors."""
        begun_at = self._health.now()
        try:
            yield
        except EngineRefusedError as refused:
            self._health.answered(begun_at)
            if tells_no_space(refused):
                self._health.full()
                raise EngineFullError(refused.explanation) from refused
            raise
        except OSError as error:
            self._health.lost()
            raise EngineUnavailableError(f"the connection to the engine failed: {error}") from error
        except ValueError as error:
            raise TransientRunnerError(f"the engine's answer could not be used: {error}") from error
        self._health.answered(begun_at)

    def _retry(self, call: Callable[[], T]) -> T:
        """Makes a call, and again after a failure that may be gone in a moment."""
        return RETRIES.run(call, is_worth_another_try, self._closing)

    def _repeat(self, call: Callable[[], T]) -> T:
        """The same for a plain call that changes nothing when it is repeated: whatever the engine's trouble was."""

        def translated() -> T:
            with self._translated():
                return call()

        return RETRIES.run(translated, _is_engine_trouble, self._closing)


def tells_no_space(refused: EngineRefusedError) -> bool:
    """Whether the engine, or what it has mounted in a container, had no room for what it was asked to do."""
    return _NO_SPACE.fullmatch(refused.explanation) is not None


def unless(status: int, call: Callable[[], T]) -> T | None:
    """What a call gives; None when the engine answers with this status."""
    try:
        return call()
    except EngineRefusedError as refused:
        if refused.status != status:
            raise
        return None


def _is_engine_trouble(error: BaseException) -> bool:
    return is_worth_another_try(error) or (isinstance(error, EngineRefusedError) and error.status >= SERVER_ERROR)


def is_worth_another_try(error: BaseException) -> bool:
    """Whether a call failed for something that may be gone in a moment."""
    return isinstance(error, TransientRunnerError) and not isinstance(error, EngineFullError)
