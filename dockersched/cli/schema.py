"""`dockersched schema [epic|result|events]`: the JSON Schemas of what goes in and what comes out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "print the JSON Schema of epic files, of result.json, or of events"


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "document", nargs="?", choices=("epic", "result", "events"), default="epic", help="whose schema (default: epic)"
    )


def execute(args: argparse.Namespace) -> int:
    """Prints the schema; returns the exit code."""
    schema: dict[str, object]
    if args.document == "result":
        from dockersched.report.document import result_schema  # noqa: PLC0415 - keeps `--help` fast

        schema = result_schema()
    elif args.document == "events":
        from dockersched.report.event_document import event_schema  # noqa: PLC0415 - keeps `--help` fast

        schema = event_schema()
    else:
        from dockersched.epicfile import epic_schema  # noqa: PLC0415 - keeps `--help` fast

        schema = epic_schema()
    print(json.dumps(schema, indent=2, ensure_ascii=False))
    return 0
