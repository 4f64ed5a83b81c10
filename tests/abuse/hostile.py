"""Attacks on who is outside: the network, the engine by an epic's values, and whoever reads names and output."""

from __future__ import annotations

import os
import re
from pathlib import Path

from dockersched import Reason
from dockersched.report.text import decode
from tests.abuse.attack import Aftermath, Attack, Ends, shell
from tests.abuse.payload import python

WAY_OUT = Path("/tmp/dockersched-abuse-way-out")
LINKS_IMAGE = "dockersched-abuse/links"
"""An image with links `/way-out` to that folder and `/leak` to a descriptor."""

_STEERING = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u202a-\u202e]")
_ESCAPES = (
    r"printf '\033[2J\033]0;owned\007\033]52;c;cm0gLXJm\007\015fake ok\n\302\2331m\n"
    r"\342\200\256txt\n\033P+q\033\\\n\000\n'"
)


HOST_PORT = "<a port on which the host listens>"
"""Stands in a command line for what is known only when the host listens."""

_UNREACHABLE = "ENETUNREACH|EADDRNOTAVAIL|EAFNOSUPPORT|EHOSTUNREACH"


def abstract_name() -> str:
    """The abstract socket on which the host listens; each process that runs the attacks has its own."""
    return f"dockersched-abuse-{os.getpid()}"


def _nothing_steers_the_terminal(seen: Aftermath) -> None:
    assert b"\x1b[2J" in seen.log  # the file keeps it as it was
    for line in seen.log.split(b"\n"):
        assert not _STEERING.search(decode(line, 4096))


def _names_are_contained(seen: Aftermath) -> None:
    assert seen.result.log
    assert Path(seen.result.log.path).resolve().parent == seen.logs_dir.resolve()
    assert re.fullmatch(r"/dockersched-[A-Za-z0-9_.-]+", seen.container["Name"])
    ours = {name for name in seen.container["Config"]["Labels"] if name.startswith("io.dockersched.")}
    assert ours - {"io.dockersched.content"} == {
        f"io.dockersched.{name}" for name in ("epic", "run", "task", "attempt", "sandbox")
    }
    assert not seen.container["HostConfig"]["Privileged"]


def _nothing_came_out(_: Aftermath) -> None:
    assert list(WAY_OUT.iterdir()) == []


def _named(name: str, task_id: str) -> Attack:
    script = "id -u | sed 's/^/user: /'"
    ends = Ends(answers={"user": "65534"})
    return shell(name, script, ends=ends, changes={"id": task_id}, afterwards=_names_are_contained)


_OWN_ANSWERS = (None, Reason.BAD_WORKING_DIR, Reason.NOT_FOUND, Reason.ENGINE_ERROR, Reason.EXIT_CODE)

ATTACKS = (
    Attack(
        "network",
        python("network", HOST_PORT, abstract_name()),
        Ends(
            answers={
                "interfaces": "lo",
                "connect 169.254.169.254": _UNREACHABLE,
                "connect 8.8.8.8": _UNREACHABLE,
                "connect 172.17.0.1": _UNREACHABLE,
                "connect fd00:ec2::254": _UNREACHABLE,
                "connect host's loopback": "ECONNREFUSED",
                "connect host's abstract socket": "ECONNREFUSED",
                "connect /var/run/docker.sock": "ENOENT",
                "connect /run/docker.sock": "ENOENT",
                "connect /run/containerd/containerd.sock": "ENOENT",
                "connect /run/dbus/system_bus_socket": "ENOENT",
                "connect the hypervisor": "EPERM|EAFNOSUPPORT",
                "raw socket": "EPERM",
                "packet socket": "EPERM",
                "crypto socket": "EPERM|EAFNOSUPPORT",
                "resolve a name": "unknown",
                "make an interface": "EPERM|EACCES",
            }
        ),
    ),
    shell("terminal-escapes", _ESCAPES, ends=Ends(answers={}), afterwards=_nothing_steers_the_terminal),
    shell(
        "file-names",
        r"""cd /tmp && for name in '-rf' '$(reboot)' "$(printf 'a\nb')" "$(printf '\033[2J')" '; halt' '*'; do
          echo x >"./$name"; done; ls | tr -d '\n' && printf '\033[2J' && echo && echo files: "$(ls -A | wc -l)" """,
        ends=Ends(answers={"files": "[67]"}),
        afterwards=_nothing_steers_the_terminal,
    ),
    _named("id-climbs", "../../../../etc/passwd"),
    _named("id-forges-labels", "x,io.dockersched.run=other\n--privileged io.dockersched.epic=y"),
    _named("id-steers-terminals", "\x1b[2J\x1b]0;owned\x07\u202etxt"),
    shell(
        "linked-working-dir",
        "touch pwned",
        image=LINKS_IMAGE,
        ends=Ends(_OWN_ANSWERS),
        changes={"working_dir": "/way-out/pwned", "pull_policy": "never"},
        afterwards=_nothing_came_out,
    ),
    shell(
        "linked-descriptor",
        f"cd ../../../../../../..{WAY_OUT} && touch pwned",
        image=LINKS_IMAGE,
        ends=Ends(_OWN_ANSWERS),
        changes={"working_dir": "/leak", "pull_policy": "never"},
        afterwards=_nothing_came_out,
    ),
    Attack(
        "own-program",
        ("/proc/self/exe", "true"),
        Ends((Reason.NOT_FOUND, Reason.NOT_EXECUTABLE, Reason.EXIT_CODE, None)),
        image="dockersched/base",
    ),
)
