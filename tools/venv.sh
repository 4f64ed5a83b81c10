#!/bin/sh
# Usage: tools/venv.sh PYTHON VENV REQUIREMENT
# Makes or updates the virtual environment VENV and installs REQUIREMENT ("." or ".[dev]") into it, editable,
# at the versions of constraints.txt. Speaks on stderr only: stdout belongs to the command that follows.
set -eu

python=$1 venv=$2 requirement=$3

say() { printf 'dockersched: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
can_make_venv() { "$python" -c 'import ensurepip, venv' 2>/dev/null; }

require_python() {
    command -v "$python" >/dev/null || die "'$python' was not found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "$("$python" -V 2>&1) is too old: Python 3.11 or newer is needed. Name one: make PYTHON=/path/to/python3.11"
}

require_venv_module() {
    can_make_venv && return
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "'$python' cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install python3-venv"
    fi
    say "'$python' cannot make virtual environments: installing Debian's python3-venv"
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends python3-venv; } >"$log" 2>&1 ||
        { cat "$log" >&2; die "apt-get could not install python3-venv (its output is above)"; }
    rm -f "$log"
    can_make_venv || die "'$python' still cannot make virtual environments. Use the system's: make PYTHON=/usr/bin/python3"
}

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    require_python
    require_venv_module
    say "making the virtual environment $venv"
    "$python" -m venv --clear "$venv"
fi
say "installing the pinned dependencies into $venv"
log=$venv/install.log
"$venv/bin/python" -m pip install --disable-pip-version-check -c constraints.txt -e "$requirement" >"$log" 2>&1 ||
    { cat "$log" >&2; die "pip could not install the dependencies (its output is above)"; }
