"""How often Python looks for garbage."""

import gc

_YOUNG = 50_000
"""Objects from one look to the next. By default it is 700, so that with hundreds of sandboxes side by side each look
finds all of what they consist of alive: at a thousand that takes a quarter of the processor's time."""


def collect_seldom() -> None:
    """Makes Python look for garbage less often, in the whole process.

    Nearly all that an epic makes is used to its end, and what is not goes without that search. For the command alone:
    a program that embeds dockersched decides for itself.
    """
    gc.set_threshold(_YOUNG, *gc.get_threshold()[1:])


def spare_what_is_loaded() -> None:
    """Never looks again among what there is now, not even when the program ends: modules hardly become garbage."""
    gc.freeze()
