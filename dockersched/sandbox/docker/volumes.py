"""Volumes of tmpfs that belong to one sandbox: filled before its start, bounded in size, never on a disk.

The content of such a volume lives only while a container that has it mounted runs. So an idle container, the holder,
runs from before the volume is filled until the sandbox itself, or whoever wants to read the volume, needs it no more.
Files go in through the holder by the archive API: the engine need not see our disk, nor the sandbox's image have a
shell. A volume's name begins with that of the sandbox's container; a holder has the name and the labels of the first
of its volumes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from msgspec import Struct

from dockersched.errors import EngineRefusedError, PermanentRunnerError, TransientRunnerError
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.outcome import was_started
from dockersched.sandbox.docker.translate import LABEL_PREFIX

LABEL_VOLUME = f"{LABEL_PREFIX}.volume"
"""On a volume and its holder: their name, so that no other thing with a sandbox's labels is taken for one."""

_HOLDER_MEMORY_BYTES = 16 * 2**20
_HOLDER_PIDS = 4
_FOREVER_S = str(2**31 - 1)


class VolumeLostError(TransientRunnerError):
    """The content of a volume is gone, since the engine or somebody else ended what held it."""


class TmpfsVolume(Struct, frozen=True):
    """A volume of the engine's `local` driver whose content is in memory, and how it is mounted.

    Args:
        name: of the volume.
        target: where the sandbox sees it.
        size_bytes: how much it can hold.
        max_inodes: how many files and folders.
        owner: uid and gid of its top folder.
        mode: of its top folder.
        flags: more mount options.
    """

    name: str
    target: str
    size_bytes: int
    max_inodes: int
    owner: tuple[int, int] = (0, 0)
    mode: int = 0o755
    flags: str = "nosuid,nodev"

    def mount(self, *, read_only: bool = False) -> dict[str, Any]:
        """The volume as an entry of a create body's `Mounts`; nothing of the image is copied into it."""
        where = {"Type": "volume", "Source": self.name, "Target": self.target}
        return {**where, "ReadOnly": read_only, "VolumeOptions": {"NoCopy": True}}

    @property
    def driver_options(self) -> dict[str, str]:
        """What the `local` driver needs to know."""
        uid, gid = self.owner
        limits = f"size={self.size_bytes},nr_inodes={self.max_inodes}"
        return {
            "type": "tmpfs",
            "device": "tmpfs",
            "o": f"{limits},mode={self.mode:04o},uid={uid},gid={gid},{self.flags}",
        }


class HeldVolumes(Struct, frozen=True):
    """The volumes of one attempt that live equally long, and the container that keeps their content.

    Every call may be repeated: what an earlier one did, whoever made it, is taken over.

    Args:
        volumes: their names must be derived from the name of the sandbox's container.
        labels: the identity of the attempt.
        holder_image: id of the image that the holder runs in; it must have `sleep`.
    """

    volumes: Sequence[TmpfsVolume]
    labels: Mapping[str, str]
    holder_image: str

    @property
    def holder(self) -> str:
        """Name of the container that keeps the content; paths in it are those in the sandbox."""
        return self.volumes[0].name

    def open(self, calls: EngineCalls) -> None:
        """Creates the volumes and starts their holder, unless that was done before; what they hold is kept.

        A holder that has ended is made anew, and its volumes are empty then.

        Raises:
            RunnerError: the engine does not give them.
        """
        try:
            for volume in self.volumes:
                calls.create_volume(volume.name, volume.driver_options, volume_labels(volume.name, self.labels))
            try:
                self._start_holder(calls)
            except EngineRefusedError:
                # A process that died while it started the holder took the start down with it, a moment ago.
                calls.remove_ours(self.holder, self._labels)
                self._start_holder(calls)
        except EngineRefusedError as refused:
            raise PermanentRunnerError(f"the engine gives no volume: {refused.explanation}") from refused

    def put(self, calls: EngineCalls, target: str, open_archive: Callable[[], Iterable[bytes]]) -> None:
        """Unpacks a tar stream into a folder of a volume.

        Raises:
            VolumeLostError: the volume is no longer held.
            RunnerError: the archive did not get in whole, because there is no room for it, say.
        """
        self.check_held(calls)
        calls.put_archive(self.holder, target, open_archive)

    def check_held(self, calls: EngineCalls) -> str:
        """Makes sure that the volumes have kept what was in them: mounted anew, they would be empty.

        Returns:
            what only this start of the holder has: as long as it stays the same, nothing was lost.

        Raises:
            VolumeLostError: they have not.
        """
        holder = calls.find_ours(self.holder, self._labels)
        if holder is None or not holder["State"]["Running"]:
            targets = " and ".join(volume.target for volume in self.volumes)
            raise VolumeLostError(f"the content of {targets} was lost: what held it was ended from outside")
        return f"{holder['Id']} {holder['State']['StartedAt']}"

    @contextmanager
    def reading(self, calls: EngineCalls) -> Iterator[None]:
        """Around reading: what is found, or not found, counts only if the content was there all the time.

        The engine gives a container that does not run its volumes too, mounted anew, and empty.

        Raises:
            VolumeLostError: it was not.
        """
        held = self.check_held(calls)
        try:
            yield
        finally:
            if self.check_held(calls) != held:
                raise VolumeLostError(f"what holds {self.volumes[0].target} was started anew while it was read")

    def release(self, calls: EngineCalls) -> None:
        """Removes the holder: from now on the sandbox alone keeps the content, until it ends."""
        calls.remove_ours(self.holder, self._labels)

    def remove(self, calls: EngineCalls) -> None:
        """Removes the holder and the volumes, after the sandbox's container; they may be gone already."""
        for volume in self.volumes:
            remove_held(calls, volume.name, self.labels)

    def _start_holder(self, calls: EngineCalls) -> None:
        found = calls.find_ours(self.holder, self._labels)
        if found is not None and was_started(found["State"]) and not found["State"]["Running"]:
            calls.remove(str(found["Id"]))
        holder = calls.create_or_find(self.holder, self._holder_body())
        if not was_started(calls.inspect(holder)["State"]):
            calls.start(holder)

    @property
    def _labels(self) -> dict[str, str]:
        return volume_labels(self.holder, self.labels)

    def _holder_body(self) -> dict[str, Any]:
        return {
            "Image": self.holder_image,
            "Entrypoint": ["sleep"],
            "Cmd": [_FOREVER_S],
            "User": "65534:65534",
            "Labels": self._labels,
            "HostConfig": {
                "Memory": _HOLDER_MEMORY_BYTES,
                "MemorySwap": _HOLDER_MEMORY_BYTES,
                "PidsLimit": _HOLDER_PIDS,
                "NetworkMode": "none",
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "ReadonlyRootfs": True,
                "LogConfig": {"Type": "none"},
                "RestartPolicy": {"Name": "no"},
                "Mounts": [volume.mount() for volume in self.volumes],
            },
        }


def volume_labels(volume: str, labels: Mapping[str, str]) -> dict[str, str]:
    """The labels of a volume and its holder."""
    return {**labels, LABEL_VOLUME: volume}


def remove_held(calls: EngineCalls, volume: str, labels: Mapping[str, str]) -> None:
    """Removes a volume and its holder, if they have all these labels; another's is not touched."""
    ours = volume_labels(volume, labels)
    calls.remove_ours(volume, ours)
    theirs = calls.list_volumes(f"{LABEL_VOLUME}={volume}").get(volume, {})
    if theirs.items() >= ours.items():
        calls.remove_volume(volume)
