"""The JSON Schema of epic files, made from the declarations that the loader reads with."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from dockersched.epicfile.keys import Keys
from dockersched.epicfile.spec import EpicFile


def epic_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an epic file.

    What it accepts may still be refused by the loader, which also knows units, ids across tasks and the graph;
    what it refuses the loader refuses too.
    """
    definitions: dict[str, dict[str, Any]] = {}
    epic = _define(EpicFile, definitions)
    words = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$defs": dict(sorted(definitions.items()))}
    return deepcopy(words | epic)


def _define(keys: type[Keys], definitions: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The schema of a map, with the definitions that it refers to added to those."""
    for declared in keys.declared.values():
        for inner in declared.kind.maps:
            if inner.__name__ not in definitions:
                definitions[inner.__name__] = _define(inner, definitions)
    schema: dict[str, Any] = {
        "additionalProperties": False,
        "description": keys.__doc__,
        "properties": {name: declared.told | declared.kind.schema for name, declared in keys.declared.items()},
        "title": keys.__name__,
        "type": "object",
    }
    if needed := [name for name, declared in keys.declared.items() if declared.needed]:
        schema["required"] = needed
    return dict(sorted((schema | keys.more_schema).items()))
