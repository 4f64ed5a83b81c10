"""The secrets of a sandbox as files below /run/secrets: in a volume that is only in memory, for its user alone.

They cannot be put into the sandbox itself: before its start its tmpfs is not there yet, and after it it is too late.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dockersched.errors import EngineRefusedError
from dockersched.model import SECRETS_DIR
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.volumes import HeldVolume, TmpfsVolume, remove_held

HOLDER_IMAGE = "dockersched/base"

_ENDING = "-secrets"
_PAGE_BYTES = 4096
_PASSWD = "/etc/passwd"  # noqa: S105 - a path in the sandbox
_MAX_PASSWD_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """The secrets of one attempt.

    Args:
        container: name of the sandbox's container.
        labels: the identity of the attempt.
        user: whom the files belong to, as in `SandboxRunOptions`.
        holder_image: id of the image for what holds the volume.
        values: by name.
    """

    container: str
    labels: Mapping[str, str]
    user: str
    holder_image: str
    values: Mapping[str, bytes] = field(repr=False)

    @property
    def mount(self) -> dict[str, Any]:
        """The files as an entry of the sandbox's `Mounts`."""
        return self._held.volume.mount(read_only=True)

    def open(self, calls: EngineCalls) -> None:
        """Makes the volume, before the sandbox's container is created.

        Raises:
            RunnerError: the engine does not give it.
        """
        self._held.open(calls)

    def fill(self, calls: EngineCalls) -> None:
        """Puts the files into the volume, once the container is created; again if that was done before.

        Raises:
            LookupError: the image does not tell the user's uid.
            RunnerError: the files did not get in.
        """
        packed = _archive(self.values, _uid(calls, self.container, self.user))
        self._held.put(calls, lambda: [packed])

    def check(self, calls: EngineCalls) -> None:
        """Makes sure, right after the start, that the sandbox got the volume with the files in it.

        Raises:
            VolumeLostError: they were lost before the start.
        """
        self._held.check_held(calls)

    def release(self, calls: EngineCalls) -> None:
        """From now on the files live as long as the sandbox."""
        self._held.release(calls)

    @property
    def _held(self) -> HeldVolume:
        pages = sum(-(-len(value) // _PAGE_BYTES) for value in self.values.values())
        # Put in a second time, a file is written before the first one goes.
        volume = TmpfsVolume(
            name=f"{self.container}{_ENDING}",
            target=SECRETS_DIR,
            size_bytes=max(1, 2 * pages) * _PAGE_BYTES,
            max_inodes=2 * len(self.values) + 2,
            flags="nosuid,nodev,noexec",
        )
        return HeldVolume(volume, self.labels, self.holder_image)


def remove_secrets(calls: EngineCalls, container: str, labels: Mapping[str, str]) -> None:
    """Removes what keeps the secrets of an attempt, after its container."""
    remove_held(calls, f"{container}{_ENDING}", labels)


def _archive(values: Mapping[str, bytes], uid: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, value in values.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(value), 0o400, uid
            tar.addfile(member, io.BytesIO(value))
    return packed.getvalue()


def _uid(calls: EngineCalls, container: str, user: str) -> int:
    name = user.partition(":")[0]
    if name.isdecimal():
        return int(name)
    for line in _passwd(calls, container).splitlines():
        fields = line.split(":")
        if fields[0] == name and len(fields) > 2 and fields[2].isdecimal():
            return int(fields[2])
    raise LookupError(f"unable to find user {name} in the image's {_PASSWD}: secrets need it; write user as uid:gid")


def _passwd(calls: EngineCalls, container: str) -> str:
    """The image's list of users, as far as it can be read without following links."""
    packed = bytearray()
    try:
        for chunk in calls.read_archive(container, _PASSWD):
            packed += chunk
            if len(packed) > _MAX_PASSWD_BYTES:
                return ""
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member and member.isreg() else None
            return content.read().decode("utf-8", "replace") if content else ""
    except (EngineRefusedError, tarfile.TarError):
        return ""
