"""One run of an epic in this process, from beginning to end; what the command and the Python client have in common."""

from dockersched.session.run import Session
from dockersched.session.terms import SessionResult, SessionSettings

__all__ = ["Session", "SessionResult", "SessionSettings"]
