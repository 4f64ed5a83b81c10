"""Pulls by the SDK, which knows where docker keeps the credentials for registries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any

from docker.errors import APIError, DockerException, StreamParseError
from requests import PreparedRequest, ReadTimeout, Response
from urllib3.exceptions import HTTPError, ReadTimeoutError

from dockersched.errors import EngineRefusedError, TransientRunnerError
from dockersched.sandbox.docker.connection import make_client
from dockersched.sandbox.docker.engine_http import EngineHttp

_SILENCE_MAX_S = 600.0
"""As for builds: while it waits for a registry or unpacks an image, an engine can be silent for long."""


def pull_messages(http: EngineHttp, image: str) -> Iterator[dict[str, Any]]:
    """Pulls an image; gives what the engine says of it.

    Args:
        http: calls to the engine; what it raises is raised here, too.
        image: its name.

    Raises:
        EngineRefusedError: the engine says no more.
        TransientRunnerError: the SDK cannot use the engine's answer.
    """
    name, tag = _name_and_tag(image)
    with closing(make_client(http.endpoint, version=http.api_version, timeout=http.timeout_s)) as client:
        send = client.send

        def send_with_limit(request: PreparedRequest, **options: Any) -> Response:
            return send(request, **options | {"timeout": (http.timeout_s, _SILENCE_MAX_S)})  # the SDK asks for none

        client.send = send_with_limit  # type: ignore[method-assign]
        try:
            yield from client.pull(name, tag=tag, stream=True, decode=True)
        except APIError as error:  # which is an `OSError`, too
            raise EngineRefusedError(error.status_code or 0, str(error.explanation or error)) from error
        except (ReadTimeout, ReadTimeoutError) as error:
            raise EngineRefusedError(0, f"nothing was heard of it for {_SILENCE_MAX_S:.0f} s") from error
        except HTTPError as error:
            raise ConnectionError(str(error)) from error
        except (DockerException, StreamParseError) as error:
            raise TransientRunnerError(f"the engine's answer could not be used: {error}") from error


def _name_and_tag(image: str) -> tuple[str, str | None]:
    """The SDK pulls every tag of a name that has none."""
    if "@" in image:
        return image, None
    name, colon, tag = image.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (image, "latest")
