"""`dockersched images`: build the sandbox images, only what has changed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import argparse

HELP = "build the sandbox images (only what has changed)"
CALL_TIMEOUT_S = 60.0
EXIT_FAILED = 1
EXIT_ENGINE_UNAVAILABLE = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's arguments."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="image to build, as base or python; all if none")


def execute(args: argparse.Namespace) -> int:
    """Build the images and print one line for each; returns the exit code."""
    from dockersched.errors import EngineUnavailableError, ImageBuildError  # noqa: PLC0415 (fast --help)
    from dockersched.sandbox.docker import image_build, image_sources  # noqa: PLC0415
    from dockersched.sandbox.docker.connection import make_client, resolve_endpoint  # noqa: PLC0415
    from dockersched.sandbox.docker.dial import fetch_version  # noqa: PLC0415

    try:
        endpoint = resolve_endpoint()
        version = fetch_version(endpoint, CALL_TIMEOUT_S)
        client = make_client(endpoint, version=version.api, timeout=CALL_TIMEOUT_S)
        try:
            names = [image_sources.bare_name(name) for name in args.names]
            for name in names or image_sources.known_images():
                print(f"dockersched/{name}  {image_build.ensure(client, name, _progress)}", flush=True)
        finally:
            client.close()
    except EngineUnavailableError as error:
        _progress(str(error))
        return EXIT_ENGINE_UNAVAILABLE
    except ImageBuildError as error:
        _progress(str(error))
        return EXIT_FAILED
    return 0


def _progress(line: str) -> None:
    print(f"dockersched: {line}", file=sys.stderr, flush=True)
