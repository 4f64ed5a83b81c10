"""Calls about images."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.answers import WithId, having
from dockersched.sandbox.docker.engine_http import path_of
from dockersched.sandbox.docker.retries import Retries
from dockersched.sandbox.docker.transport import NOT_FOUND, Transport, is_worth_another_try, unless

PULL_RETRIES = Retries(tries=5, first_wait_s=1.0, longest_wait_s=10.0)
# What the engine says of a registry that may do better in a moment: too many requests, its own trouble, the way to it.
_REGISTRY_TROUBLE = re.compile(
    r"toomanyrequests|too many requests|unexpected http status(?: code)?: (?:429|5\d\d)|status code (?:429|5\d\d)"
    r"|(?:internal server error|bad gateway|service unavailable|gateway timeout)"
    r"|timeout|connection (?:refused|reset)|unexpected eof|temporary failure|server misbehaving",
    re.IGNORECASE,
)


class ImageCalls(Transport):
    """What dockersched asks an engine about images."""

    def inspect_image(self, image: str) -> dict[str, Any] | None:
        """What the engine knows of an image; None when it has none of that name."""
        path = path_of("images", image, "json")
        return unless(NOT_FOUND, lambda: self._repeat(lambda: having(WithId, self._http.get(path))))

    def import_image(self, archive: bytes, repository: str, tag: str) -> None:
        """Makes an image of a tar archive of its files; the same again changes nothing."""
        query = {"fromSrc": "-", "repo": repository, "tag": tag}
        self._repeat(lambda: self._http.call("POST", "/images/create", query, archive))

    def pull(self, image: str, progress: Callable[[str], None]) -> None:
        """Pulls an image, telling its progress; tries again, up to four times, what a registry may grant later."""
        from dockersched.sandbox.docker.image_pull import pull_messages  # noqa: PLC0415 (0.1 s to import, seldom needed)

        def pull() -> None:
            with self._translated():
                for told in pull_messages(self._http, image):
                    message = having(dict, told)
                    if "error" in message:
                        raise EngineRefusedError(NOT_FOUND, str(message["error"]))
                    if message.get("status") and not message.get("progressDetail"):  # not each step of a download
                        progress(" ".join(filter(None, ("pull", message.get("id"), str(message["status"])))))

        PULL_RETRIES.run(pull, _is_worth_another_pull, self._closing)


def _is_worth_another_pull(error: BaseException) -> bool:
    if isinstance(error, EngineRefusedError):
        return _REGISTRY_TROUBLE.search(error.explanation) is not None
    return is_worth_another_try(error)
