"""How one attempt's container has ended: found out, and told."""

from __future__ import annotations

from datetime import datetime
from functools import partial
from pathlib import Path

from msgspec.structs import replace

from dockersched.errors import EngineUnavailableError
from dockersched.results import SandboxResult
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker.collecting import Collected, collect_ended
from dockersched.sandbox.docker.connect import Engine
from dockersched.sandbox.docker.live_output import LiveOutput
from dockersched.sandbox.docker.out_of_memory import with_late_word
from dockersched.sandbox.docker.outcome import Ending
from dockersched.sandbox.docker.patience import Patience
from dockersched.sandbox.docker.sandbox_files import SandboxFiles
from dockersched.sandbox.docker.usage import UsageMeter
from dockersched.sandbox.docker.watcher import ExitWatcher
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason


class Conclusion:
    """Takes in a container's ending, its log and its files, once it has ended.

    Args:
        options: of its sandbox.
        name: of the container.
        engine: that has it.
        watcher: of the run's events.
        patience: with which the engine is asked.
        log_path: where its log goes; None keeps none.
        output: what of its output is shown as it comes.
        patterns: of what is taken out of all text.
        usage: what it used.
        files: that it brings out; None where it has none.
    """

    def __init__(
        self,
        options: SandboxRunOptions,
        *,
        name: str,
        engine: Engine,
        watcher: ExitWatcher,
        patience: Patience,
        log_path: Path | None,
        output: LiveOutput,
        patterns: SecretPatterns,
        usage: UsageMeter,
        files: SandboxFiles | None,
    ) -> None:
        self._options = options
        self._name = name
        self._engine = engine
        self._watcher = watcher
        self._patience = patience
        self._log_path = log_path
        self._output = output
        self._patterns = patterns
        self._usage = usage
        self._files = files

    async def collect(self, stopped_for: Reason | None, running_since: datetime | None) -> Collected:
        """Of a container that must have ended.

        Args:
            stopped_for: why we stopped it; None when we did not.
            running_since: when it is known to have run or not begun, by our idea of the engine's clock; else None.

        Raises:
            RunnerError: the engine failed, or says that it still runs.
        """
        collected = await self.collect_if_ended(stopped_for, running_since)
        if collected is None:
            raise EngineUnavailableError(f"the engine says that {self._name} still runs after it was killed")
        return collected

    async def collect_if_ended(self, stopped_for: Reason | None, running_since: datetime | None) -> Collected | None:
        """The same of one that may have ended; None while it runs."""
        self._output.stop()  # what it has not shown by now comes from the log
        batch = partial(
            collect_ended,
            container_id=self._name,
            stopped_for=stopped_for,
            log_path=self._log_path,
            log_bytes=(self._options.quota and self._options.quota.log_bytes) or 0,
            shown_bytes=self._output.shown_bytes,
            patterns=self._patterns,
            health=self._engine.health,
            running_since=running_since,
        )
        collected = await self._patience.call(batch)
        if collected is not None and collected.log:
            self._output.show(collected.log.unseen)
        return collected

    async def result(
        self, known: SandboxResult, collected: Collected, container_id: str | None, released_at: datetime | None
    ) -> SandboxResult:
        """What is told of the attempt; its outputs are taken from the container meanwhile.

        Args:
            known: what was known of it before.
            collected: of its end.
            container_id: the engine's; None where it was not learnt.
            released_at: when it was let through its gate; None where it had none.

        Raises:
            RunnerError: the engine failed.
        """
        ending = collected.ending
        if container_id is not None:
            ending = await with_late_word(ending, container_id, self._watcher, self._engine, self._patience)
        began_at = later(ending.started_at, released_at)
        result = replace(
            known,
            exit_code=ending.exit_code,
            reason=ending.reason,
            detail=self._patterns.redact(self._explained(ending)),
            oom_event=ending.oom_event,
            started_at=began_at,
            finished_at=later(ending.finished_at, began_at),
            log=collected.log.summary if collected.log else None,
            usage=self._usage.forget(self._name),
        )
        if self._files is None or ending.started_at is None or result.reason is Reason.CANCELLED:
            return result
        taken = await self._patience.copy(partial(self._files.take, succeeded=result.succeeded))
        result = replace(result, outputs=taken.outputs, values=taken.values)
        if taken.reason is None:
            return result
        detail = self._patterns.redact(taken.detail)
        if result.succeeded:
            return replace(result, reason=taken.reason, detail=detail)
        return replace(result, detail="; ".join(filter(None, (result.detail, detail))))

    def _explained(self, ending: Ending) -> str:
        if ending.reason is Reason.NOT_FOUND and " " in self._options.command:
            return f"{ending.detail}: command is the program alone; its arguments go into args, a script into run"
        return ending.detail


def later(moment: datetime | None, other: datetime | None) -> datetime | None:
    """The later one, if the first is known: of a start and a release, when the task itself began."""
    return moment and max(moment, other or moment)
