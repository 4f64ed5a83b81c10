#!/bin/sh
# Usage: fetch.sh PYTHON
# Downloads what wheels.txt and sdists.txt name into downloads/, with PYTHON's pip. To learn the name of a source
# distribution pip runs its build program, here and outside of any sandbox: the hashes say that it is the one we know.
set -eu

python=$1
here=$(dirname "$0")
mkdir -p "$here/downloads"

fetch() {
    kind=$1
    shift
    rm -rf "$here/downloads/$kind"
    log=$here/downloads/$kind.log
    "$python" -m pip download --disable-pip-version-check --no-deps --require-hashes \
        --dest "$here/downloads/$kind" --requirement "$here/$kind.txt" "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "dockersched: pip could not download what $here/$kind.txt names (its output is above)" >&2
        exit 1
    }
}

# For the sandbox's Python, whatever this one and this machine are.
fetch wheels --only-binary :all: --no-binary markupsafe \
    --python-version 3.11 --implementation py --abi none --platform any
fetch sdists --no-binary :all:
touch "$here/downloads/complete"
