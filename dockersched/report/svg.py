"""Pieces of the pictures: escaped, readable in light and dark, and with colours that are not the only sign."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape

from dockersched.report.text import for_xml, one_line
from dockersched.states import TaskState

WAITING = ("#eeeeee", "#5f5f5f")
STATE_COLOURS: Mapping[TaskState, tuple[str, str]] = {
    TaskState.SUCCEEDED: ("#bfe3c8", "#1b6b34"),
    TaskState.FAILED: ("#f7c3bd", "#a3131f"),
    TaskState.UPSTREAM_FAILED: ("#fbe3b0", "#7d5200"),
    TaskState.CANCELLED: ("#fbe3b0", "#7d5200"),
    TaskState.RUNNING: ("#bcd9f2", "#1f5c99"),
    TaskState.STOPPING: ("#bcd9f2", "#1f5c99"),
}
"""Fill and border; black is readable on every fill."""

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#111}.note{fill:#333}.axis{stroke:#999;stroke-width:.5}"
    ".edge{fill:none;stroke:#888;stroke-width:1.2}.critical{stroke:#c2185b;stroke-width:3}"
    "@media(prefers-color-scheme:dark){.note{fill:#ddd}}"
)


def colours_of(state: TaskState | None) -> tuple[str, str]:
    """Fill and border of a task in that state."""
    return WAITING if state is None else STATE_COLOURS.get(state, WAITING)


def text_of(text: str, limit: int = 300) -> str:
    """Text on one line, bounded, as markup."""
    return escape(for_xml(one_line(text, limit)))


def picture(width: float, height: float, title: str, body: str) -> str:
    """A whole picture; nothing in it is loaded from elsewhere.

    Args:
        width: in pixels.
        height: in pixels.
        title: what it shows.
        body: markup.
    """
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img"><title>{text_of(title)}</title><style>{STYLE}</style>{body}</svg>'
    )
