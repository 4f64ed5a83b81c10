"""`dockersched schema [DOCUMENT]`: the JSON Schemas of what goes in and what comes out."""

from __future__ import annotations

import json
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "print the JSON Schema of epic files, of result.json, of events, or of what a verb prints"
SCHEMAS = {
    "epic": ("dockersched.epicfile", "epic_schema"),
    "result": ("dockersched.report.document", "result_schema"),
    "events": ("dockersched.report.event_document", "event_schema"),
    "plan": ("dockersched.inspection.outlook_text", "plan_schema"),
    "ps": ("dockersched.inspection.documents", "runs_schema"),
    "status": ("dockersched.inspection.documents", "status_schema"),
    "explain": ("dockersched.inspection.explain_document", "explain_schema"),
    "timeline": ("dockersched.inspection.spans_text", "timeline_schema"),
    "wait": ("dockersched.inspection.documents", "run_schema"),
}


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument(
        "document", nargs="?", choices=tuple(SCHEMAS), default="epic", help="whose schema (default: epic)"
    )


def execute(args: argparse.Namespace) -> int:
    """Prints the schema; returns the exit code."""
    module, function = SCHEMAS[args.document]
    schema = getattr(import_module(module), function)()  # only what is asked for is imported
    print(json.dumps(schema, indent=2))  # in ASCII, which every stdout can encode
    return 0
