"""States a task and an epic can be in, and the reasons for them.

State and reason are two types: the state says where a task stands in its life, the reason why it stands there.
"""

from enum import StrEnum


class TaskState(StrEnum):
    """Where a task stands; the legal moves between the states are in `dockersched.graph.transitions`."""

    PENDING = "pending"
    READY = "ready"
    RUNNING = "running"
    STOPPING = "stopping"
    RETRYING = "retrying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    UPSTREAM_FAILED = "upstream_failed"
    SKIPPED = "skipped"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a task did not succeed."""

    EXIT_CODE = "exit_code"
    TIMED_OUT = "timed_out"
    OOM_KILLED = "oom_killed"
    KILLED = "killed"
    NOT_FOUND = "not_found"
    NOT_EXECUTABLE = "not_executable"
    BAD_USER = "bad_user"
    BAD_WORKING_DIR = "bad_working_dir"
    VALUE_MISSING = "value_missing"
    INPUT_DAMAGED = "input_damaged"
    BAD_VALUES = "bad_values"
    OUTPUT_MISSING = "output_missing"
    OUTPUT_REFUSED = "output_refused"
    OUTPUT_LOST = "output_lost"
    IMAGE_UNAVAILABLE = "image_unavailable"
    QUOTA_NOT_APPLIED = "quota_not_applied"
    REJECTED = "rejected"
    INTERRUPTED = "interrupted"
    ENGINE_ERROR = "engine_error"
    CANCELLED = "cancelled"
    FAIL_FAST = "fail_fast"
    EPIC_TIMED_OUT = "epic_timed_out"
    UPSTREAM_FAILED = "upstream_failed"
    CONDITION = "condition"
    UPSTREAM_SKIPPED = "upstream_skipped"


class EpicState(StrEnum):
    """How an epic ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
