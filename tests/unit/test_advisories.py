import pytest

from dockersched.sandbox.docker.advisories import (
    ADVISORIES,
    Advisory,
    is_of_the_project,
    older_than_fixes,
    parse_version,
)

RUNC_OF_2025 = ["CVE-2025-31133", "CVE-2025-52565", "CVE-2025-52881"]


@pytest.mark.parametrize(
    ("component", "version", "cves"),
    [
        ("runc", "1.0.0-rc6+dev", ["CVE-2019-5736", "CVE-2024-21626", *RUNC_OF_2025]),
        ("runc", "1.0.0-rc7", ["CVE-2024-21626", *RUNC_OF_2025]),
        ("runc", "1.1.11", ["CVE-2024-21626", *RUNC_OF_2025]),
        ("runc", "1.1.5+ds1", ["CVE-2024-21626", *RUNC_OF_2025]),
        ("runc", "1.1.12-0ubuntu2", RUNC_OF_2025),
        ("runc", "1.2.7", RUNC_OF_2025),
        ("runc", "1.2.8", []),
        ("runc", "1.3.2", RUNC_OF_2025),
        ("runc", "1.3.3", []),
        ("runc", "1.4.0-rc.2", RUNC_OF_2025),
        ("runc", "1.4.0-rc.3", []),
        ("runc", "1.4.0", []),
        ("runc", "2.0.0", []),
        ("containerd", "1.3.8", ["CVE-2020-15257", "CVE-2024-25621"]),
        ("containerd", "1.3.9", ["CVE-2024-25621"]),
        ("containerd", "1.6.20~ds1", ["CVE-2024-25621"]),
        ("containerd", "v1.7.29", []),
        ("containerd", "v2.0.6", ["CVE-2024-25621"]),
        ("containerd", "v2.1.5", []),
        ("containerd", "2.3.0", []),
        ("docker-init", "0.19.0", []),
    ],
)
def test_tells_the_fixes_that_a_version_lacks(component: str, version: str, cves: list[str]) -> None:
    assert [hole.cve for hole in older_than_fixes(component, version)] == cves


@pytest.mark.parametrize("hole", ADVISORIES, ids=lambda hole: hole.cve)
def test_a_fixed_version_has_the_fix(hole: Advisory) -> None:
    assert hole.fixed_in
    for version in hole.fixed_in:
        assert hole not in list(older_than_fixes(hole.component, version))


@pytest.mark.parametrize(
    ("commit", "expected"),
    [
        ("v1.1.12-0-g51d5e94", True),
        ("v1.4.0-rc.3-0-gabcdef01", True),
        ("v1.2.8-3-gabcdef01-dirty", True),
        ("d842d771e869a3e82ec4bcd7b4c9d9b0a0b0a0b0", True),
        ("2806fc1", True),
        ("1.1.5+ds1-1+deb12u1", False),
        ("1.7.12-0ubuntu4", False),
        ("", False),
    ],
)
def test_tells_a_project_from_a_distribution(commit: str, expected: bool) -> None:
    assert is_of_the_project(commit) is expected


@pytest.mark.parametrize("text", ["", "unknown", "git-abc", "v"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="is no version"):
        parse_version(text)
