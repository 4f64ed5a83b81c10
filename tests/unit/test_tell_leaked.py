import pytest

from dockersched.cli.running import tell_leaked


def test_what_is_left_is_named_with_the_command_that_removes_it(capsys: pytest.CaptureFixture[str]) -> None:
    tell_leaked(["container one", "volume two"])
    assert capsys.readouterr().err.splitlines() == [
        "dockersched: container one could not be removed (docker rm -f one)",
        "dockersched: volume two could not be removed (docker volume rm two)",
    ]
