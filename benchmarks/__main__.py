"""`python -m benchmarks [BENCH …]`: measures, with a line for each target."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from benchmarks import against_peers, events, files, floor, many, order, report, scale
from benchmarks.engine_client import EngineAnswerError
from benchmarks.program import CommandFailedError

# Those that give something give whether the machine was quiet enough to tell their figures.
_BENCHES: dict[str, Callable[[argparse.Namespace], bool | None]] = {
    "floor": lambda args: floor.run(args.rounds),
    "shapes": lambda args: floor.run_workflows(args.rounds),
    "peers": lambda args: against_peers.run(args.rounds),
    "scale": lambda _: scale.run(),
    "many": lambda args: many.run(args.sandboxes, args.sleep),
    "order": lambda _: order.run(),
    "events": lambda args: events.run(args.tasks),
    "files": lambda args: files.run(args.rounds),
}

_FEWEST_ROUNDS = 2


def main() -> int:
    """Runs the benches; returns 0 when all were measured and told, whatever the figures, else 1."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Measures dockersched.")
    parser.add_argument("benches", nargs="*", metavar="BENCH", help=f"{', '.join(_BENCHES)} (default: all)")
    parser.add_argument(
        "--rounds", type=int, default=5, help="of the floor, shapes, peers and files benches (5, at least 2)"
    )
    parser.add_argument("--sandboxes", type=int, default=100, help="of the many bench (100)")
    parser.add_argument("--sleep", type=int, default=60, metavar="SECONDS", help="of each of them (60)")
    parser.add_argument("--tasks", type=int, default=200, help="of the events bench (200)")
    args = parser.parse_args()
    if unknown := set(args.benches) - set(_BENCHES):
        parser.error(f"there is no bench {', '.join(sorted(unknown))}")
    if args.rounds < _FEWEST_ROUNDS:
        parser.error(f"--rounds must be at least {_FEWEST_ROUNDS}: one round tells nothing of the noise")
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    try:
        print(report.conditions())
        told = [bench(args) for name, bench in _BENCHES.items() if name in (args.benches or _BENCHES)]
    except (CommandFailedError, EngineAnswerError, OSError) as error:
        print(f"not measured: {error}", file=sys.stderr)
        return 1
    return 1 if False in told else 0


if __name__ == "__main__":
    sys.exit(main())
