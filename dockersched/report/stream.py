"""Writing to a person's terminal or pipe, which may be slow, full, gone or in another encoding."""

from __future__ import annotations

import io
import os
import select
from collections.abc import Callable
from typing import TextIO


class Stream:
    """Takes text for stdout or stderr; once that cannot be written, it takes everything and writes nothing.

    It writes to the file descriptor itself: a thread that is stuck there holds no lock of Python's own
    buffers, which would abort the interpreter when it ends.

    Args:
        file: where the text goes.
        clean: is given all text, whole lines of it, and gives what is written.
    """

    def __init__(self, file: TextIO, clean: Callable[[str], str] | None = None) -> None:
        self._file = file
        self._clean = clean
        self.encoding = getattr(file, "encoding", None) or "utf-8"
        self.failure: Exception | None = None
        """Why nothing is written any more: a `BrokenPipeError` where the reader has hung up."""
        self.written = 0
        """Bytes taken by the reader so far."""
        try:
            self._descriptor: int | None = file.fileno()
        except (OSError, AttributeError, io.UnsupportedOperation):
            self._descriptor = None

    @property
    def gone(self) -> bool:
        """Whether nothing is written any more."""
        return self.failure is not None

    def check(self) -> None:
        """Tells whoever must know whether all was written.

        Raises:
            OSError: it was not; a `BrokenPipeError` where the reader has hung up.
        """
        if self.failure is not None:
            raise self.failure

    def isatty(self) -> bool:
        """Whether a terminal reads it."""
        return self._file.isatty()

    def write(self, text: str) -> int:
        """Writes all of the text; blocks while the reader does."""
        cleaned = text if self._clean is None else self._clean(text)
        data = cleaned.encode(self.encoding, "backslashreplace")
        try:
            if self._descriptor is None:
                self._file.write(data.decode(self.encoding))
                self.written += len(data)
            else:
                self._file.flush()
                self._write_all(self._descriptor, memoryview(data))
        except OSError as error:
            self.failure = error
        except ValueError:  # the file is closed
            self.failure = BrokenPipeError()
        return len(text)

    def flush(self) -> None:
        """Nothing is ever held back."""

    def _write_all(self, descriptor: int, data: memoryview) -> None:
        while data and not self.gone:
            try:
                count = os.write(descriptor, data)
            except BlockingIOError:  # another process that shares the terminal made it non-blocking
                select.select([], [descriptor], [])
                continue
            self.written += count
            data = data[count:]
