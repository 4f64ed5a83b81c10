"""One attempt's container and the network namespace it is in, from when they are made until both are given back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from msgspec.structs import replace

from dockersched.errors import RunnerError
from dockersched.log import Logger
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxCancelled
from dockersched.sandbox.docker import batches
from dockersched.sandbox.docker.container import Container
from dockersched.sandbox.docker.namespaces import Namespaces, Slot
from dockersched.sandbox.docker.phase_clock import PhaseClock
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason
from dockersched.unbroken import unbroken

log = Logger("attempt")


class Attempt:
    """What `DockerRunner` makes for an attempt; used once.

    Args:
        container: of the attempt.
        known: what is known of its result already.
        patterns: what to take out of its output.
        namespaces, slot: the namespace that its container joins, and where that comes from; None for one of its own.
        forget: called when nobody waits for its container any more.
    """

    def __init__(
        self,
        container: Container,
        *,
        known: SandboxResult,
        patterns: SecretPatterns,
        namespaces: Namespaces | None,
        slot: Slot | None,
        forget: Callable[[], None],
    ) -> None:
        self._container = container
        self._known = known
        self._patterns = patterns
        self._namespaces = namespaces
        self._slot = slot
        self._forget = forget

    @property
    def name(self) -> str:
        """Of its container."""
        return self._container.name

    @property
    def container_id(self) -> str | None:
        """The engine's id of its container, once that was launched or released."""
        return self._container.container_id

    async def start_gated(self) -> None:
        """Starts the container behind its gate, if it has one.

        Raises:
            LaunchRefusedError: it could not be started.
            RunnerError: the machinery failed.
        """
        await self._container.start_gated()

    async def run(self, clock: PhaseClock) -> SandboxResult:
        """Runs the attempt to its end.

        Args:
            clock: that measures it.

        Raises:
            NeverReleasedError: nothing of the task ran, since its container ended behind its gate; it is removed.
            SandboxCancelled: it was cancelled, and its container is gone.
            RunnerError: the machinery failed.
        """
        ended: SandboxResult | None = None
        is_gone = False
        try:
            ended = clock.timed(await self._container.run(clock))
        except batches.LaunchRefusedError as refused:
            return clock.timed(refusal(self._known, refused, self._patterns))
        except batches.NeverReleasedError:
            await self._container.remove()
            is_gone = True
            raise
        except asyncio.CancelledError:
            raise SandboxCancelled(clock.timed(await unbroken(self._container.end(Reason.CANCELLED)))) from None
        else:
            return ended
        finally:
            self._forget()
            if self._namespaces and self._slot:
                self._namespaces.give_back(self._slot, is_empty=is_gone or is_known_to_have_ended(ended))

    async def give_up(self) -> None:
        """Removes what was made before `run`, which will not come: nothing of the task has run."""
        is_gone = False
        try:
            await self._container.remove()
            is_gone = True
        except RunnerError as error:  # the sweep at the end of the run finds it
            log.warning("attempt.container_not_removed", name=self._container.name, error=str(error))
        finally:
            self._forget()
            if self._namespaces and self._slot:
                self._namespaces.give_back(self._slot, is_empty=is_gone)


def refusal(known: SandboxResult, refused: batches.LaunchRefusedError, patterns: SecretPatterns) -> SandboxResult:
    """The result of an attempt whose sandbox could not be started."""
    detail = patterns.redact(refused.detail)
    return replace(
        known, exit_code=None, reason=refused.reason, detail=detail, quota_effective=refused.effective, openings=()
    )


def is_known_to_have_ended(result: SandboxResult | None) -> bool:
    """Whether nothing of a sandbox is left, as far as its result tells."""
    return result is not None and result.finished_at is not None and result.reason is not Reason.INTERRUPTED
