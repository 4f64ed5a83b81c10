"""How much the matrices of a file may add to it: a line of text could stand for more than any memory holds."""

from __future__ import annotations

from collections import Counter

MOST = {"tasks": 100_000, "values": 2_000_000, "characters": 64 * 2**20}
"""Of all matrices together. What a file writes out itself is bounded by its size alone."""


class SpentError(Exception):
    """Matrices add more than they may; says so with a remedy."""


class Allowance:
    """What matrices have added so far.

    Values are those that instances hold, their dependencies, and what is compared for `include` and `exclude`;
    characters those that are filled in.
    """

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, what: str, count: int) -> None:
        """Adds to what has been taken; to be called before anything of that size is made.

        Args:
            what: a word of `MOST`.
            count: of it.

        Raises:
            SpentError: it is more than there may be.
        """
        self._taken[what] += count
        if self._taken[what] > MOST[what]:
            raise SpentError(
                f"makes more than {MOST[what]:,} {what} together with the matrices before it: "
                "take values away, or make several epics"
            )
