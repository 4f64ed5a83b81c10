"""Graphs to execute, shaped as published workflows are, in a size that a bench has the time for.

Fork-join, Montage and Epigenomics are those of `benchmarks.shapes`, smaller. The others have the structure and the
run times that the WfCommons project publishes with its execution traces (Coleman et al. 2022, "WfCommons: A framework
for enabling scientific workflow research and development", https://doi.org/10.1016/j.future.2021.09.043): structure
from the read-me files of https://github.com/wfcommons/pegasus-instances, and for each kind of task the shortest and
the longest run time from https://github.com/wfcommons/WfCommons (`wfchef/recipes/*/task_type_stats.json`), between
which durations are drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from benchmarks.graphs import Graph
from benchmarks.shapes import Shape, epigenomics, fork_join, montage

SHORTEST_S, LONGEST_S = 0.2, 3.0

_POPULATIONS = 7
_ACCESSIONS_A_MERGE = 25


def thousand_genome(shape: Shape, chromosomes: int = 2, parts: int = 10) -> None:
    """1000Genome: parts of a chromosome, merged; with its sifted variants, two analyses of each population.

    Ferreira da Silva et al. 2019, https://doi.org/10.1016/j.future.2019.01.015.
    """
    for _ in range(chromosomes):
        individuals = [_between(shape, 48.846, 192.232) for _ in range(parts)]
        merged = _between(shape, 34.471, 157.346, *individuals)
        sifted = _between(shape, 0.293, 22.686)
        for _ in range(_POPULATIONS):
            _between(shape, 1.610, 92.154, merged, sifted)
            _between(shape, 76.023, 238.260, merged, sifted)


def sra_search(shape: Shape, accessions: int = 30) -> None:
    """SRA search: fetch each accession, align it to an index of the genome, merge 25 each, merge the merged."""
    index = _between(shape, 0.316, 33.288)
    aligned = []
    for _ in range(accessions):
        fetched = _between(shape, 1.173, 4_343.699)
        aligned.append(_between(shape, 2.377, 121.024, index, fetched))
    groups = [aligned[begin : begin + _ACCESSIONS_A_MERGE] for begin in range(0, accessions, _ACCESSIONS_A_MERGE)]
    merged = [_between(shape, 0.039, 0.305, *group) for group in groups]
    if len(merged) > 1:
        _between(shape, 0.039, 0.305, *merged)


def seismology(shape: Shape, pairs: int = 40) -> None:
    """Seismic cross correlation: one task for each pair of signals, and one that sifts what they found.

    Filgueira et al. 2016, https://doi.org/10.1109/DataCloud.2016.004.
    """
    _between(shape, 0.089, 1.351, *[_between(shape, 0.087, 5.615) for _ in range(pairs)])


WORKFLOWS: dict[str, Callable[[Shape], None]] = {
    "fork-join": partial(fork_join, stages=4, width=(4, 12)),
    "Montage": partial(montage, images=12, overlaps=30),
    "Epigenomics": partial(epigenomics, lanes=2, chunks=(4, 6)),
    "1000Genome": thousand_genome,
    "SRA search": sra_search,
    "Seismology": seismology,
}


def workflow(name: str, seed: int = 1) -> Graph:
    """One of the workflows: always the same for a seed; its tasks sleep 0.2 to 3 seconds, the longest one 3."""
    shape = Shape(random.Random(f"{name}-{seed}"))  # noqa: S311 - a workload is no secret
    WORKFLOWS[name](shape)
    longest = max(shape.durations)
    seconds = tuple(round(max(SHORTEST_S, LONGEST_S * duration / longest), 3) for duration in shape.durations)
    return Graph(name, tuple(tuple(needs) for needs in shape.needs), seconds=seconds)


def _between(shape: Shape, shortest_s: float, longest_s: float, *needs: int) -> int:
    return shape.add(shape.choose.uniform(shortest_s, longest_s), *needs, spread=0)
