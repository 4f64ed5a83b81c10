"""Draw what a command prints, as an SVG of a terminal: `picture.py OUT.svg COMMAND…`.

The picture of the README is made with
.venv/bin/python tools/picture.py docs/quickstart.svg make run EPIC=examples/quickstart.yaml
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

_FONT = re.compile(r"\s*@font-face \{.*?\}", re.DOTALL)
_INDENTED = re.compile(r' x="([\d.]+)"([^>]*) textLength="([\d.]+)"([^>]*)>((?:&#160;)+)([^<]+)<')


def draw(command: list[str]) -> str:
    """Run a command and return the picture of its stdout and stderr, as they came.

    Raises:
        subprocess.CalledProcessError: the command failed.
    """
    ended = subprocess.run(
        command,
        env={**os.environ, "FORCE_COLOR": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    shown = Text.from_ansi(f"$ {shlex.join(command)}\n{ended.stdout.rstrip()}")
    width = max(line.cell_len for line in shown.split())
    console = Console(record=True, file=StringIO(), width=width, force_terminal=True, color_system="truecolor")
    console.print(shown, soft_wrap=True)
    svg = console.export_svg(title="dockersched", theme=MONOKAI, unique_id="dockersched")
    # A picture fetches nothing: without the font that rich names, the reader's own is used.
    return _INDENTED.sub(_indent, _FONT.sub("", svg))


def _indent(found: re.Match[str]) -> str:
    """Spaces at the beginning of a text as its position: some programs that draw SVG drop them."""
    x, style, length, clip, spaces, words = found.groups()
    indent = len(spaces.split(";")) - 1
    cell = float(length) / (indent + len(re.sub(r"&[^;]+;", " ", words)))
    position, rest = float(x) + indent * cell, float(length) - indent * cell
    return f' x="{position:g}"{style} textLength="{rest:g}"{clip}>{words}<'


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(draw(sys.argv[2:]), "utf-8")
