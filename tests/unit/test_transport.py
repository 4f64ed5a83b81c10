"""What an engine says when its disk is full, and what only reads like it."""

import pytest

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.transport import tells_no_space

LAYER = "/var/lib/docker/overlay2/b65a07e3"
RUNC = "failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: "
DIRECTORY_ONTO_FILE = (
    "Are you trying to mount a directory onto a file (or vice-versa)? "
    "Check if the specified host path exists and is the expected type"
)


@pytest.mark.parametrize(
    "words",
    [
        "no space left on device",
        "write /var/lib/docker/containers/x/.tmp-config.v2.json: no space left on device",
        f"failed to create rwlayer: mkdir {LAYER}-init: no space left on device\n",
        "Error processing tar file(exit status 1): write /usr/lib/x: no space left on device",
        f"{RUNC}error during container init: write /run/x: no space left on device: unknown",
    ],
)
def test_a_full_disk_is_told_at_the_end(words: str) -> None:
    assert tells_no_space(EngineRefusedError(500, words))


@pytest.mark.parametrize(
    "words",
    [
        f"{RUNC}error during container init: "
        'error mounting "tmpfs" to rootfs at "/etc/x: no space left on device": mount '
        "tmpfs:/etc/x: no space left on device (via /proc/self/fd/6), flags: 0x6, data: mode=1777,size=268435456: "
        f"not a directory: unknown: {DIRECTORY_ONTO_FILE}",
        f"{RUNC}error during container init: "
        'error mounting "tmpfs" to rootfs at "/etc/passwd/no space left on device": '
        f"mkdir {LAYER}/merged/etc/passwd: not a directory: unknown: {DIRECTORY_ONTO_FILE}",
        f"cannot mount volume over existing file, file exists {LAYER}/merged/etc/x: no space left on device",
        'invalid mount config: "/etc/x: no space left on device"',
        'exec: "no space left on device": executable file not found in $PATH: unknown',
    ],
)
def test_a_name_is_no_full_disk(words: str) -> None:
    assert not tells_no_space(EngineRefusedError(500, words))
