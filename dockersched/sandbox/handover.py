"""What a sandbox gets from those before it: values in its arguments and variables, and trees of files as inputs."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from dockersched.data.store import TreeDigest
from dockersched.model.references import OPENING, parse_template
from dockersched.sandbox.base import SandboxRunOptions


class InputTree(Struct, frozen=True):
    """An output of an earlier task, and where it goes.

    Args:
        digest: of the tree in the content store.
        at: folder in the sandbox.
    """

    digest: TreeDigest
    at: str


def with_values(options: SandboxRunOptions) -> SandboxRunOptions:
    """The options with the values of other tasks filled in.

    Raises:
        ValueReferenceError: a task did not write a value that is referred to.
    """
    if not any(OPENING in text for text in (*options.args, *options.environment.values())):
        return options
    values = {task_id: result.values for task_id, result in options.upstream.items()}

    def filled(text: str) -> str:
        return parse_template(text).render(values)

    return replace(
        options,
        args=tuple(map(filled, options.args)),
        environment={name: filled(value) for name, value in options.environment.items()},
    )


def input_trees(options: SandboxRunOptions) -> list[InputTree]:
    """The inputs that there are: an output that need not be made may not have been."""
    trees = []
    for given in options.inputs:
        made = options.upstream[given.task].outputs.get(given.output) if given.task in options.upstream else None
        if made is not None:
            trees.append(InputTree(TreeDigest(made.digest), given.at))
    return trees
