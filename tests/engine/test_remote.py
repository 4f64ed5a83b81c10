"""Engines at a distance: nothing is assumed but that HTTP goes there and back."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest
import trustme
from docker.api import APIClient

from tests.support.engine_proxy import EngineProxy, Fault

EXAMPLES = Path(__file__).parents[2] / "examples"
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.usefixtures("engine")


def run_example(name: str, tmp_path: Path, **environ: str) -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-m", "dockersched", "run", EXAMPLES / name, "--output", "json"],
        cwd=tmp_path,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Hello from a sandbox of your own." in done.stderr
    document: dict[str, object] = json.loads(done.stdout)
    return document


@pytest.fixture
def proxy() -> Iterator[EngineProxy]:
    made = EngineProxy()
    yield made
    made.close()


def test_plain_tcp(proxy: EngineProxy, tmp_path: Path) -> None:
    assert run_example("quickstart.yaml", tmp_path, DOCKER_HOST=proxy.url)["state"] == "succeeded"
    assert any("/events?" in request for request in proxy.requests)


def test_tls_with_a_client_certificate(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    authority.cert_pem.write_to_path(certificates / "ca.pem")
    mine = authority.issue_cert("client@example.org")
    mine.cert_chain_pems[0].write_to_path(certificates / "cert.pem")
    mine.private_key_pem.write_to_path(certificates / "key.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    proxy = EngineProxy(tls=context)
    try:
        document = run_example(
            "quickstart.yaml",
            tmp_path,
            DOCKER_HOST=proxy.url,
            DOCKER_TLS_VERIFY="1",
            DOCKER_CERT_PATH=str(certificates),
        )
    finally:
        proxy.close()
    assert document["state"] == "succeeded"
    assert any("/containers/create" in request for request in proxy.requests)


def test_an_ssh_context(tmp_path: Path) -> None:
    """The `ssh` on PATH joins us to the engine, as `ssh host docker system dial-stdio` does."""
    programs = tmp_path / "bin"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests.support.engine_proxy import relay_stdio\n"
        f"assert sys.argv[-4:] == ['builder', 'docker', 'system', 'dial-stdio'], sys.argv\n"
        f"relay_stdio({_local_engine()!r})\n"
    )
    ssh.chmod(0o755)
    config = tmp_path / "config"
    docker = {"PATH": f"{programs}:{os.environ['PATH']}", "DOCKER_CONFIG": str(config)}
    _write_context(config, "far", "ssh://me@builder")
    assert run_example("quickstart.yaml", tmp_path, DOCKER_CONTEXT="far", **docker)["state"] == "succeeded"


def _write_context(config: Path, name: str, host: str) -> None:
    import hashlib  # noqa: PLC0415

    meta = config / "contexts" / "meta" / hashlib.sha256(name.encode()).hexdigest() / "meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"Name": name, "Endpoints": {"docker": {"Host": host}}}))


def _local_engine() -> str:
    from dockersched.sandbox.docker.connection import resolve_endpoint  # noqa: PLC0415

    return resolve_endpoint().host


def test_exits_are_seen_within_two_seconds_without_events(tmp_path: Path, engine: APIClient) -> None:
    del engine
    proxy = EngineProxy([Fault(r"GET .*/events", "refuse")])
    epic = tmp_path / "epic.yaml"
    epic.write_text("epic: blind\ntasks: {only: {command: sleep, args: [1]}}\n")
    try:
        done = subprocess.run(
            [sys.executable, "-m", "dockersched", "run", epic, "--output", "json"],
            cwd=tmp_path,
            env={**os.environ, "DOCKER_HOST": proxy.url},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        proxy.close()
    assert done.returncode == 0, done.stderr
    assert any("/events" in request for request in proxy.spoiled)
    (log,) = tmp_path.glob(".dockersched/runs/*/events.jsonl")
    (finished,) = (event for event in map(json.loads, log.read_text().splitlines()) if event["type"] == "task_finished")
    ended, seen = (datetime.fromisoformat(finished[key]) for key in ("finished_at", "at"))
    assert (seen - ended).total_seconds() <= 2
