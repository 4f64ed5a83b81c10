"""How calls reach the engine: the SDK's exceptions become ours, and what may be repeated is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import requests
import urllib3
from docker.api import APIClient
from docker.errors import APIError, DockerException
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential
from tenacity.nap import sleep_using_event

from dockersched.errors import EngineFullError, EngineRefusedError, EngineUnavailableError, TransientRunnerError
from dockersched.sandbox.docker.health import EngineHealth

T = TypeVar("T")
CONFLICT, NOT_FOUND, SERVER_ERROR = 409, 404, 500
TRIES = 4
NO_SPACE = "no space left on device"


class Transport:
    """One SDK client, for one thread: what every call raises, and how it is tried again.

    Args:
        client: the SDK's low-level client; closed by `close`.
        closing: set when retries should give up.
        health: told of each call.
    """

    def __init__(self, client: APIClient, closing: threading.Event, health: EngineHealth) -> None:
        self._client = client
        self._health = health
        self._retrying = Retrying(
            retry=retry_if_exception(is_worth_another_try),
            wait=wait_random_exponential(multiplier=0.1, max=2.0),
            stop=stop_after_attempt(TRIES),
            sleep=sleep_using_event(closing),
            reraise=True,
        )
        # A call that changes nothing when it is repeated is worth it whatever the engine's trouble was.
        self._repeating = self._retrying.copy(retry=retry_if_exception(_is_engine_trouble))

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    @property
    def client(self) -> APIClient:
        """The SDK's client, for image builds and pulls, which have a progress of their own."""
        return self._client

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turns what the SDK and its libraries raise into our errors; some of it is no `DockerException`."""
        begun_at = self._health.now()
        try:
            yield
        except APIError as error:
            self._health.answered(begun_at)
            explanation = str(error.explanation or error)
            if NO_SPACE in explanation:
                self._health.full()
                raise EngineFullError(explanation) from error
            raise EngineRefusedError(error.status_code or 0, explanation) from error
        except (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError, OSError) as error:
            self._health.lost()
            raise EngineUnavailableError(f"the connection to the engine failed: {error}") from error
        except (requests.RequestException, DockerException) as error:
            raise TransientRunnerError(f"the engine's answer could not be used: {error}") from error
        self._health.answered(begun_at)

    def _repeat(self, call: Callable[[], T]) -> T:
        def translated() -> T:
            with self._translated():
                return call()

        return self._repeating(translated)


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
