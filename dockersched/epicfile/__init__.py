"""Epic files: YAML or JSON in, a checked `Epic` out, with every problem of the file at once."""

from dockersched.epicfile.load import load, load_text, locate
from dockersched.epicfile.mapping import load_mapping
from dockersched.epicfile.schema import epic_schema

__all__ = ["epic_schema", "load", "load_mapping", "load_text", "locate"]
