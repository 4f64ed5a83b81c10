"""An epic as everything behind the file reader sees it."""

from dataclasses import dataclass

from dockersched.graph.dag import TaskDAG
from dockersched.model import EpicExecutionOptions


@dataclass(frozen=True, slots=True)
class Epic:
    """A checked graph and how to run it.

    Args:
        dag: the tasks; defaults of the file are already merged into each.
        options: what the file says of the run as a whole; `options.epic_id` is the epic's name.
        source: where it came from, for messages; None for an epic built in Python.
    """

    dag: TaskDAG
    options: EpicExecutionOptions
    source: str | None = None
