"""What a sandbox needs before its container can be made: image, values, secrets, files, and leave to mount."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from dockersched.data.run_files import RunFiles
from dockersched.errors import ImageUnavailableError, MountRefusedError, ValueReferenceError, WorkspaceError
from dockersched.model import PullPolicy
from dockersched.sandbox.base import SandboxRunOptions
from dockersched.sandbox.docker import translate
from dockersched.sandbox.docker.batches import Attachment, LaunchRefusedError
from dockersched.sandbox.docker.features import EngineFeatures
from dockersched.sandbox.docker.images import ImageResolver, ResolvedImage
from dockersched.sandbox.docker.mounts import MountGate
from dockersched.sandbox.docker.refusals import refusals
from dockersched.sandbox.docker.sandbox_files import SandboxFiles
from dockersched.sandbox.docker.secret_files import SecretFiles
from dockersched.sandbox.handover import with_values
from dockersched.sandbox.redaction import SecretPatterns
from dockersched.sandbox.secret_values import SecretValues
from dockersched.states import Reason

_HOLDER: tuple[str, PullPolicy] = ("dockersched/base", "missing")
"""The image of what holds volumes, and when it is pulled."""


class Provision(Struct, frozen=True):
    """What one sandbox gets.

    Args:
        options: of the sandbox, with values filled in and the sources of mounts resolved.
        image: what it runs in.
        secrets: its secrets, if it has any.
        files: its files, if it has any.
    """

    options: SandboxRunOptions
    image: ResolvedImage
    secrets: SecretFiles | None
    files: SandboxFiles | None

    @property
    def attachments(self) -> list[Attachment]:
        """What is put into it before it starts."""
        return [attachment for attachment in (self.secrets, self.files) if attachment]

    @property
    def mounts(self) -> list[dict[str, Any]]:
        """What is mounted for it, in the engine's own form."""
        return [*([self.secrets.mount] if self.secrets else []), *(self.files.mounts if self.files else [])]


class Provisions:
    """Gets sandboxes what they need.

    Args:
        features: of the engine.
        images: resolves and pulls.
        gate: says what may be mounted.
        files: where files are beside dockersched; None refuses sandboxes that have any.
    """

    def __init__(
        self,
        features: EngineFeatures,
        images: ImageResolver,
        gate: MountGate,
        files: RunFiles | None,
    ) -> None:
        self._features = features
        self._images = images
        self._gate = gate
        self._files = files

    async def prepare(self, sandboxes: Iterable[SandboxRunOptions]) -> Mapping[str, str]:
        """Resolves all images of sandboxes, once each and side by side.

        Args:
            sandboxes: with the defaults filled in.

        Returns:
            for each task whose image cannot be had, by task id, why.
        """
        by_image: dict[tuple[str, Any], list[str]] = {}
        for options in sandboxes:
            by_image.setdefault((str(options.image), options.pull_policy), []).append(options.task_id)
            if options.secrets or options.has_files:
                by_image.setdefault(_HOLDER, []).append(options.task_id)
        # What is pulled whatever is there comes first, since all tasks get what a name was first found to be.
        by_image = dict(sorted(by_image.items(), key=lambda entry: entry[0][1] != "always"))
        outcomes: list[ResolvedImage | BaseException] = []
        for is_always in (True, False):
            resolutions = [self._images.resolve(*key) for key in by_image if (key[1] == "always") is is_always]
            outcomes += await asyncio.gather(*resolutions, return_exceptions=True)
        unavailable: dict[str, str] = {}
        for task_ids, outcome in zip(by_image.values(), outcomes, strict=True):
            if isinstance(outcome, ImageUnavailableError):
                unavailable.update(dict.fromkeys(task_ids, str(outcome)))
            elif isinstance(outcome, BaseException):
                raise outcome
        return unavailable

    async def provide(self, options: SandboxRunOptions, known: SecretValues) -> Provision:
        """What a sandbox gets.

        Args:
            options: of the sandbox, with the defaults filled in.
            known: where the values of secrets are.

        Raises:
            LaunchRefusedError: it must not or cannot be run.
        """
        try:
            image = await self._images.resolve(str(options.image), options.pull_policy or "missing")
            secrets = await self._secret_files(options, known) if options.secrets else None
            options = with_values(options)
            if problem := next(refusals(options, self._features, image.volumes), None):
                raise LaunchRefusedError(Reason.REJECTED, problem.message)
            options = replace(options, mounts=tuple(map(self._gate.admit, options.mounts)))
            files = await self._sandbox_files(options, known.patterns()) if options.has_files else None
        except ImageUnavailableError as error:
            raise LaunchRefusedError(Reason.IMAGE_UNAVAILABLE, str(error)) from error
        except ValueReferenceError as error:
            raise LaunchRefusedError(Reason.VALUE_MISSING, str(error)) from error
        except MountRefusedError as refused:
            raise LaunchRefusedError(Reason.REJECTED, f"task {options.task_id!r} {refused}") from refused
        except WorkspaceError as error:
            raise LaunchRefusedError(Reason.REJECTED, str(error)) from error
        return Provision(options, image, secrets, files)

    async def _secret_files(self, options: SandboxRunOptions, known: SecretValues) -> SecretFiles:
        """What an attempt's secrets need; their values are read now if they were not before."""
        holder = await self._images.resolve(*_HOLDER)
        values = await asyncio.to_thread(known.values, options.secrets)
        return SecretFiles(
            translate.container_name(options), translate.labels(options), str(options.user), holder.image_id, values
        )

    async def _sandbox_files(self, options: SandboxRunOptions, patterns: SecretPatterns) -> SandboxFiles:
        """What an attempt's files need; its workspace is packed now if it was not before."""
        if self._files is None:
            raise WorkspaceError(options.task_id, ["has files to go in or out, for which this runner has no place"])
        holder = await self._images.resolve(*_HOLDER)
        workspace = options.workspace
        if workspace is not None and workspace.source is not None and workspace.digest is None:
            packed = await asyncio.to_thread(self._files.pack, workspace)
            options = replace(options, workspace=dataclasses.replace(workspace, digest=packed.digest))
        return SandboxFiles(options, holder.image_id, self._files, patterns)
