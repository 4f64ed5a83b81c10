"""`python -m benchmarks [floor] [scale] [many] [events] [files] [order]`: measures, with a line for each target."""

from __future__ import annotations

import argparse
import sys

from benchmarks import events, files, floor, many, order, report, scale
from benchmarks.command import CommandFailedError
from benchmarks.engine_client import EngineAnswerError

_BENCHES = ("floor", "scale", "many", "events", "files", "order")


def main() -> int:
    """Runs the benches; returns 0 when all were measured, whatever the figures, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures dockersched.")
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"{', '.join(_BENCHES)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5, help="of the floor and files benches (5)")
    parser.add_argument("--sandboxes", type=int, default=100, help="of the many bench (100)")
    parser.add_argument("--sleep", type=int, default=60, metavar="SECONDS", help="of each of them (60)")
    parser.add_argument("--tasks", type=int, default=200, help="of the events bench (200)")
    args = parser.parse_args()
    if unknown := set(args.benches) - set(_BENCHES):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    wanted = args.benches or _BENCHES
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        print(report.conditions())
        if "floor" in wanted:
            floor.run(args.rounds)
        if "scale" in wanted:
            scale.run()
        if "many" in wanted:
            many.run(args.sandboxes, args.sleep)
        if "order" in wanted:
            order.run()
        if "events" in wanted:
            events.run(args.tasks)
        if "files" in wanted:
            files.run(args.rounds)
    except (CommandFailedError, EngineAnswerError, OSError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    return 0


sys.exit(main())
