"""The abuse suite once more, under gVisor: `python -m tools.test_gvisor [PYTEST ARGS…]`. `make test-gvisor` runs it.

gVisor's `runsc` is Debian's where it is not installed. It is made known to an engine that is this run's own, so that
the machine's engine keeps its configuration; the attacks then ask for it by the key `runtime`, as an epic would.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.private_engine import PrivateEngine, why_no_private_engine

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "test-results"
IMAGES = ("dockersched/base:latest", "dockersched/python:latest")
RUNTIME = "runsc"

# Sandboxes have no network, and gVisor's own cannot be made in the network of a container without one.
_PROGRAM = '#!/bin/sh\nexec {} --network=none "$@"\n'


def ensure_installed() -> str:
    """The path of `runsc`, installed now where it is missing.

    Raises:
        SystemExit: it is missing and cannot be installed.
    """
    found = shutil.which(RUNTIME)
    if found:
        return found
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise SystemExit("test-gvisor needs runsc: install Debian's package `runsc`, or see https://gvisor.dev/docs")
    print("installing runsc", file=sys.stderr)
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    install = ["apt-get", "install", "-qy", "--no-install-recommends", RUNTIME]
    for command in (["apt-get", "update", "-q"], install):
        done = subprocess.run(command, env=environ, stdout=sys.stderr, check=False)
        if done.returncode != 0:
            raise SystemExit(f"test-gvisor cannot install runsc: `{' '.join(command)}` ended with {done.returncode}")
    return str(shutil.which(RUNTIME))


def main(arguments: Sequence[str]) -> int:
    """Run the abuse suite under gVisor; returns pytest's exit code."""
    if reason := why_no_private_engine():
        raise SystemExit(reason)
    program = ensure_installed()
    RESULTS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="dockersched-gvisor-") as folder:
        wrapper = Path(folder) / RUNTIME
        wrapper.write_text(_PROGRAM.format(program), "utf-8")
        wrapper.chmod(0o755)
        with PrivateEngine(flags=[f"--add-runtime={RUNTIME}={wrapper}"]) as engine:
            for image in IMAGES:
                engine.load_image(image)
            report = f"--junitxml={RESULTS / 'gvisor.xml'}"
            command = [sys.executable, "-m", "pytest", "-q", report, "tests/abuse", *arguments]
            environ = {**engine.environ(), "DOCKERSCHED_ABUSE_RUNTIME": RUNTIME}
            inside = engine.room.on_network(command)
            return subprocess.run(inside, cwd=ROOT, env=environ, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
