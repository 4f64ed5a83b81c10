from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import pwd
import socket
import ssl
import stat
import subprocess
import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from dockersched.errors import EngineUnavailableError
from dockersched.sandbox.docker import connect
from dockersched.sandbox.docker import dial as dial_module
from dockersched.sandbox.docker.connection import (
    DEFAULT_HOST,
    EngineEndpoint,
    TlsFiles,
    make_client,
    resolve_endpoint,
)
from dockersched.sandbox.docker.dial import EngineVersion, dial, fetch_version, is_there, ssh_command

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pytest_mock import MockerFixture

BODY = b'{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}'
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(BODY), BODY)


def add_context(config: Path, name: str, docker: dict[str, object]) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()
    meta = config / "contexts" / "meta" / digest / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Metadata": {}, "Endpoints": {"docker": docker}}), "utf-8")
    return digest


def add_certificates(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("ca", "cert", "key"):
        (folder / f"{name}.pem").touch()


def answer_once(listener: socket.socket, answer: bytes = ANSWER) -> None:
    connection, _ = listener.accept()
    with connection:
        while b"\r\n\r\n" not in connection.recv(4096):
            pass
        connection.sendall(answer)


@pytest.fixture
def engine_socket(tmp_path: Path) -> Iterator[Path]:
    """A unix socket that answers one request as an engine answers `/version`."""
    path = tmp_path / "engine.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer_once, args=(listener,))
        thread.start()
        yield path
        thread.join(timeout=5)


def test_uses_the_default_socket_when_nothing_is_set(tmp_path: Path) -> None:
    endpoint = resolve_endpoint({"HOME": str(tmp_path)})

    assert (endpoint.host, endpoint.tls, endpoint.is_default) == (DEFAULT_HOST, None, True)


def test_docker_host_goes_before_a_context(tmp_path: Path) -> None:
    environ = {"DOCKER_HOST": "unix:///other.sock", "DOCKER_CONTEXT": "missing", "HOME": str(tmp_path)}

    assert resolve_endpoint(environ) == EngineEndpoint("unix:///other.sock", None, "DOCKER_HOST")


def test_docker_context_goes_before_the_current_one(tmp_path: Path) -> None:
    add_context(tmp_path, "one", {"Host": "ssh://me@one"})
    add_context(tmp_path, "two", {"Host": "ssh://me@two"})
    (tmp_path / "config.json").write_text('{"currentContext": "two"}', "utf-8")
    config = {"DOCKER_CONFIG": str(tmp_path)}

    assert resolve_endpoint(config).host == "ssh://me@two"
    assert resolve_endpoint(config | {"DOCKER_CONTEXT": "one"}).host == "ssh://me@one"
    assert resolve_endpoint(config | {"DOCKER_CONTEXT": "default"}).is_default


def test_context_brings_its_certificates(tmp_path: Path) -> None:
    digest = add_context(tmp_path, "far", {"Host": "tcp://far:2376", "SkipTLSVerify": True})
    folder = tmp_path / "contexts" / "tls" / digest / "docker"
    add_certificates(folder)

    tls = resolve_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "far"}).tls

    assert tls == TlsFiles(folder / "ca.pem", folder / "cert.pem", folder / "key.pem", verify=False)


@pytest.mark.parametrize(
    ("environ", "host", "verify"),
    [
        ({"DOCKER_HOST": "tcp://far"}, "tcp://far:2375", None),
        ({"DOCKER_HOST": "far:1234"}, "tcp://far:1234", None),
        ({"DOCKER_HOST": "tcp://[::1]:9"}, "tcp://[::1]:9", None),
        ({"DOCKER_HOST": "https://far"}, "tcp://far:2376", True),
        ({"DOCKER_HOST": "tcp://far", "DOCKER_TLS_VERIFY": "1"}, "tcp://far:2376", True),
        ({"DOCKER_HOST": "tcp://far", "DOCKER_CERT_PATH": "/"}, "tcp://far:2376", False),
    ],
)
def test_understands_tcp_addresses(environ: dict[str, str], host: str, verify: bool | None, tmp_path: Path) -> None:
    endpoint = resolve_endpoint(environ | {"HOME": str(tmp_path)})

    assert endpoint.host == host
    assert (endpoint.tls.verify if endpoint.tls else None) == verify


@pytest.mark.parametrize(
    "host",
    [
        "ftp://far",
        "unix://",
        "tcp://",
        "tcp://far:port",
        "tcp://far:99999",
        "tcp://[::1",
        "tcp://far:2375/team-a",
        "https://far/?team=a",
        "far:2375/team-a",
        "ssh://far?team=a",
        "ssh://far/run/docker.sock#a",
    ],
)
def test_refuses_what_is_no_address(host: str) -> None:
    with pytest.raises(EngineUnavailableError, match=r"DOCKER_HOST is '.*', which is no engine address"):
        resolve_endpoint({"DOCKER_HOST": host})


def test_a_password_in_an_address_is_refused_and_not_shown() -> None:
    with pytest.raises(EngineUnavailableError, match="DOCKER_HOST has a password in it") as refused:
        resolve_endpoint({"DOCKER_HOST": "ssh://bob:secret@far"})
    assert "secret" not in str(refused.value)
    with pytest.raises(EngineUnavailableError, match=r"'ssh://bob:…@far:port', which is no engine address"):
        resolve_endpoint({"DOCKER_HOST": "ssh://bob:secret@far:port"})


def test_certificates_that_are_not_there_are_refused() -> None:
    environ = {"DOCKER_HOST": "tcp://far", "DOCKER_CERT_PATH": "/none"}
    with pytest.raises(EngineUnavailableError, match=r"DOCKER_CERT_PATH is '/none', which is no folder"):
        resolve_endpoint(environ)
    assert resolve_endpoint(environ | {"DOCKER_HOST": "ssh://far"}).tls is None


def test_a_home_that_nobody_knows_is_no_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(_name: object) -> NoReturn:
        raise KeyError

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)

    assert resolve_endpoint({}).is_default
    assert resolve_endpoint({"DOCKER_HOST": "unix:///other.sock"}).host == "unix:///other.sock"
    with pytest.raises(EngineUnavailableError, match="no docker context 'far'"):
        resolve_endpoint({"DOCKER_CONTEXT": "far"})


def test_a_configuration_of_another_user_is_none(mocker: MockerFixture, tmp_path: Path) -> None:
    mocker.patch("pathlib.Path.read_text", side_effect=PermissionError(13, "Permission denied"))

    assert resolve_endpoint({"HOME": str(tmp_path)}).is_default


def test_names_an_unknown_context_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(EngineUnavailableError, match=r"no docker context 'gone' .*DOCKER_CONTEXT.*context ls"):
        resolve_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize("text", ["{", "[]", "[1]"])
def test_names_an_unreadable_configuration(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(text, "utf-8")

    with pytest.raises(EngineUnavailableError, match=r"config\.json cannot be read"):
        resolve_endpoint({"DOCKER_CONFIG": str(tmp_path)})


def test_names_an_unreadable_context(tmp_path: Path) -> None:
    add_context(tmp_path, "odd", {"NoHost": 1})

    with pytest.raises(EngineUnavailableError, match="context 'odd' cannot be read"):
        resolve_endpoint({"DOCKER_CONFIG": str(tmp_path), "DOCKER_CONTEXT": "odd"})


def test_reads_the_versions_of_an_engine(engine_socket: Path) -> None:
    version = fetch_version(EngineEndpoint(f"unix://{engine_socket}", None, "test"), timeout=5)

    assert version == EngineVersion("20.10.24", "1.41", "1.12")


@pytest.mark.parametrize(
    ("newest", "oldest", "spoken"),
    [
        ("1.41", "1.12", "1.41"),
        ("1.45", "1.24", "1.45"),
        ("1.52", "1.44", "1.45"),
        ("1.60", "1.50", "1.50"),
        ("1.45.1", "v1", "1.45"),
    ],
)
def test_speaks_what_the_engine_does(newest: str, oldest: str, spoken: str, mocker: MockerFixture) -> None:
    mocker.patch.object(connect, "fetch_version", return_value=EngineVersion("30", newest, oldest))

    assert connect.reach({})[2] == spoken


def test_an_engine_that_is_too_old_is_refused(mocker: MockerFixture) -> None:
    mocker.patch.object(connect, "fetch_version", return_value=EngineVersion("19.03", "1.40", "1.12"))

    with pytest.raises(EngineUnavailableError, match=r"too old \(19\.03, API 1\.40\): use 20\.10 or newer"):
        connect.reach({})


async def test_an_engine_that_was_asked_in_the_background_is_not_asked_again(mocker: MockerFixture) -> None:
    gone = EngineUnavailableError("no engine")
    ask = mocker.patch.object(connect, "_meet", side_effect=gone)
    met = connect.meet_in_background()
    for _ in range(2):
        with pytest.raises(EngineUnavailableError, match="no engine"):
            await connect.connect(met=met)
    ask.assert_called_once()


async def test_who_gives_up_waiting_for_an_engine_leaves_it_alone(mocker: MockerFixture) -> None:
    may_answer, answered = threading.Event(), threading.Event()

    def ask(*_: object) -> None:
        may_answer.wait(10)
        answered.set()
        raise EngineUnavailableError("no engine")

    mocker.patch.object(connect, "_meet", side_effect=ask)
    met = connect.meet_in_background()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(connect.connect(met=met), 0.05)
    may_answer.set()
    assert await asyncio.to_thread(answered.wait, 5)
    assert isinstance(met.exception(5), EngineUnavailableError)


def test_says_where_no_engine_answers(tmp_path: Path) -> None:
    endpoint = EngineEndpoint(f"unix://{tmp_path}/none.sock", None, "test")

    with pytest.raises(EngineUnavailableError, match=r"No Docker engine answers at unix://.*none\.sock \(test\)"):
        fetch_version(endpoint, timeout=1)


@pytest.mark.parametrize(
    ("head", "body", "words"),
    [
        (
            "403 Forbidden",
            b'{"message": "authorization denied by plugin x"}',
            r"\(403: authorization denied by plugin x\)",
        ),
        ("400 Bad Request", b"Client sent an HTTP request to an HTTPS server.\n", r"\(400: Client sent .* server\.\)"),
        ("500 Internal Server Error", b"", r"\(500: no reason given\)"),
    ],
)
def test_who_answers_and_refuses_is_quoted(tmp_path: Path, head: str, body: bytes, words: str) -> None:
    path = tmp_path / "engine.sock"
    answer = b"HTTP/1.1 %b\r\nContent-Length: %d\r\n\r\n%b" % (head.encode(), len(body), body)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer_once, args=(listener, answer))
        thread.start()
        with pytest.raises(EngineUnavailableError, match=f"What answers at .* refuses {words}") as refused:
            fetch_version(EngineEndpoint(f"unix://{path}", None, "test"), timeout=5)
        thread.join(timeout=5)
    assert is_there(refused.value)


def test_who_may_not_use_an_engine_is_told_of_the_group(mocker: MockerFixture) -> None:
    mocker.patch.object(dial_module, "dial", side_effect=PermissionError(13, "Permission denied"))

    with pytest.raises(EngineUnavailableError, match=r"This user may not use the engine .* group docker") as refused:
        fetch_version(EngineEndpoint(DEFAULT_HOST, None, "test"), timeout=5)
    assert is_there(refused.value)


def test_any_character_may_be_in_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a#b?c%20" / "engine.sock"
    path.parent.mkdir()
    endpoint = resolve_endpoint({"DOCKER_HOST": f"unix://{path}"})
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()

        for ask in (
            lambda: fetch_version(endpoint, timeout=5).engine,
            lambda: make_client(endpoint, version="1.41", timeout=5).version()["Version"],
        ):
            thread = threading.Thread(target=answer_once, args=(listener,))
            thread.start()
            assert ask() == "20.10.24"
            thread.join(timeout=5)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate of `localhost`, with its key in the same file."""
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    command = "openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    made = subprocess.run([*command.split(), "-keyout", "-"], check=True, capture_output=True)
    path.write_bytes(made.stdout)
    return path


def version_over_tls(certificate: Path, tls: TlsFiles) -> str:
    """Ask a TLS server with that certificate for its version."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)

    def serve() -> None:
        with contextlib.suppress(ssl.SSLError):
            answer_once(secure)

    with context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as secure:
        endpoint = EngineEndpoint(f"tcp://localhost:{secure.getsockname()[1]}", tls, "test")
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            return fetch_version(endpoint, timeout=5).engine
        finally:
            thread.join(timeout=5)


def test_speaks_tls_with_a_server_it_can_verify(certificate: Path) -> None:
    assert version_over_tls(certificate, TlsFiles(certificate, None, None, verify=True)) == "20.10.24"


def test_shows_its_own_certificate(certificate: Path) -> None:
    tls = TlsFiles(certificate, certificate, certificate, verify=True)

    assert version_over_tls(certificate, tls) == "20.10.24"


def test_takes_a_server_on_trust_only_when_told(certificate: Path) -> None:
    assert version_over_tls(certificate, TlsFiles(None, None, None, verify=False)) == "20.10.24"
    with pytest.raises(EngineUnavailableError, match="certificate verify failed"):
        version_over_tls(certificate, TlsFiles(None, None, None, verify=True))


def test_sdk_client_gets_the_tls_files(certificate: Path) -> None:
    endpoint = EngineEndpoint("tcp://localhost:1", TlsFiles(certificate, None, None, verify=True), "test")

    with make_client(endpoint, version="1.41", timeout=3) as client:
        assert client.verify == str(certificate)


@pytest.mark.parametrize(
    ("host", "command"),
    [
        ("ssh://far", "ssh -T -o BatchMode=yes -- far docker system dial-stdio"),
        ("ssh://far/", "ssh -T -o BatchMode=yes -- far docker system dial-stdio"),
        ("ssh://me@far:2222", "ssh -l me -p 2222 -T -o BatchMode=yes -- far docker system dial-stdio"),
        ("ssh://MyBox", "ssh -T -o BatchMode=yes -- MyBox docker system dial-stdio"),
        ("ssh://a%40b@[fe80::1]:22", "ssh -l a@b -p 22 -T -o BatchMode=yes -- fe80::1 docker system dial-stdio"),
        (
            "ssh://me@far/run/user/1000/docker.sock",
            "ssh -l me -T -o BatchMode=yes -- far docker --host unix:///run/user/1000/docker.sock system dial-stdio",
        ),
        (
            "ssh://far/a%20b;c",
            "ssh -T -o BatchMode=yes -- far docker --host 'unix:///a b;c' system dial-stdio",
        ),
    ],
)
def test_ssh_command_carries_user_port_and_socket(host: str, command: str) -> None:
    assert resolve_endpoint({"DOCKER_HOST": host}).host == host
    assert " ".join(ssh_command(host)) == command


def test_sdk_client_talks_over_ssh(engine_socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "bin" / "ssh"
    program.parent.mkdir()
    program.write_text(FAKE_SSH.format(socket=str(engine_socket)), "utf-8")
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")

    client = make_client(EngineEndpoint("ssh://me@far", None, "test"), version="1.41", timeout=5)
    try:
        assert client.version()["Version"] == "20.10.24"
    finally:
        client.close()


# What `docker system dial-stdio` does on the far side.
FAKE_SSH = """#!/usr/bin/env python3
import os, socket, threading
engine = socket.socket(socket.AF_UNIX)
engine.connect({socket!r})
def upload():
    while data := os.read(0, 65536):
        engine.sendall(data)
threading.Thread(target=upload, daemon=True).start()
while data := engine.recv(65536):
    os.write(1, data)
"""


def test_making_a_client_makes_no_request(tmp_path: Path) -> None:
    endpoint = EngineEndpoint(f"unix://{tmp_path}/none.sock", None, "test")

    client = make_client(endpoint, version="1.41", timeout=3)

    assert client.api_version == "1.41"
    client.close()


def test_dialling_a_missing_ssh_program_is_an_os_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(FileNotFoundError):
        dial(EngineEndpoint("ssh://far", None, "test"), timeout=1)
