"""Everything that a sandbox without a network might still reach."""

import socket
import struct
import sys
from collections.abc import Callable

from tests.abuse.payloads.probing import tell

TIMEOUT_S = 2


def connected(family: int, address: tuple[str | int, ...] | str, kind: int = socket.SOCK_STREAM) -> Callable[[], None]:
    def attempt() -> None:
        with socket.socket(family, kind) as client:
            client.settimeout(TIMEOUT_S)
            client.connect(address)

    return attempt


def opened(family: int, kind: int, protocol: int = 0) -> Callable[[], None]:
    def attempt() -> None:
        socket.socket(family, kind, protocol).close()

    return attempt


port, abstract = int(sys.argv[1]), sys.argv[2]
tell("interfaces", lambda: " ".join(name for _, name in socket.if_nameindex()))
for address in ("169.254.169.254", "8.8.8.8", "172.17.0.1"):
    tell(f"connect {address}", connected(socket.AF_INET, (address, 80)))
tell("connect fd00:ec2::254", connected(socket.AF_INET6, ("fd00:ec2::254", 80)))
tell("connect host's loopback", connected(socket.AF_INET, ("127.0.0.1", port)))
tell("connect host's abstract socket", connected(socket.AF_UNIX, f"\0{abstract}"))
for path in (
    "/var/run/docker.sock",
    "/run/docker.sock",
    "/run/containerd/containerd.sock",
    "/run/dbus/system_bus_socket",
):
    tell(f"connect {path}", connected(socket.AF_UNIX, path))
tell("connect the hypervisor", connected(socket.AF_VSOCK, (2, 1024)))
tell("raw socket", opened(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
tell("packet socket", opened(socket.AF_PACKET, socket.SOCK_RAW, 0x0300))
tell("crypto socket", opened(socket.AF_ALG, socket.SOCK_SEQPACKET))


def resolved() -> None:
    try:
        socket.getaddrinfo("metadata.google.internal", 80)
    except socket.gaierror:
        raise OSError("unknown") from None


def interface_made() -> str:
    """Asks the kernel over netlink for a dummy interface; gives the number of its error."""
    name = b"\x0a\0\x03\0pwn0\0\0\0\0"
    kind = b"\x0a\0\x01\0dummy\0\0\0"
    info = struct.pack("HH", 4 + len(kind), 18) + kind
    body = struct.pack("BxHiII", 0, 0, 0, 0, 0) + name + info
    message = struct.pack("IHHII", 16 + len(body), 16, 0x605, 1, 0) + body
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as netlink:
        netlink.settimeout(TIMEOUT_S)
        netlink.send(message)
        answer = netlink.recv(4096)
    error: int = struct.unpack("i", answer[16:20])[0]
    if error:
        raise OSError(-error, "")
    return "made"


tell("resolve a name", resolved)
tell("make an interface", interface_made)
