"""How far an earlier process of a run came."""

from __future__ import annotations

from msgspec import Struct


class Standing(Struct, frozen=True):
    """What an earlier process left of a task.

    Args:
        recorded: attempts whose results are on record; to start one again takes a slot for a moment, and no more.
        in_flight: the attempt after those may have its sandbox on the engine already, so its share is held.
        oom_kills: how many of those on record were killed for lack of memory, so that the next one may hold more.
    """

    recorded: int = 0
    in_flight: bool = False
    oom_kills: int = 0
