#!/bin/sh
# Usage: rootfs.sh OUT.tar
# Writes a slim Debian bookworm with Python and git, for engines that reach no registry (half a minute).
set -eu

out=$1
if ! command -v mmdebstrap >/dev/null; then
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "mmdebstrap is missing: install it, or set DOCKERSCHED_BASE_IMAGE_PYTHON=debian:bookworm-slim" >&2
        exit 1
    fi
    echo "installing mmdebstrap" >&2
    { apt-get update -q && DEBIAN_FRONTEND=noninteractive \
        apt-get install -qy --no-install-recommends mmdebstrap debian-archive-keyring; } >&2
fi

# The exclusions are those of Debian's own slim images.
exec mmdebstrap --quiet --variant=minbase \
    --include=ca-certificates,git,python3,python3-pip,python3-venv \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --dpkgopt='path-exclude=/usr/share/info/*' \
    bookworm "$out"
