"""`dockersched graph EPIC|RUN`: the graph of an epic, or that of a run with the states of its tasks."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from dockersched.cli.looking import open_reader, print_lines
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

    from dockersched.report.graph import Graph

HELP = "draw the graph of an epic, or of a run with the states of its tasks"
FORMATS = ("mermaid", "dot", "svg")


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    parser.add_argument("epic", metavar="EPIC|RUN", help="epic file, - for standard input, or a run")
    parser.add_argument("--format", choices=FORMATS, default="mermaid", help="what to print (default: mermaid)")
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints the graph; returns 0."""
    from dockersched.report import graph  # noqa: PLC0415 - keeps `--help` fast, as do all imports here

    source: str = args.epic
    looks_like_one = source == "-" or Path(source).suffix in {".yaml", ".yml", ".json"}
    is_file = looks_like_one or os.path.isfile(source)  # noqa: PTH113 - takes any text, and so what can be no path
    drawn = _of_epic(source) if is_file else _of_run(args)
    draw = {"mermaid": graph.mermaid, "dot": graph.dot, "svg": graph.svg}[args.format]
    print_lines(draw(drawn).splitlines())
    return 0


def _of_epic(source: str) -> Graph:
    from dockersched.epicfile import load  # noqa: PLC0415
    from dockersched.report.graph import Graph  # noqa: PLC0415

    epic = load(source)
    return Graph(epic.options.epic_id, {task.id: task.depends_on for task in epic.dag})


def _of_run(args: argparse.Namespace) -> Graph:
    from dockersched.inspection.runs import find_run  # noqa: PLC0415
    from dockersched.inspection.tasks import read_tasks  # noqa: PLC0415
    from dockersched.report.graph import Graph  # noqa: PLC0415

    reader = open_reader(args)
    run = find_run(reader, args.epic)
    tasks = read_tasks(reader, run.run_id, has_ended=run.has_ended)
    title = f"{run.epic_id or 'epic'}, run {run.run_id}"
    return Graph(title, reader.dependencies(run.run_id), {task.task_id: task.state for task in tasks.values()})
