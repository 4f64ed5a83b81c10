"""What git takes, by `git ls-files --others --exclude-per-directory=.gitignore` of git 2.39 on the same trees."""

from pathlib import Path

import pytest

from dockersched.data.patterns import pattern_problem
from dockersched.data.walk import Selection, find


def grow(root: Path, files: str, **gitignores: str) -> None:
    for name in files.split():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name, "utf-8")
    for place, text in gitignores.items():
        (root / ("" if place == "top" else place) / ".gitignore").write_text(text, "utf-8")


def taken(root: Path, selection: Selection) -> list[str]:
    paths = [entry.path for entry in find(root, selection).entries if not (root / entry.path).is_dir()]
    return [path for path in paths if not path.endswith(".gitignore")]


TREE = "a.py a.log build/x.o build/keep.txt src/a.py src/a.log src/build/y.o docs/build.md"


@pytest.mark.parametrize(
    ("gitignore", "expected"),
    [
        ("*.log", "a.py build/keep.txt build/x.o docs/build.md src/a.py src/build/y.o"),
        ("build", "a.log a.py docs/build.md src/a.log src/a.py"),
        ("/build", "a.log a.py docs/build.md src/a.log src/a.py src/build/y.o"),
        ("build/\n!build/keep.txt", "a.log a.py docs/build.md src/a.log src/a.py"),
        ("/build/*\n!build/keep.txt", "a.log a.py build/keep.txt docs/build.md src/a.log src/a.py src/build/y.o"),
        ("build/**\n!build/keep.txt", "a.log a.py build/keep.txt docs/build.md src/a.log src/a.py src/build/y.o"),
        ("*\n!*/\n!*.py", "a.py src/a.py"),
        ("src/*.log", "a.log a.py build/keep.txt build/x.o docs/build.md src/a.py src/build/y.o"),
        ("**/y.o\n# a.py\n\n\\#x", "a.log a.py build/keep.txt build/x.o docs/build.md src/a.log src/a.py"),
        ("[[:alpha:]].py  \r", "a.log build/keep.txt build/x.o docs/build.md src/a.log src/build/y.o"),
        ("[z-a]*\n/", "a.log a.py build/keep.txt build/x.o docs/build.md src/a.log src/a.py src/build/y.o"),
        ("**", ""),
    ],
)
def test_takes_what_git_takes(tmp_path: Path, gitignore: str, expected: str) -> None:
    grow(tmp_path, TREE, top=gitignore)
    assert taken(tmp_path, Selection()) == sorted(expected.split(), key=lambda path: path.split("/"))


def test_a_deeper_gitignore_comes_after_a_higher_one(tmp_path: Path) -> None:
    grow(tmp_path, TREE, top="*.log\n/src/build/", src="!a.log\n!build/\n/a.py")
    assert taken(tmp_path, Selection()) == [
        "a.py",
        "build/keep.txt",
        "build/x.o",
        "docs/build.md",
        "src/a.log",
        "src/build/y.o",
    ]


def test_exclude_comes_last_and_may_bring_back(tmp_path: Path) -> None:
    grow(tmp_path, TREE, top="*.log\nbuild/")
    selection = Selection(exclude=["!/build/", "*.o", "docs"])
    assert taken(tmp_path, selection) == ["a.py", "build/keep.txt", "src/a.py"]


def test_include_takes_what_it_names_and_all_below(tmp_path: Path) -> None:
    grow(tmp_path, TREE, top="*.log")
    assert taken(tmp_path, Selection(include=["src/", "!y.o", "*.md"])) == ["docs/build.md", "src/a.py"]


def test_include_leaves_no_directory_without_anything_in_it(tmp_path: Path) -> None:
    grow(tmp_path, TREE)
    (tmp_path / "wanted").mkdir()
    found = find(tmp_path, Selection(include=["*.md", "wanted"])).entries
    assert [entry.path for entry in found] == ["docs", "docs/build.md", "wanted"]


def test_without_gitignore_only_exclude_counts(tmp_path: Path) -> None:
    grow(tmp_path, "a.py a.log", top="*.log")
    assert taken(tmp_path, Selection(gitignore=False)) == ["a.log", "a.py"]


def test_git_and_the_state_directory_stay_out(tmp_path: Path) -> None:
    grow(tmp_path, "a .git/config sub/.git/config .dockersched/state.db own/x")
    leave_out = frozenset({str(tmp_path.resolve() / "own")})
    assert taken(tmp_path, Selection(gitignore=False, leave_out=leave_out)) == ["a"]
    assert taken(tmp_path, Selection(git=True)) == [".git/config", "a", "own/x", "sub/.git/config"]


@pytest.mark.parametrize(
    ("pattern", "problem"),
    [
        ("", "is empty"),
        ("#x", "is a comment"),
        ("../x", "leads out"),
        ("!a/../x", "leads out"),
        ("a\nb", "line break"),
        ("/", "no pattern"),
        ("[z-a]", "no pattern"),
    ],
)
def test_patterns_that_cannot_be_meant(pattern: str, problem: str) -> None:
    assert problem in (pattern_problem(pattern) or "")


@pytest.mark.parametrize("pattern", ["*.py", "!x", "a/**/b", "..a", "\\#x", "build/"])
def test_patterns_that_can(pattern: str) -> None:
    assert pattern_problem(pattern) is None
