"""What many tries of one fault came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

COLUMNS = ("fault", "tries", "wrong outcomes", "double starts", "orphans", "lost records", "measured")


@dataclass
class Tally:
    """Counts what went wrong.

    Args:
        fault: in words.
        tries: how often it was tried.
        wrong: each outcome that was not the right one, in words.
        double_starts, orphans, lost: containers started twice, containers left over, records that are missing.
        measured: a figure that was measured along the way.
        counts: what else was counted, by its name.
    """

    fault: str
    tries: int = 0
    wrong: list[str] = field(default_factory=list)
    double_starts: int = 0
    orphans: int = 0
    lost: int = 0
    measured: str = ""
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def is_clean(self) -> bool:
        """Whether all was as it should be."""
        return bool(self.tries) and not (self.wrong or self.double_starts or self.orphans or self.lost)

    def add(self, other: Tally) -> None:
        """Takes in the counts of more tries of the same fault."""
        self.tries += other.tries
        self.wrong += other.wrong
        self.double_starts += other.double_starts
        self.orphans += other.orphans
        self.lost += other.lost
        self.counts += other.counts

    def expect(self, what: str, *, holds: bool) -> None:
        """Notes something that must hold as wrong when it does not."""
        if not holds:
            self.wrong.append(what)

    @property
    def row(self) -> tuple[str, ...]:
        """The cells of the table's row."""
        counts = (self.tries, len(self.wrong), self.double_starts, self.orphans, self.lost)
        measured = self.measured or ", ".join(f"{count} {what}" for what, count in self.counts.items())
        return (self.fault, *map(str, counts), measured or "–")  # noqa: RUF001 - an empty cell of a table


def table(tallies: list[Tally]) -> str:
    """The rows as a Markdown table."""
    lines = [COLUMNS, tuple("---" for _ in COLUMNS), *(tally.row for tally in tallies)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
