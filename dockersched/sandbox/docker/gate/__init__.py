"""The gate: the program that holds a sandbox's place until its task may run, as bytes that need no compiler.

`source` is what it does, once for every architecture; `x86_64` and `aarch64` encode it; `elf` makes it executable.
"""
