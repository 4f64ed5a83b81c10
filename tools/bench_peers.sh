#!/bin/sh
# Usage: tools/bench_peers.sh PYTHON FOLDER
# Installs what the bench compares dockersched with into FOLDER, as far as it can be had, and says what cannot: Compose
# of Debian's next release, and Luigi, cwltool and miniwdl in virtual environments of their own. make and the docker
# client are the system's. To fetch anew, remove FOLDER.
set -u

python=$1 folder=$2 tools=$(dirname "$0")
constraints=$tools/../benchmarks/peers/constraints.txt

say() { printf 'dockersched: %s\n' "$*" >&2; }

# NAME OTHERS...: the package NAME, and others, in a virtual environment; a file at the end says that it is complete.
venv() {
    venv=$folder/$1
    [ -e "$venv/.installed" ] && return
    say "installing $1"
    "$python" -m venv --clear "$venv" &&
        "$venv/bin/python" -m pip install --quiet --disable-pip-version-check -c "$constraints" "$@" >"$venv/install.log" 2>&1 &&
        touch "$venv/.installed" && return
    tail -n 3 "$venv/install.log" >&2
    say "$1 could not be had"
    rm -rf "$venv"
}

compose() {
    program=$folder/compose/bin/docker-compose
    [ -x "$program" ] && return
    "$tools/next_release.sh" "$folder/compose/root" docker-compose && mkdir -p "$folder/compose/bin" &&
        found=$(find "$folder/compose/root" -name docker-compose -type f -perm /111 | head -n 1) && [ -n "$found" ] &&
        cp "$found" "$program" && rm -rf "$folder/compose/root" && "$program" version >&2 && return
    say "Compose could not be had"
    rm -rf "$folder/compose"
}

mkdir -p "$folder"
for program in make docker; do
    command -v "$program" >/dev/null || say "$program could not be had: install Debian's"
done
compose
venv luigi docker
venv cwltool
venv miniwdl
