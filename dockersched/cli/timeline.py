"""`dockersched timeline RUN`: what ran when, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_run, open_reader, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "draw what ran when in a run, with its critical path"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument("--format", choices=("svg", "html"), default="svg", help="what to print (default: svg)")
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the picture; returns 0."""
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.inspection.runs import find_run  # noqa: PLC0415
    from dockersched.inspection.spans import read_spans  # noqa: PLC0415
    from dockersched.report.timeline import timeline_html, timeline_svg  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    draw = timeline_html if args.format == "html" else timeline_svg
    spans = read_spans(reader, run, datetime.now(UTC))
    print_lines(draw(f"{run.epic_id or 'epic'}, run {run.run_id}", spans).splitlines())
    return 0
