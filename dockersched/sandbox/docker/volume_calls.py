"""Calls about volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping

import msgspec

from dockersched.errors import PermanentRunnerError
from dockersched.sandbox.docker import answers
from dockersched.sandbox.docker.engine_http import path_of
from dockersched.sandbox.docker.transport import NOT_FOUND, Transport, unless


class VolumeCalls(Transport):
    """What dockersched asks an engine about volumes."""

    def create_volume(self, name: str, options: Mapping[str, str], labels: Mapping[str, str]) -> None:
        """Creates a volume of the local driver, or finds the one that an earlier call for the same attempt created.

        Raises:
            PermanentRunnerError: a volume that is not ours has the name.
        """
        body = {"Name": name, "Driver": "local", "DriverOpts": dict(options), "Labels": dict(labels)}
        created = self._repeat(lambda: msgspec.convert(self._http.post("/volumes/create", body), answers.Volume))
        theirs = created.labels or {}
        if any(theirs.get(key) != value for key, value in labels.items()):
            raise PermanentRunnerError(f"a volume that is not ours has the name {name} (docker volume rm {name})")
        if (created.options or {}) != dict(options):
            raise PermanentRunnerError(f"the engine did not apply the limits of volume {name}: {created.options}")

    def list_volumes(self, label: str) -> dict[str, Mapping[str, str]]:
        """The volumes with a label: their labels, by name."""
        query = {"filters": json.dumps({"label": [label]})}
        found = self._repeat(lambda: msgspec.convert(self._http.get("/volumes", query), answers.Volumes))
        return {volume.name: volume.labels or {} for volume in found.volumes or ()}

    def remove_volume(self, name: str) -> None:
        """Removes a volume that no container uses any more; it may be gone already."""
        unless(NOT_FOUND, lambda: self._repeat(lambda: self._http.call("DELETE", path_of("volumes", name))))
