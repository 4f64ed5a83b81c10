"""A run in time: a row for each slot, a bar for each attempt, the critical path marked."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Protocol

from dockersched.report.phase_fields import phase_words
from dockersched.report.svg import colours_of, picture, text_of
from dockersched.results import Phases
from dockersched.states import TaskState
from dockersched.units import format_duration

_LEFT, _WIDTH, _ROW, _BAR, _TOP, _BOTTOM = 60, 1_100, 30, 22, 34, 44
_TICKS_MAX = 10
_STEPS_S = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600, 86_400)
"""What may be between two marks of the axis."""
_LETTER = 7.0
_STATES = {"succeeded": TaskState.SUCCEEDED, "running": TaskState.RUNNING, "cancelled": TaskState.CANCELLED}
_PAGE = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
    '<meta name="color-scheme" content="light dark"><title>{title}</title>'
    "<style>body{{font:14px system-ui,sans-serif;margin:1rem;overflow-x:auto}}</style></head>"
    "<body><h1>{title}</h1>{picture}</body></html>\n"
)


class Bar(Protocol):
    """An attempt in time, as it is drawn."""

    @property
    def task_id(self) -> str:
        """The task."""

    @property
    def number(self) -> int:
        """Of the attempt."""

    @property
    def queued_at(self) -> datetime | None:
        """When it could have started, if that is known."""

    @property
    def asked_at(self) -> datetime:
        """When its sandbox was asked for."""

    @property
    def started_at(self) -> datetime | None:
        """When its process started, if it did."""

    @property
    def ended_at(self) -> datetime:
        """When it ended."""

    @property
    def outcome(self) -> str:
        """How, in a word."""

    @property
    def slot(self) -> int:
        """Its row."""

    @property
    def is_critical(self) -> bool:
        """Whether it is on the critical path."""

    @property
    def phases(self) -> Phases:
        """Where its time went."""


def timeline_svg(title: str, bars: Sequence[Bar]) -> str:
    """As a picture.

    Args:
        title: of the picture.
        bars: what is drawn.
    """
    begin = min((bar.asked_at for bar in bars), default=None)
    took_s = max(((bar.ended_at - begin).total_seconds() for bar in bars), default=0.0) if begin else 0.0
    rows = max((bar.slot for bar in bars), default=-1) + 1
    height = _TOP + rows * _ROW + _BOTTOM
    scale = _WIDTH / (took_s or 1.0)
    body = [*_axis(took_s, scale, rows)]
    if begin:
        body += [_bar(bar, begin, scale) for bar in bars]
    body.append(
        f'<text class="note" x="8" y="{height - 12}">each row is a slot; pale: its sandbox is being made; '
        "thick border: critical path</text>"
    )
    return picture(_LEFT + _WIDTH + 20, height, title, "".join(body)) + "\n"


def timeline_html(title: str, bars: Sequence[Bar]) -> str:
    """As a page that loads nothing.

    Args:
        title: of the page.
        bars: what is drawn.
    """
    return _PAGE.format(title=text_of(title), picture=timeline_svg(title, bars))


def _axis(took_s: float, scale: float, rows: int) -> Iterator[str]:
    step_s = next((step_s for step_s in _STEPS_S if took_s <= step_s * _TICKS_MAX), took_s / _TICKS_MAX)
    marks = int(took_s / step_s + 1e-9)  # 0.6 / 0.2 is a little less than 3
    for tick in range(marks + 1):
        seconds = step_s * tick
        x = _LEFT + seconds * scale
        yield f'<line class="axis" x1="{x:.1f}" y1="{_TOP - 6}" x2="{x:.1f}" y2="{_TOP + rows * _ROW}"/>'
        yield f'<text class="note" x="{x:.1f}" y="20" text-anchor="middle">{format_duration(seconds)}</text>'
    for row in range(rows):
        yield f'<text class="note" x="8" y="{_TOP + row * _ROW + 16}">slot {row + 1}</text>'


def _bar(bar: Bar, begin: datetime, scale: float) -> str:
    def at(time: datetime) -> float:
        return _LEFT + (time - begin).total_seconds() * scale

    started = bar.started_at or bar.ended_at
    x, start, end = at(bar.asked_at), at(started), at(bar.ended_at)
    y, width = _TOP + bar.slot * _ROW, max(1.0, end - x)
    fill, border = colours_of(_STATES.get(bar.outcome, TaskState.FAILED))
    marked = "critical" if bar.is_critical else ""
    name = bar.task_id if bar.number == 1 else f"{bar.task_id} @{bar.number}"
    room = int(width / _LETTER)
    words = f'<text x="{x + 4:.1f}" y="{y + 15}">{text_of(name, room)}</text>' if room > len(name) or room > 4 else ""
    return (
        f"<g><title>{text_of(name)}: {_told(bar)}</title>"
        f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="#f4f4f4"/>'
        f'<rect x="{start:.1f}" y="{y}" width="{max(0.0, end - start):.1f}" height="{_BAR}" fill="{fill}"/>'
        f'<rect class="{marked}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="none" '
        f'stroke="{border}"/>{words}</g>'
    )


def _told(bar: Bar) -> str:
    ran_s = (bar.ended_at - (bar.started_at or bar.asked_at)).total_seconds()
    parts = [text_of(bar.outcome), f"took {format_duration(max(0.0, ran_s))}"]
    if bar.phases.queued_ms is None and bar.queued_at is not None and bar.queued_at < bar.asked_at:
        parts.append(f"waited {format_duration((bar.asked_at - bar.queued_at).total_seconds())}")
    parts += phase_words(bar.phases)
    if bar.is_critical:
        parts.append("on the critical path")
    return ", ".join(parts)
