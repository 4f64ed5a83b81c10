"""Whom a sandbox's files must belong to: the number of a user that may be given as a name of the image."""

from __future__ import annotations

import io
import tarfile

from dockersched.errors import EngineRefusedError
from dockersched.sandbox.docker.calls import EngineCalls

_PASSWD = "/etc/passwd"  # noqa: S105 - a path in the sandbox
_MAX_PASSWD_BYTES = 2**20


class UnknownUserError(LookupError):
    """An image does not tell a user's uid."""


def find_owner(calls: EngineCalls, container: str, user: str) -> tuple[int, int]:
    """The uid and gid of a user.

    Args:
        calls: to the engine.
        container: of the image that knows the user; it need not run.
        user: `uid`, `uid:gid` or a name, as in `SandboxRunOptions`.

    Raises:
        UnknownUserError: the image does not tell the user's uid.
    """
    name, _, group = user.partition(":")
    known = {} if name.isdecimal() and group.isdecimal() else _users(calls, container)
    if name.isdecimal():
        uid = int(name)
        gid = next((gid for known_uid, gid in known.values() if known_uid == uid), 0)
    elif name in known:
        uid, gid = known[name]
    else:
        raise UnknownUserError(
            f"unable to find user {name} in the image's {_PASSWD}: its files need it; write user as uid:gid"
        )
    return uid, int(group) if group.isdecimal() else gid


def _users(calls: EngineCalls, container: str) -> dict[str, tuple[int, int]]:
    """The uid and gid of the image's users by name, of the first entry of each."""
    users: dict[str, tuple[int, int]] = {}
    for line in _passwd(calls, container).splitlines():
        fields = line.split(":")
        if len(fields) > 3 and fields[2].isdecimal() and fields[3].isdecimal():
            users.setdefault(fields[0], (int(fields[2]), int(fields[3])))
    return users


def _passwd(calls: EngineCalls, container: str) -> str:
    """The image's list of users, as far as it can be read without following links."""
    packed = bytearray()
    try:
        with calls.archive(container, _PASSWD) as chunks:
            for chunk in chunks:
                packed += chunk
                if len(packed) > _MAX_PASSWD_BYTES:
                    return ""
        with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
            member = tar.next()
            content = tar.extractfile(member) if member and member.isreg() else None
            return content.read().decode("utf-8", "replace") if content else ""
    except (EngineRefusedError, tarfile.TarError):
        return ""
