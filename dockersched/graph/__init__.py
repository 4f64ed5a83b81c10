"""The graph of an epic and what is decided from it: pure, without I/O, clock or threads."""
