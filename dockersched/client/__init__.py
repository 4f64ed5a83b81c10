"""Runs of epics from a Python program, with all that the command has: state on disk, recovery, a clean end."""

from dockersched.client.blocking import run
from dockersched.client.client import Client, EpicSource, connect
from dockersched.client.handle import RunHandle

__all__ = ["Client", "EpicSource", "RunHandle", "connect", "run"]
