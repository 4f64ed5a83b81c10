"""`dockersched doctor` on the real engine."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from docker.api import APIClient
from docker.errors import APIError


def refusal_of_a_limited_root(engine: APIClient) -> str:
    limited = engine.create_host_config(storage_opt={"size": "16m"}, network_mode="none")
    try:
        container = engine.create_container("dockersched/base", ["true"], host_config=limited)
    except APIError as error:
        return str(error.explanation)
    engine.remove_container(container)
    return ""


def test_a_checkup_of_the_engine_tells_what_it_is_and_leaves_nothing(engine: APIClient, tmp_path: Path) -> None:
    info = engine.info()
    command = [sys.executable, "-m", "dockersched", "doctor", "--output", "json", "--state-dir", str(tmp_path / "s")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.stderr == ""
    document = json.loads(done.stdout)
    checks = {check["name"]: check for check in document["checks"]}
    assert done.returncode == document["exit_code"] == (3 if document["status"] == "fail" else 0)
    assert checks["engine"]["found"].startswith(f"{info['ServerVersion']}, API {engine.version()['ApiVersion']}, at ")
    assert checks["cgroup"]["found"].startswith(f"version {info['CgroupVersion']}, driver {info['CgroupDriver']}")
    assert checks["images"]["status"] == "ok"
    assert checks["limits"]["status"] == "ok"
    assert info["DefaultRuntime"] in checks["runtimes"]["found"]
    assert (refusal_of_a_limited_root(engine) or "works") in checks["disk quota"]["found"]
    assert engine.containers(all=True, filters={"label": "io.dockersched.doctor"}) == []
    assert not list(tmp_path.iterdir())
