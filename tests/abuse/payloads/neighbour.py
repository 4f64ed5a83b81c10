"""An honest task: the same piece of work in rounds, each timed, until it is told (SIGUSR1) to end after one more."""

import json
import signal
import subprocess
import time
from hashlib import sha256
from pathlib import Path

ROUNDS_BEFORE = 4
"""Rounds before it says that it is ready: what it takes when nobody does any harm."""

told = False


def finish(*_: object) -> None:
    global told  # noqa: PLW0603 - a signal handler has no other way to tell
    told = True


def work() -> None:
    """A process, a file and some computing."""
    subprocess.run(["true"], check=True)
    path = Path("/tmp/neighbour")
    path.write_bytes(bytes(2**18))
    data = path.read_bytes()
    for _ in range(40):
        data = sha256(data).digest() * 2**11
    path.unlink()


def main() -> None:
    signal.signal(signal.SIGUSR1, finish)
    rounds = []
    last = False
    while not last:
        last = told
        started = time.time()
        work()
        rounds.append((started, time.time()))
        if len(rounds) == ROUNDS_BEFORE:
            print("ready", flush=True)
        time.sleep(0.05)
    print(json.dumps(rounds), flush=True)


if __name__ == "__main__":
    main()
