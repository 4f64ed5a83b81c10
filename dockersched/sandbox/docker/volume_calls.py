"""Calls about volumes."""

from __future__ import annotations

import json
from collections.abc import Mapping

from dockersched.errors import PermanentRunnerError
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
        created = self._repeat(lambda: self._http.post("/volumes/create", body))
        theirs = created.get("Labels") or {}
        if any(theirs.get(key) != value for key, value in labels.items()):
            raise PermanentRunnerError(f"a volume that is not ours has the name {name} (docker volume rm {name})")
        if (created.get("Options") or {}) != dict(options):
            raise PermanentRunnerError(
                f"the engine did not apply the limits of volume {name}: {created.get('Options')}"
            )

    def list_volumes(self, label: str) -> dict[str, Mapping[str, str]]:
        """The volumes with a label: their labels, by name."""
        found = self._repeat(lambda: self._http.get("/volumes", {"filters": json.dumps({"label": [label]})}))
        return {str(volume["Name"]): volume.get("Labels") or {} for volume in found.get("Volumes") or ()}

    def remove_volume(self, name: str) -> None:
        """Removes a volume that no container uses any more; it may be gone already."""
        unless(NOT_FOUND, lambda: self._repeat(lambda: self._http.call("DELETE", path_of("volumes", name))))
