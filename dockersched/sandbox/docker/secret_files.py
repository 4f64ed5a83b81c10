"""The secrets of a sandbox as files below /run/secrets: in a volume that is only in memory, for its user alone.

They cannot be put into the sandbox itself: before its start its tmpfs is not there yet, and after it it is too late.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dockersched.model import SECRETS_DIR
from dockersched.sandbox.docker import attached
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.users import find_owner
from dockersched.sandbox.docker.volumes import HeldVolumes, TmpfsVolume

_PAGE_BYTES = 4096


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
        return self._held.volumes[0].mount(read_only=True)

    def open(self, calls: EngineCalls) -> None:
        """Makes the volume, before the sandbox's container is created.

        Raises:
            RunnerError: the engine does not give it.
        """
        self._held.open(calls)

    def fill(self, calls: EngineCalls) -> None:
        """Puts the files into the volume, once the container is created; again if that was done before.

        Raises:
            UnknownUserError: the image does not tell the user's uid.
            RunnerError: the files did not get in.
        """
        uid, _ = find_owner(calls, self.container, self.user)
        packed = _archive(self.values, uid)
        self._held.put(calls, SECRETS_DIR, lambda: [packed])

    def check(self, calls: EngineCalls) -> None:
        """Makes sure, right after the start, that the sandbox got the volume with the files in it.

        Raises:
            VolumeLostError: they were lost before the start.
        """
        self._held.check_held(calls)

    def started(self, calls: EngineCalls) -> None:
        """From now on the files live as long as the sandbox."""
        self._held.release(calls)

    @property
    def _held(self) -> HeldVolumes:
        pages = sum(-(-len(value) // _PAGE_BYTES) for value in self.values.values())
        # Put in a second time, a file is written before the first one goes.
        volume = TmpfsVolume(
            name=f"{self.container}{attached.SECRETS}",
            target=SECRETS_DIR,
            size_bytes=max(1, 2 * pages) * _PAGE_BYTES,
            max_inodes=2 * len(self.values) + 2,
            flags="nosuid,nodev,noexec",
        )
        return HeldVolumes([volume], self.labels, self.holder_image)


def _archive(values: Mapping[str, bytes], uid: int) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, value in values.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.uid = len(value), 0o400, uid
            tar.addfile(member, io.BytesIO(value))
    return packed.getvalue()
