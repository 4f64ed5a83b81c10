"""Other ways to run a graph of containers, those that are installed, against the floor and dockersched, by turns."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from benchmarks import floor, turns
from benchmarks.graphs import wide
from benchmarks.peers.base import Peer
from benchmarks.peers.compose import Compose
from benchmarks.peers.cwl import Cwltool
from benchmarks.peers.luigi import Luigi
from benchmarks.peers.make import Make
from benchmarks.peers.pool import Pool
from benchmarks.peers.wdl import Miniwdl

_PEERS: tuple[type[Peer], ...] = (Make, Pool, Compose, Luigi, Cwltool, Miniwdl)


def run(rounds: int) -> bool:
    """Measures, and prints a table; returns whether the machine was quiet enough."""
    print(f"\n## peers: medians of {rounds} rounds, the clients by turns\n")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dockersched-bench-")))
        peers = []
        for peer in (kind(folder) for kind in _PEERS):
            if reason := peer.why_missing():
                print(f"not measured: {peer.name}: {reason} (make bench-peers)")
            else:
                stack.callback(peer.close)
                peers.append(peer)
        everybody = [*floor.contenders(folder), *peers]
        for peer in peers:
            peer.run(wide(1))  # fills caches
        is_quiet = True
        for graph in floor.GRAPHS:
            is_quiet &= turns.tell(turns.take(everybody, graph, rounds))
    return is_quiet
