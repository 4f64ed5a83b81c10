"""How often Python looks for garbage."""

import gc

_YOUNG = 50_000
"""Objects from one look to the next. By default it is 700, so that with hundreds of sandboxes side by side each look
finds all of what they consist of alive: at a thousand that takes a quarter of the processor's time."""


_LOADED = 200_000
"""More objects than what any verb loads."""


def load_undisturbed() -> None:
    """Looks for no garbage while modules are loaded."""
    gc.set_threshold(_LOADED, *gc.get_threshold()[1:])


def collect_seldom() -> None:
    """Makes Python look for garbage less often, in the whole process, and never among what there is now.

    Nearly all that an epic makes is used to its end, and what is not goes without that search; modules hardly become
    garbage, not even when the program ends. For the command alone: a program that embeds dockersched decides itself.
    """
    gc.freeze()
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])
