"""Structured logging; structlog is imported when the first event is really written, not before.

Importing structlog costs more time than a short task has, and a quiet run writes nothing.
"""

from __future__ import annotations

import sys
from typing import Literal, get_args

LogFormat = Literal["console", "json"]
FORMATS: tuple[str, ...] = get_args(LogFormat)
LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class _Settings:
    level = LEVELS["warning"]
    format: LogFormat = "console"
    configured = False


def configure(level: str = "warning", log_format: LogFormat = "console") -> None:
    """Sets what is written to stderr, and how; events below `level` cost a comparison."""
    _Settings.level = LEVELS[level]
    _Settings.format = log_format
    _Settings.configured = False


class Logger:
    """Writes events: a constant dotted name, and values as fields."""

    def __init__(self, component: str) -> None:
        self._component = component

    def debug(self, event: str, **fields: object) -> None:
        """What a developer wants to see."""
        self._write("debug", event, fields)

    def info(self, event: str, **fields: object) -> None:
        """What happens."""
        self._write("info", event, fields)

    def warning(self, event: str, **fields: object) -> None:
        """What a user should know."""
        self._write("warning", event, fields)

    def error(self, event: str, **fields: object) -> None:
        """What went wrong."""
        self._write("error", event, fields)

    def _write(self, level: str, event: str, fields: dict[str, object]) -> None:
        if LEVELS[level] < _Settings.level:
            return
        import structlog  # noqa: PLC0415 - see the module's docstring

        if not _Settings.configured:
            _configure_structlog()
        getattr(structlog.get_logger(), level)(event, component=self._component, **fields)


def _configure_structlog() -> None:
    import structlog  # noqa: PLC0415 - see the module's docstring

    as_json = _Settings.format == "json"
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer()
            if as_json
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), force_colors=False),
        ],
        # Looked up at each event: a live table puts itself in the place of sys.stderr.
        logger_factory=lambda *_: structlog.PrintLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
    _Settings.configured = True
