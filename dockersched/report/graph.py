"""A graph of tasks as mermaid, dot or svg; that of a run with the state of each task in colour and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from msgspec import Struct, field

from dockersched.report.layered import Place, lay_out
from dockersched.report.svg import STATE_COLOURS, WAITING, colours_of, picture, text_of
from dockersched.report.text import one_line
from dockersched.states import TaskState

_ID_MAX = 64
_SHOWN_MAX = 22
_WIDTH, _HEIGHT, _COLUMN, _ROW, _MARGIN = 170, 40, 240, 56, 20


class Graph(Struct, frozen=True):
    """What is drawn.

    Args:
        title: of the picture.
        needs: for each task, in declaration order, those that it depends on.
        states: of the tasks of a run; empty for an epic.
    """

    title: str
    needs: Mapping[str, Sequence[str]]
    states: Mapping[str, TaskState] = field(default_factory=dict)

    def edges(self) -> Iterator[tuple[str, str]]:
        """From each task to those that depend on it, each pair once."""
        for task, needed in self.needs.items():
            for other in dict.fromkeys(needed):
                yield other, task


def mermaid(graph: Graph) -> str:
    """As a flowchart of mermaid."""
    number = {task: at for at, task in enumerate(graph.needs)}
    lines = ["flowchart LR"]
    for task, at in number.items():
        state = graph.states.get(task)
        words = _entities(one_line(task, _ID_MAX)) + (f"<br/>{state}" if state else "")
        lines.append(f'  n{at}["{words}"]' + (f":::{state}" if state else ""))
    lines += [f"  n{number[one]} --> n{number[other]}" for one, other in graph.edges()]
    for state in dict.fromkeys(graph.states.values()):
        fill, border = STATE_COLOURS.get(state, WAITING)
        lines.append(f"  classDef {state} fill:{fill},stroke:{border},color:#111111")
    return "\n".join(lines) + "\n"


def dot(graph: Graph) -> str:
    """As a digraph of Graphviz."""
    number = {task: at for at, task in enumerate(graph.needs)}
    lines = [f"digraph {_quoted(graph.title)} {{", "  rankdir=LR;", '  node [shape=box, style="rounded,filled"];']
    for task, at in number.items():
        state = graph.states.get(task)
        fill, border = colours_of(state)
        words = _quoted(one_line(task, _ID_MAX))[:-1] + (f'\\n{state}"' if state else '"')
        lines.append(f'  n{at} [label={words}, fillcolor="{fill}", color="{border}"];')
    lines += [f"  n{number[one]} -> n{number[other]};" for one, other in graph.edges()]
    return "\n".join([*lines, "}"]) + "\n"


def svg(graph: Graph) -> str:
    """As a picture."""
    layers = lay_out(graph.needs)
    rows = [row for _, row in layers.places.values()] + [row for way in layers.passed.values() for _, row in way]
    top = min(rows, default=0.0)

    def at(place: Place) -> tuple[float, float]:
        return _MARGIN + place[0] * _COLUMN, _MARGIN + (place[1] - top) * _ROW

    parts = []
    for one, other in graph.edges():
        place, end = layers.places[one], layers.places[other]
        way = [at(passed) for passed in layers.passed[one][: end[0] - place[0] - 1]]
        parts.append(f'<path class="edge" d="{_curve(at(place), way, at(end))}"/>')
    parts += [_box(task, graph.states.get(task), *at(place)) for task, place in layers.places.items()]
    columns = max((column for column, _ in layers.places.values()), default=0) + 1
    height = (max(rows, default=0.0) - top) * _ROW + _HEIGHT + 2 * _MARGIN
    return picture((columns - 1) * _COLUMN + _WIDTH + 2 * _MARGIN, height, graph.title, "".join(parts)) + "\n"


def _curve(start: tuple[float, float], way: Sequence[tuple[float, float]], end: tuple[float, float]) -> str:
    x, y = start[0] + _WIDTH, start[1] + _HEIGHT / 2
    path = f"M{x:g} {y:g}"
    for at_x, at_y in [*way, end]:
        middle, to_y = (x + at_x) / 2, at_y + _HEIGHT / 2
        path += f"C{middle:g} {y:g} {middle:g} {to_y:g} {at_x:g} {to_y:g}"
        x, y = at_x, to_y
        if (at_x, at_y) != end:
            x += _WIDTH
            path += f"L{x:g} {y:g}"
    return path


def _box(task: str, state: TaskState | None, x: float, y: float) -> str:
    fill, border = colours_of(state)
    words = f'<text x="{x + 8:g}" y="{y + (17 if state else 24):g}">{text_of(task, _SHOWN_MAX)}</text>'
    words += f'<text x="{x + 8:g}" y="{y + 32:g}">{state}</text>' if state else ""
    title = text_of(task) + (f": {state}" if state else "")
    return (
        f'<g><title>{title}</title><rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="6" '
        f'fill="{fill}" stroke="{border}"/>{words}</g>'
    )


def _entities(text: str) -> str:
    """Text in a quoted label of mermaid, in which nothing but letters, digits and a few signs is taken as it is."""
    return "".join(char if char.isalnum() or char in " _-." else f"#{ord(char)};" for char in text)


def _quoted(text: str) -> str:
    return '"' + one_line(text).replace("\\", "\\\\").replace('"', '\\"') + '"'
