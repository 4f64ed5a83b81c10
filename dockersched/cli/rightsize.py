"""`dockersched rightsize RUN`: propose quotas from what the tasks of a run used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dockersched.cli.looking import add_run, open_reader, print_lines, recorded_run
from dockersched.cli.running import add_state_dir

if TYPE_CHECKING:
    import argparse

HELP = "propose quotas from what the tasks of a run used"
DEFAULT_HEADROOM = 25
_MOST_HEADROOM = 1_000


def configure(parser: argparse.ArgumentParser) -> None:
    """Declares the verb's arguments."""
    add_run(parser)
    parser.add_argument(
        "--headroom",
        metavar="PERCENT",
        default=str(DEFAULT_HEADROOM),
        help=f"what to add to the most that was seen (default: {DEFAULT_HEADROOM})",
    )
    add_state_dir(parser)


def execute(args: argparse.Namespace) -> int:
    """Prints a YAML patch for the epic file; returns 0, whether or not there is anything to propose."""
    from dockersched.inspection.rightsize import patch_lines  # noqa: PLC0415 - keeps `--help` fast, as do all here
    from dockersched.results import SandboxResult  # noqa: PLC0415
    from dockersched.store.codec import epic_of, load_result  # noqa: PLC0415

    headroom = _percent(args.headroom)
    reader = open_reader(args)
    run_id = recorded_run(reader, args.run)
    epic = epic_of(reader.epic(run_id) or {})
    ended: dict[str, list[SandboxResult]] = {}
    for task_id, text in reader.results(run_id):
        ended.setdefault(task_id, []).append(load_result(text))
    print_lines(patch_lines(epic, run_id, ended, headroom=headroom / 100))
    return 0


def _percent(text: str) -> int:
    from dockersched.errors import EpicError, Problem  # noqa: PLC0415

    number = text.removesuffix("%").strip()
    if not number.isdecimal() or len(number) > len(str(_MOST_HEADROOM)) or int(number) > _MOST_HEADROOM:
        raise EpicError(
            [Problem(f"dockersched: --headroom {text}: must be a whole number of percent, at most {_MOST_HEADROOM}")]
        )
    return int(number)
