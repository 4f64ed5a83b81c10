"""One run for programs that have no event loop."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable

from dockersched.client.client import EpicSource, OnOutput, check_signal_handling, connect, read_epic
from dockersched.events import Observer
from dockersched.results import EpicResult


def run(
    epic: EpicSource,
    *,
    state_dir: str | os.PathLike[str] | None = None,
    allow_mounts: Iterable[str | os.PathLike[str]] = (),
    new: bool = False,
    on_event: Observer | None = None,
    on_output: OnOutput | None = None,
    on_progress: Callable[[str], None] | None = None,
    handle_signals: bool = False,
) -> EpicResult:
    """Runs an epic to its end; a failed task is no exception, but in the result.

    Ctrl-C, which Python raises as `KeyboardInterrupt`, ends the run and leaves no sandbox. SIGTERM and SIGHUP end the
    process at once, unless `handle_signals` is given; `dockersched resume` then goes on with the run.

    Args:
        epic: the path of an epic file, data with the keys of one, or an epic.
        state_dir: as in `connect`.
        allow_mounts: as in `connect`.
        new: as in `Client.start`.
        on_event: as in `Client.start`.
        on_output: as in `Client.start`.
        on_progress: as in `connect`.
        handle_signals: whether SIGINT, SIGTERM and SIGHUP cancel the run, whose result is then returned; a second one
            ends the process at once. For the main thread.

    Raises:
        RuntimeError: an event loop runs in this thread, or signals are to be handled in another than the main thread.
        EngineUnavailableError: no engine answers.
        DockerschedError: whatever else `Client.start` and `RunHandle.result` raise.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise RuntimeError(
            "dockersched.run blocks, and an event loop runs in this thread: "
            "use `async with dockersched.connect() as client` and `await client.start(epic)`"
        )
    if handle_signals:
        check_signal_handling()
    checked = read_epic(epic)

    async def run_to_end() -> EpicResult:
        async with connect(state_dir=state_dir, allow_mounts=allow_mounts, on_progress=on_progress) as client:
            handle = await client.start(
                checked, new=new, on_event=on_event, on_output=on_output, handle_signals=handle_signals
            )
            return await handle.result()

    return asyncio.run(run_to_end())
