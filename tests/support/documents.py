"""The documentation as data: its code blocks, tables, links and names."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
ORCHESTRATOR = ROOT / "docs" / "orchestrator.agent.md"
ARCHITECTURE = ROOT / "docs" / "architecture.md"
RELIABILITY = ROOT / "docs" / "reliability.md"
DOCUMENTS = (README, ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(
    r"(?P<engine><!-- engine -->\n)?^```(?P<kind>[^\n]*)\n(?P<code>.*?)^```$(?:\n\n```text\n(?P<prints>.*?)^```$)?",
    re.DOTALL | re.MULTILINE,
)


@dataclass(frozen=True)
class Block:
    """A fenced block of a document.

    Args:
        document: file name of the document.
        line: where the block begins, from 1.
        kind: what follows the opening fence, as `python`.
        code: its text.
        prints: the text block right behind it, empty if there is none.
        needs_engine: it is marked with the comment `<!-- engine -->`.
    """

    document: str
    line: int
    kind: str
    code: str
    prints: str
    needs_engine: bool

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def blocks(*kinds: str) -> list[Block]:
    """All blocks of some kinds in all documents."""
    found = []
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start("kind")) + 1
            name = document.relative_to(ROOT).as_posix()
            block = Block(name, line, match["kind"], match["code"], match["prints"] or "", match["engine"] is not None)
            if block.kind in kinds:
                found.append(block)
    return found


def section(document: Path, title: str) -> str:
    """The text below a heading, up to the next one of the same level."""
    _, found, rest = document.read_text("utf-8").partition(f"\n## {title}\n")
    assert found, f"{document.name} has no section {title!r}"
    return rest.partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of every row of every table in a text, headers left out."""
    rows = re.findall(r"^\|((?:\\\||[^|])*)\|", text, re.MULTILINE)
    cells = [row.strip() for row in rows]
    rules = {index for index, cell in enumerate(cells) if set(cell) <= set("-: ")}
    return [cell for index, cell in enumerate(cells) if index not in rules and index + 1 not in rules]


def run_python(block: Block, folder: Path) -> str:
    """Runs a block as a stranger would, in a file of its own; warnings are errors."""
    script = folder / "block.py"
    script.write_text(block.code, "utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    done = subprocess.run(
        [sys.executable, "-W", "error", script],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{block}\n{done.stderr}"
    return done.stdout
