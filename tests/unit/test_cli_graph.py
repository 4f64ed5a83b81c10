"""Graphs as text and as pictures."""

from __future__ import annotations

import time
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from dockersched.cli import main
from dockersched.model import ScheduledTask
from dockersched.report.graph import Graph, dot, mermaid, svg
from dockersched.report.layered import lay_out
from dockersched.states import TaskState
from tests.support.recorded_runs import RecordedRun

HOSTILE = 'a"]; x --> y <script>&\\\n#`\x1b[2J\u202e'
SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture: str) -> ET.Element:
    return ET.fromstring(picture)  # noqa: S314 - our own


def test_an_epic_is_a_flowchart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "e.yaml"
    path.write_text("epic: e\ntasks:\n  b: {run: x, depends_on: [a]}\n  a: {run: x}\n")
    assert main(["graph", str(path)]) == 0
    assert capsys.readouterr().out == 'flowchart LR\n  n0["b"]\n  n1["a"]\n  n1 --> n0\n'


@pytest.mark.parametrize("form", ["mermaid", "dot", "svg"])
def test_a_run_shows_states_in_words(form: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = RecordedRun(tmp_path, "r", [ScheduledTask("a", [], "x"), ScheduledTask("b", ["a"], "x")])
    run.start("a")
    run.end("a", exit_code=1)
    assert main(["graph", "last", "--format", form, "--state-dir", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "failed" in text
    assert "#f7c3bd" in text
    assert "pending" in text


def test_a_run_that_is_not_there_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["graph", "nothing", "--state-dir", str(tmp_path)]) == 2
    assert "there is no run 'nothing'" in capsys.readouterr().err


def test_hostile_names_stay_labels() -> None:
    graph = Graph(HOSTILE, {HOSTILE: [], "b": [HOSTILE]}, {HOSTILE: TaskState.FAILED})
    flowchart = mermaid(graph).splitlines()
    assert flowchart[1].startswith('  n0["a#34;#93;#59; x --#62; y #60;script#62;#38;#92; #35;#96;')
    assert [line.strip() for line in flowchart if "-->" in line] == ["n0 --> n1"]
    label = dot(graph).splitlines()[3]
    assert label.startswith('  n0 [label="a\\"]; x --> y <script>&\\\\ #`\\\\x1b')
    drawn = parsed(svg(graph))
    assert [text.text for text in drawn.iter(f"{SVG}text")][:2] == ['a"]; x --> y <script>…', "failed"]
    assert not list(drawn.iter(f"{SVG}script"))


def test_what_xml_cannot_hold_is_written_out() -> None:
    drawn = parsed(svg(Graph("a\ufffe", {"b\uffff": []})))
    assert [title.text for title in drawn.iter(f"{SVG}title")] == ["a\\ufffe", "b\\uffff"]


def test_an_edge_over_several_columns_passes_between_tasks() -> None:
    layers = lay_out({"c": ["b", "a"], "b": ["a"], "a": []})
    assert {task: column for task, (column, _) in layers.places.items()} == {"a": 0, "b": 1, "c": 2}
    ((column, row),) = layers.passed["a"]
    assert column == 1
    assert row != layers.places["b"][1]


def test_neighbours_are_brought_side_by_side() -> None:
    layers = lay_out({"a": [], "b": [], "of b": ["b"], "of a": ["a"]})
    assert layers.places["of a"][1] == layers.places["a"][1]


def test_an_empty_graph_is_a_picture() -> None:
    assert parsed(svg(Graph("empty", {}))).tag == f"{SVG}svg"


def test_a_picture_grows_no_faster_than_its_edges() -> None:
    needs = {f"t{at}": [f"t{other}" for other in {0, at - 1} if other >= 0 and at] for at in range(2_000)}
    picture = svg(Graph("a chain, and all need the first", needs))
    assert picture.count('class="edge"') == 3_997
    assert len(picture) < 4_000_000


def test_a_thousand_tasks_are_drawn_at_once() -> None:
    needs = {f"t{at}": [f"t{other}" for other in range(max(0, at - 9), at, 3)] for at in range(1_000)}
    needs["last"] = list(needs)
    began = time.process_time()
    drawn = parsed(svg(Graph("many", needs)))
    assert time.process_time() - began < 3  # of processor time
    assert len(list(drawn.iter(f"{SVG}rect"))) == 1_001
