"""The files of a sandbox: what it begins with at /workspace, what is copied out of there, and the values it writes.

They go in before the start and come out after the end by the archive API, through what holds the volumes: the engine
need not see our disk, no path of the host is shared, and what comes out is not changed any more while it is read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct

from dockersched.data.extract import ExtractLimits, extract_archive, read_file
from dockersched.data.run_files import RunFiles
from dockersched.data.store import TreeDigest
from dockersched.data.tarformat import DIRECTORY, END, FILE, header
from dockersched.data.values import MAX_VALUES_BYTES, parse_values
from dockersched.errors import ArchiveCutError, ArchiveRefusedError, ValuesError
from dockersched.model import WORKSPACE_DIR, Output
from dockersched.model.files import VALUES_DIR, VALUES_FILE, VALUES_VARIABLE
from dockersched.results import OutputSummary
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import attached, translate
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.places import workspace_bytes
from dockersched.sandbox.docker.users import find_owner
from dockersched.sandbox.docker.volumes import HeldVolumes, TmpfsVolume, VolumeLostError
from dockersched.sandbox.handover import input_trees
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.states import Reason

T = TypeVar("T")

_MAX_INODES = 2**18
_VALUES_BYTES = 2 * MAX_VALUES_BYTES
_TRIES = 3


class Taken(Struct, frozen=True):
    """What came out of a sandbox.

    Args:
        outputs: by name.
        values: by key.
        reason: why something did not come out that had to; None when all did.
        detail: one line for people.
    """

    outputs: Mapping[str, OutputSummary] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    reason: Reason | None = None
    detail: str = ""


class _NotTakenError(Exception):
    """Something did not come out, for a reason that the attempt ends with."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class SandboxFiles:
    """The files of one attempt.

    Args:
        options: of the sandbox, with the defaults filled in and every workspace packed.
        holder_image: id of the image for what holds the volumes.
        files: of the run.
        patterns: secrets, which are taken out of what the sandbox writes as values.
    """

    options: SandboxRunOptions
    holder_image: str
    files: RunFiles
    patterns: SecretPatterns = field(repr=False)

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """The volumes as entries of the sandbox's `Mounts`."""
        return [volume.mount() for volume in self._held.volumes]

    def open(self, calls: EngineCalls) -> None:
        """Makes the volumes, before the sandbox's container is created."""
        self._held.open(calls)

    def fill(self, calls: EngineCalls) -> None:
        """Puts workspace and inputs in, owned by the sandbox's user; again if that was done before.

        Raises:
            LookupError: the image does not tell the user's uid.
            StateError: what is to go in is gone from the store, or damaged.
            RunnerError: it did not get in.
        """
        uid, gid = find_owner(calls, translate.container_name(self.options), str(self.options.user))
        if folders := _working_folders(self.options, uid, gid):  # before the workspace, which may know their modes
            self._held.put(calls, WORKSPACE_DIR, lambda: [folders])
        workspace = self.options.workspace
        if workspace is not None and (digest := workspace.digest) is not None:
            self._held.put(calls, WORKSPACE_DIR, lambda: self.files.stream_workspace(digest, uid=uid, gid=gid))
        for tree in input_trees(self.options):
            prefix = tree.at.removeprefix(WORKSPACE_DIR)

            def archive(digest: TreeDigest = tree.digest, prefix: str = prefix) -> Iterator[bytes]:
                return self.files.store.open_tar(digest, prefix=prefix, uid=uid, gid=gid)

            self._held.put(calls, WORKSPACE_DIR, archive)
        if self.options.values is not None:
            # The folder stays root's, so that the file cannot be replaced by a link.
            empty = header(VALUES_FILE.encode(), FILE, mode=0o600, uid=uid, gid=gid) + END
            self._held.put(calls, VALUES_DIR, lambda: [empty])

    def check(self, calls: EngineCalls) -> None:
        """Makes sure, right after the start, that the sandbox got the volumes with the files in them."""
        self._held.check_held(calls)

    def started(self, calls: EngineCalls) -> None:
        """Nothing may go yet: what the sandbox leaves is read after its end."""

    def take(self, calls: EngineCalls, *, succeeded: bool) -> Taken:
        """Copies out what the sandbox left, once it has ended; again if that was done before.

        Args:
            calls: to the engine.
            succeeded: whether the task did; after a failure, only outputs `when: always` are taken.

        Raises:
            RunnerError: the engine cannot be reached.
            StateError: our own disk cannot be written to.
        """
        outputs: dict[str, OutputSummary] = {}
        values: dict[str, str] = {}
        problem: _NotTakenError | None = None
        for name, output in self.options.outputs.items():
            if succeeded or output.when == "always":
                try:
                    taken = _surely(f"output {name!r}", partial(self._take_output, calls, name, output))
                    outputs |= {} if taken is None else {name: taken}
                except _NotTakenError as not_taken:
                    problem = problem or not_taken
            if name not in outputs:
                self.files.drop_output(self.options.task_id, name)
        if succeeded and self.options.values is not None:
            try:
                values = _surely(f"${VALUES_VARIABLE}", partial(self._take_values, calls))
            except _NotTakenError as not_taken:
                problem = problem or not_taken
        return Taken(outputs, values) if problem is None else Taken(outputs, values, problem.reason, problem.detail)

    def _take_output(self, calls: EngineCalls, name: str, output: Output) -> OutputSummary | None:
        target = self.files.output_dir(self.options.task_id, name)
        with self._held.reading(calls):
            if not self._has(calls, output.path):
                if output.required:
                    missing = f"output {name!r}: {output.path} is not in {WORKSPACE_DIR}"
                    raise _NotTakenError(Reason.OUTPUT_MISSING, missing)
                return None
            with calls.archive(self._held.holder, posixpath.join(WORKSPACE_DIR, output.path)) as chunks:
                limits = ExtractLimits(output.max_bytes, output.max_entries, output.max_depth)
                root = posixpath.basename(output.path)
                extracted = extract_archive(chunks, target, root=root, limits=limits, clear=self.patterns.redact_bytes)
        digest = self.files.store.add_tree(target)
        return OutputSummary(str(digest), str(target), extracted.entries, extracted.size_bytes)

    def _has(self, calls: EngineCalls, path: str) -> bool:
        """Whether the workspace has a path; refuses one that a link is part of, which the engine would follow."""
        steps = path.split("/")
        for end in range(1, len(steps) + 1):
            kind = calls.kind(self._held.holder, posixpath.join(WORKSPACE_DIR, *steps[:end]))
            if kind == "link":
                raise ArchiveRefusedError("/".join(steps[:end]), "is a symbolic link")
            if kind is None or (kind == "file" and end < len(steps)):
                return False
        return True

    def _take_values(self, calls: EngineCalls) -> dict[str, str]:
        path = posixpath.join(VALUES_DIR, VALUES_FILE)
        with self._held.reading(calls):
            if calls.kind(self._held.holder, path) is None:  # root can do that
                raise ValuesError(0, "the file is gone: write to it, and do not remove it")
            with calls.archive(self._held.holder, path) as chunks:
                written = read_file(chunks, VALUES_FILE, max_bytes=_VALUES_BYTES)
        # Before it is read: a message shows a part of it, which may be one of a secret.
        return parse_values(self.patterns.redact_bytes(written))

    @property
    def _held(self) -> HeldVolumes:
        name = translate.container_name(self.options)
        volumes: Sequence[TmpfsVolume] = [
            *self._workspace_volume(f"{name}{attached.WORKSPACE}"),
            *self._values_volume(f"{name}{attached.VALUES}"),
        ]
        return HeldVolumes(volumes, translate.labels(self.options), self.holder_image)

    def _workspace_volume(self, name: str) -> list[TmpfsVolume]:
        if not self.options.has_workspace:
            return []
        user, _, group = str(self.options.user).partition(":")
        size = workspace_bytes(self.options)
        if not user.isdecimal():  # which number it is the image alone knows, and the container is made after the volume
            return [TmpfsVolume(name, WORKSPACE_DIR, size, _MAX_INODES, mode=0o1777)]
        owner = (int(user), int(group) if group.isdecimal() else 0)
        return [TmpfsVolume(name, WORKSPACE_DIR, size, _MAX_INODES, owner)]

    def _values_volume(self, name: str) -> list[TmpfsVolume]:
        if self.options.values is None:
            return []
        return [TmpfsVolume(name, VALUES_DIR, _VALUES_BYTES, max_inodes=4, flags="nosuid,nodev,noexec")]


def _working_folders(options: SandboxRunOptions, uid: int, gid: int) -> bytes:
    """An archive with the folder that the command starts in, if that is below the workspace.

    The engine makes it where it is not there, but as root's.
    """
    below = posixpath.normpath(options.working_dir or "/").removeprefix(f"{WORKSPACE_DIR}/")
    if not options.has_workspace or below.startswith("/"):
        return b""
    steps = below.split("/")
    paths = ["/".join(steps[:end]).encode(errors="surrogateescape") for end in range(1, len(steps) + 1)]
    return b"".join(header(path, DIRECTORY, mode=0o755, uid=uid, gid=gid) for path in paths) + END


def _surely(what: str, take: Callable[[], T]) -> T:
    """Takes something; again, a few times, if the stream was cut. What goes wrong is said of `what`."""
    tries = 0
    while True:
        tries += 1
        try:
            return take()
        except ArchiveCutError as cut:
            if tries == _TRIES:
                raise _NotTakenError(Reason.OUTPUT_LOST, f"{what}: {cut}") from cut
        except VolumeLostError as lost:
            raise _NotTakenError(Reason.OUTPUT_LOST, f"{what}: {lost}") from lost
        except ArchiveRefusedError as refused:
            raise _NotTakenError(Reason.OUTPUT_REFUSED, f"{what}: {refused}") from refused
        except ValuesError as bad:
            raise _NotTakenError(Reason.BAD_VALUES, f"{what}: {bad}") from bad
