"""Steering an epic while it runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable

OnCancel = Callable[[frozenset[str] | None], None]


class EpicControl:
    """Hand one to `execute_epic` to be able to cancel that epic, or tasks of it.

    Use it on the event loop's thread only, and for one epic.
    """

    def __init__(self) -> None:
        self._requests: list[frozenset[str] | None] = []
        self._on_cancel: OnCancel | None = None

    @property
    def cancelled(self) -> bool:
        """Whether cancelling the whole epic was asked for."""
        return None in self._requests

    @property
    def of_tasks(self) -> list[frozenset[str]]:
        """The requests for tasks so far."""
        return [request for request in self._requests if request is not None]

    def cancel(self, task_ids: Iterable[str] | None = None) -> None:
        """Stops sandboxes; `execute_epic` then raises `EpicCancelledError` when all has settled.

        Args:
            task_ids: the tasks to cancel, with all that depends on them; None cancels the whole epic, but for its tasks
                with `finally_`, which can still be named. Ids that are unknown, and tasks that are finished, are passed
                over.
        """
        request = None if task_ids is None else frozenset(task_ids)
        if request in self._requests:
            return
        self._requests.append(request)
        if self._on_cancel:
            self._on_cancel(request)

    def attach(self, on_cancel: OnCancel) -> None:
        """For the scheduler: passes on what was and what will be asked for."""
        self._on_cancel = on_cancel
        for request in self._requests:
            on_cancel(request)
