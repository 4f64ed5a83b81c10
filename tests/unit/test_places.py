"""How much a sandbox can write to its memory."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dockersched import Mount, QuotaConfig, SandboxRunOptions
from dockersched.sandbox.docker.defaults import SandboxDefaults
from dockersched.sandbox.docker.places import tmpfs_bytes

MIB = 2**20


def places(volumes: tuple[str, ...] = (), **changes: Any) -> dict[str, int]:
    options = SandboxRunOptions("e.t", "true", **{"quota": QuotaConfig(memory="64m"), **changes})
    return tmpfs_bytes(SandboxDefaults().fill(options), volumes)


def test_a_place_can_take_half_of_the_memory() -> None:
    assert places() == {"/tmp": 32 * MIB, "/home/sandbox": 32 * MIB, "/dev/shm": 32 * MIB}


def test_shared_memory_is_at_most_what_engines_give() -> None:
    assert places(quota=QuotaConfig(memory="1g"))["/dev/shm"] == 64 * MIB


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"profile": "trusted"}, ["/dev/shm"]),
        ({"profile": "trusted", "read_only": True}, ["/tmp", "/home/sandbox", "/dev/shm"]),
        ({"read_only": False}, ["/tmp", "/home/sandbox", "/dev/shm"]),
        ({"tmpfs": {"/a": MIB}}, ["/tmp", "/home/sandbox", "/dev/shm", "/a"]),
        ({"mounts": (Mount("/srv", "/tmp"),)}, ["/home/sandbox", "/dev/shm"]),
    ],
)
def test_which_places_there_are(changes: dict[str, Any], expected: list[str]) -> None:
    assert list(places(**changes)) == expected


def test_sizes_that_are_given_stand_in_whole_pages() -> None:
    assert places(tmpfs={"/tmp": MIB + 1, "/a": 5000})["/tmp"] == MIB
    assert places(tmpfs={"/tmp": MIB + 1, "/a": 5000})["/a"] == 4096


def test_the_disk_quota_is_shared_by_the_places_without_a_size() -> None:
    found = places(quota=QuotaConfig(memory="64m", disk="10m"), tmpfs={"/a": MIB})
    assert found == {"/a": MIB, "/tmp": 3 * MIB, "/home/sandbox": 3 * MIB, "/dev/shm": 3 * MIB}


@pytest.mark.parametrize(
    ("changes", "covered"),
    [
        ({}, True),
        ({"read_only": False}, False),
        ({"read_only": False, "quota": QuotaConfig(disk="1g")}, True),
        ({"profile": "trusted"}, False),
        ({"mounts": (Mount("/srv", "/data"),)}, False),
    ],
)
def test_volumes_of_an_image_are_places_where_a_limit_is_promised(changes: dict[str, Any], covered: bool) -> None:
    assert ("/data" in places(("data/", "/tmp"), **changes)) is covered


SIZES = st.integers(4096, 64 * MIB)


@given(
    disk=st.integers(2 * MIB, 256 * MIB),
    tmpfs=st.dictionaries(st.sampled_from(["/a", "/tmp", "/dev/shm"]), st.integers(4096, MIB // 2), max_size=3),
    volumes=st.lists(st.sampled_from(["/a", "/v", "/w"]), max_size=3, unique=True),
)
def test_all_places_together_are_within_the_disk_quota(disk: int, tmpfs: dict[str, int], volumes: list[str]) -> None:
    found = places(tuple(volumes), quota=QuotaConfig(memory="1g", disk=disk), tmpfs=tmpfs)
    assert sum(found.values()) <= disk
    assert min(found.values()) >= 4096
