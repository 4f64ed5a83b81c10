#!/bin/sh
# Usage: tools/engine_next.sh FOLDER
# Unpacks the container engine of Debian's next release into FOLDER/bin, for tests: a second version beside the system's.
# Nothing is installed.
# The system's runc is used with it, as the newer one needs a newer C library. The static busybox beside it is for tests
# that build images, since an engine of a test's own reaches no mirror. To fetch anew, remove FOLDER.
set -eu

folder=$1 packages="docker.io containerd tini busybox-static"

say() { printf 'dockersched: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
version() { "$folder/bin/dockerd" --version 2>/dev/null; }

if version; then exit; fi

command -v runc >/dev/null || die "engine-next needs the system's runc: make engine"

rm -rf "$folder"
mkdir -p "$folder/bin"
# shellcheck disable=SC2086 # several packages
"$(dirname "$0")/next_release.sh" "$folder/root" $packages
# dockerd comes last: while it is missing, the next call begins anew.
for program in busybox docker-init docker-proxy containerd containerd-shim-runc-v2 dockerd; do
    found=$(find "$folder/root" -name "$program" -perm /111 \( -type f -o -type l \) | head -n 1)
    [ -n "$found" ] || die "the packages $packages hold no $program"
    cp -L "$found" "$folder/bin/$program"
done
rm -rf "$folder/root"
version || { "$folder/bin/dockerd" --version >&2 || :; die "the engine in $folder does not run here"; }
