"""What callers hand in: tasks, their limits, and the options of an epic.

Plain frozen dataclasses, checked when built: a hundred thousand of them cost little, and importing them costs nothing.
"""

from dockersched.model.condition import TaskIs, ValueIs, When
from dockersched.model.files import WORKSPACE_DIR, Input, Output, OutputWhen, Workspace, is_output_name
from dockersched.model.opening import CAPABILITIES, ULIMITS, Mount, Profile
from dockersched.model.options import EpicExecutionOptions
from dockersched.model.quota import MIN_CPUS, MIN_MEMORY_BYTES, QuotaConfig
from dockersched.model.retry import RETRY_CAUSES, RetryPolicy
from dockersched.model.secret import SECRET_NAME_PATTERN, SECRETS_DIR, SecretSource, is_secret_name
from dockersched.model.task import Network, NetworkNamespace, PullPolicy, ScheduledTask

__all__ = [
    "CAPABILITIES",
    "MIN_CPUS",
    "MIN_MEMORY_BYTES",
    "RETRY_CAUSES",
    "SECRETS_DIR",
    "SECRET_NAME_PATTERN",
    "ULIMITS",
    "WORKSPACE_DIR",
    "EpicExecutionOptions",
    "Input",
    "Mount",
    "Network",
    "NetworkNamespace",
    "Output",
    "OutputWhen",
    "Profile",
    "PullPolicy",
    "QuotaConfig",
    "RetryPolicy",
    "ScheduledTask",
    "SecretSource",
    "TaskIs",
    "ValueIs",
    "When",
    "Workspace",
    "is_output_name",
    "is_secret_name",
]
