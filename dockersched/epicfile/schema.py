"""The JSON Schema of epic files, made from the models that the loader checks with."""

from __future__ import annotations

from typing import Any

from dockersched.epicfile.spec import EpicFile


def epic_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of an epic file.

    What it accepts may still be refused by the loader, which also knows units, ids across tasks and the graph;
    what it refuses the loader refuses too.
    """
    schema: dict[str, Any] = _tidied(EpicFile.model_json_schema(by_alias=True))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | schema


def _tidied(node: Any) -> Any:
    """The schema without what only the models need: generated titles, and null where a key may be left out."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items()}
    for name, schema in tidy.get("properties", {}).items():
        tidy["properties"][name] = _optional(schema)
    if "patternProperties" in tidy:
        tidy["additionalProperties"] = False
    return tidy


def _optional(schema: dict[str, Any]) -> dict[str, Any]:
    kept = {word: value for word, value in schema.items() if word != "title" and (word, value) != ("default", None)}
    choices = [choice for choice in kept.pop("anyOf", []) if choice != {"type": "null"}]
    if not choices:
        return kept
    return kept | (choices[0] if len(choices) == 1 else {"anyOf": choices})
