"""`dockersched doctor` as a command, without an engine and with a made-up one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from pytest_mock import MockerFixture

from dockersched.cli import main
from dockersched.cli.doctor import check_state_dir
from dockersched.errors import EngineFullError, EngineRefusedError
from dockersched.sandbox.docker import survey
from dockersched.sandbox.docker.calls import EngineCalls
from dockersched.sandbox.docker.checkup import DiskQuotaTrial, EngineFacts, Status
from tests.unit.test_checkup import facts


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/no-engine.sock")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.delenv("DOCKERSCHED_STATE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> EngineFacts:
    found = facts("engine_20_10", Warnings=["WARNING: \x1b[2J"])
    monkeypatch.setattr(survey, "survey", lambda: found)
    return found


def test_without_an_engine_it_fails(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["doctor"]) == 3

    out, err = capsys.readouterr()
    lines = out.splitlines()
    assert err == ""
    assert lines[0].startswith(f"fail  engine           No Docker engine answers at unix://{tmp_path}/no-engine.sock")
    assert lines[1].strip().startswith("start an engine")
    assert " state directory " in lines[2]
    assert lines[-1].endswith(" 1 fail")
    assert list(tmp_path.iterdir()) == []


def test_warnings_are_no_failure(capsys: pytest.CaptureFixture[str], answering: EngineFacts) -> None:
    assert main(["doctor"]) == 0

    out = capsys.readouterr().out
    assert f"ok    engine           20.10.24+dfsg1, API 1.41, at {answering.address}\n" in out
    assert "warn  warnings         \\x1b[2J\n" in out
    assert out.endswith(" 0 fail\n")


def test_json_is_one_document(capsys: pytest.CaptureFixture[str], answering: EngineFacts) -> None:
    assert main(["doctor", "--output", "json"]) == 0

    document = json.loads(capsys.readouterr().out)
    assert document.keys() == {"status", "exit_code", "checks"}
    assert (document["status"], document["exit_code"]) == ("warn", 0)
    assert all(check.keys() == {"name", "status", "found", "remedy"} for check in document["checks"])
    assert all((check["remedy"] is None) == (check["status"] == "ok") for check in document["checks"])


def test_a_failure_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--output", "json"]) == 3

    document = json.loads(capsys.readouterr().out)
    assert (document["status"], document["exit_code"]) == ("fail", 3)
    assert document["checks"][0]["name"] == "engine"


def test_a_state_directory_that_cannot_be_made_fails(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    check = check_state_dir(tmp_path / "file" / "state")

    assert check.status is Status.FAIL
    assert check.found == f"{tmp_path}/file/state cannot be written (Not a directory)"


def test_looking_at_a_state_directory_leaves_nothing(tmp_path: Path) -> None:
    check = check_state_dir(tmp_path / "a" / "b")

    assert f" in {tmp_path}/a/b" in check.found
    assert list(tmp_path.iterdir()) == []


class _Calls:
    """Calls to an engine that makes what it is asked for."""

    def __init__(self) -> None:
        self.there: dict[str, dict[str, Any]] = {}

    def create_or_find(self, name: str, body: dict[str, Any]) -> str:
        self.there[name] = body
        self.asked_for = body
        return name

    def remove(self, container: str) -> None:
        del self.there[container]


def test_a_disk_quota_is_tried_and_nothing_of_it_stays() -> None:
    calls = _Calls()

    assert survey._try_disk_quota(cast("EngineCalls", calls), [{"Id": "sha256:1"}]) == DiskQuotaTrial()

    assert calls.asked_for["HostConfig"]["StorageOpt"] == {"size": "16m"}
    assert calls.there == {}


def test_what_keeps_a_disk_quota_from_being_tried_is_told_and_hides_nothing(mocker: MockerFixture) -> None:
    calls = _Calls()
    images = [{"Id": "sha256:1"}]
    mocker.patch.object(calls, "remove", side_effect=EngineRefusedError(500, "device busy"))

    kept = survey._try_disk_quota(cast("EngineCalls", calls), images)

    (name,) = calls.there
    assert kept is not None
    assert kept.failure == (
        f"container {name} could not be removed (the engine refused (500): device busy); docker rm -f {name}"
    )
    mocker.patch.object(calls, "create_or_find", side_effect=EngineFullError("no space left on device"))
    assert survey._try_disk_quota(cast("EngineCalls", calls), images) == DiskQuotaTrial(
        failure="no space left on device"
    )
    mocker.patch.object(calls, "create_or_find", side_effect=EngineRefusedError(500, "needs xfs"))
    assert survey._try_disk_quota(cast("EngineCalls", calls), images) == DiskQuotaTrial(refusal="needs xfs")


def test_a_disk_quota_cannot_be_tried_without_an_image() -> None:
    assert survey._try_disk_quota(cast("EngineCalls", _Calls()), []) is None
