"""`dockersched timeline RUN`: what ran when, as a picture, and where the time went, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_run, open_reader, print_json, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "draw what ran when in a run, with its critical path; or tell where the time of each attempt went"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument(
        "--format",
        choices=("svg", "html", "text", "json"),
        default="svg",
        help="what to print: pictures, or milliseconds of each attempt (default: svg)",
    )
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints it; returns 0."""
    from datetime import UTC, datetime  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    from dockersched.inspection.runs import find_run  # noqa: PLC0415
    from dockersched.inspection.spans import read_spans  # noqa: PLC0415
    from dockersched.inspection.spans_text import timeline_document, timeline_lines  # noqa: PLC0415
    from dockersched.report.timeline import timeline_html, timeline_svg  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.run)
    spans = read_spans(reader, run, datetime.now(UTC))
    if args.format == "json":
        print_json(timeline_document(run, spans))
    elif args.format == "text":
        print_lines(timeline_lines(spans))
    else:
        draw = timeline_html if args.format == "html" else timeline_svg
        print_lines(draw(f"{run.epic_id or 'epic'}, run {run.run_id}", spans).splitlines())
    return 0
