"""What GitHub Actions is told of a run, and that no task can give it commands."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dockersched.events import TaskFinished
from dockersched.report.console import ConsoleReport
from dockersched.report.digest import DigestSettings, make_digest
from dockersched.report.github import json_cleaner, text_cleaner, without_commands
from dockersched.report.github_report import LIMIT_BYTES, append_step_summary, error_commands, step_summary
from dockersched.results import EpicResult, LogSummary, SandboxResult, TaskResult
from dockersched.states import EpicState, Reason, TaskState

START = datetime(2026, 1, 31, 12, 0, 0, tzinfo=UTC)
ON_GITHUB = {"GITHUB_ACTIONS": "true"}
HOSTILE = "##[add-mask]x\n::error::x\n  ::set-output name=a::b\n#\u00ad#[debug]y\n\u200b::warning::z\n"


def failed(task_id: str, log: Path | None = None, detail: str = "") -> TaskResult:
    summary = LogSummary(str(log), log.stat().st_size) if log else None
    sandbox = SandboxResult(f"e.{task_id}", 3, Reason.REJECTED, log=summary)
    return TaskResult(task_id, TaskState.FAILED, Reason.REJECTED, detail, attempts=1, sandbox=sandbox)


def ended(*tasks: TaskResult, state: EpicState = EpicState.FAILED, epic_id: str = "quick") -> EpicResult:
    return EpicResult(epic_id, "run-1", state, {task.task_id: task for task in tasks}, START, START)


def told(result: EpicResult) -> list[str]:
    return list(error_commands(result, make_digest(result, DigestSettings())))


def is_command(line: str) -> bool:
    """As the runner decides, with the characters left out that it may pass over."""
    seen = re.sub(r"[^ -~]", "", line).lstrip()
    return seen.startswith("::") or "##[" in seen


def test_each_root_cause_is_one_error(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("100% broken\nlast: line, really\n")
    never = TaskResult("b", TaskState.UPSTREAM_FAILED, Reason.UPSTREAM_FAILED, "'a' failed", "a")

    (line,) = told(ended(failed("a", log), never))

    title = "::error title=epic quick%3A task a::"
    assert line.startswith(f"{title}a: the engine refused to make its sandbox (rejected)%0A")
    assert "%0A  | 100%25 broken%0A  | last: line, really%0A" in line


def test_a_hostile_task_cannot_end_the_annotation(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_bytes(b"x\r\n::error::injected\n%0A::error::too\n")

    lines = told(ended(failed("a\n::warning::b,c:d", log, detail="\r\n::notice::x"), epic_id="e,\n::f"))

    (line,) = lines
    assert "\n" not in line
    assert "\r" not in line
    properties, _, message = line.removeprefix("::error ").partition("::")
    assert properties == "title=epic e%2C %3A%3Af%3A task a %3A%3Awarning%3A%3Ab%2Cc%3Ad"
    assert "%250A::error::too" in message


def test_annotations_are_no_more_than_are_shown() -> None:
    many = told(ended(*(failed(f"t{number}") for number in range(50))))

    assert len(many) == 10
    assert many[-1].endswith("beside those that are shown: 41")
    assert told(ended(state=EpicState.TIMED_OUT)) == ["::error title=epic quick::the epic ended as timed_out"]
    assert told(ended(state=EpicState.SUCCEEDED)) == []


@example(text=HOSTILE)
@example(text="a##[b] ###[c] # #[d] https://x::y a::b")
@example(text="x\r::error::y")
@given(text=st.text(st.sampled_from("#[]: \t\u00ad\u200b\ufeffab\n"), max_size=40))
def test_no_text_is_a_command(text: str) -> None:
    cleaned = without_commands(text)

    assert not any(is_command(line) for line in re.split(r"[\r\n]", cleaned))
    if not any(is_command(line) for line in re.split(r"[\r\n]", text)):
        assert cleaned == text


def test_what_a_person_sees_holds_no_command(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text(HOSTILE)
    out, err = io.StringIO(), io.StringIO()
    report = ConsoleReport(out=out, err=err, quiet=False, summary=True, environ=ON_GITHUB)
    task = failed("a", log, detail="::error::x ##[debug]")

    report.note("::error::note")
    report.output("a", HOSTILE.encode())
    report.observe(TaskFinished(START, task))
    report.finish(ended(task))

    assert "add-mask]x" in out.getvalue()
    assert "add-mask]x" in err.getvalue()
    assert not any(is_command(line) for line in (out.getvalue() + err.getvalue()).splitlines())


def test_json_without_commands_says_the_same() -> None:
    clean = json_cleaner(ON_GITHUB)
    assert clean is not None
    text = json.dumps({"tail": [HOSTILE], "a": "###[["})

    assert json.loads(clean(text)) == json.loads(text)
    assert not is_command(clean(text))


def test_elsewhere_nothing_is_changed() -> None:
    assert text_cleaner({"CI": "true"}) is None
    assert json_cleaner({"GITHUB_ACTIONS": "false"}) is None


def test_the_page_shows_tasks_and_failures_and_takes_no_markup_from_them(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("</pre><script>x</script>\n\n| # **bold** @somebody\n")
    result = ended(failed("a|b`*<i>[x](y)\n# c", log), epic_id="quick<b>")

    page = step_summary(result, make_digest(result, DigestSettings()), 1, LIMIT_BYTES)

    assert "&lt;/pre&gt;&lt;script&gt;" in page
    assert "<script>" not in page
    assert page.count("</pre>") == 1
    rows = [line for line in page.splitlines() if line.startswith("| ")]
    assert [row.count("|") for row in rows] == [6, 6, 6]
    assert re.fullmatch(r"[\w &#;]+", rows[2].split("|")[1])
    assert "### Epic quick&#60;b&#62;: failed" in page


@pytest.mark.parametrize("there", [0, LIMIT_BYTES - 700, LIMIT_BYTES - 10, LIMIT_BYTES + 10])
def test_the_page_never_gets_more_than_it_takes(tmp_path: Path, there: int) -> None:
    path = tmp_path / "summary.md"
    path.write_bytes(b"x" * there)
    result = ended(*(failed(f"t{number}", detail="y" * 300) for number in range(3_000)))
    digest = make_digest(result, DigestSettings(max_bytes=2 * LIMIT_BYTES))

    append_step_summary(path, result, digest, 1)

    written = path.read_bytes()
    assert written.startswith(b"x" * there)
    assert len(written) <= max(there, LIMIT_BYTES)
    if there < LIMIT_BYTES - 100:
        assert written.endswith(b"There was no room for more.\n")
