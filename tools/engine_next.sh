#!/bin/sh
# Usage: tools/engine_next.sh FOLDER
# Unpacks the container engine of Debian's next release into FOLDER/bin, for tests: a second version beside the system's.
# Nothing is installed: apt gets lists and caches of its own below FOLDER, and the mirror that the system's apt uses.
# The system's runc is used with it, as the newer one needs a newer C library. The static busybox beside it is for tests
# that build images, since an engine of a test's own reaches no mirror. To fetch anew, remove FOLDER.
set -eu

folder=$1 release=trixie packages="docker.io containerd tini busybox-static"

say() { printf 'dockersched: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
version() { "$folder/bin/dockerd" --version 2>/dev/null; }

if version; then exit; fi

command -v apt-get >/dev/null && command -v dpkg >/dev/null || die "engine-next needs apt-get and dpkg: it works on Debian only"
command -v runc >/dev/null || die "engine-next needs the system's runc: make engine"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || die "engine-next finds no mirror for '$codename' in the configuration of apt"

rm -rf "$folder"
mkdir -p "$folder/apt/lists/partial" "$folder/apt/cache/archives/partial" "$folder/root" "$folder/bin"
folder=$(cd "$folder" && pwd)
: >"$folder/apt/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$folder/apt/sources.list"

# The system's settings of proxies and certificates stay; only where things are kept is changed.
apt() {
    (cd "$folder/apt" && apt-get -qq \
        -o Dir::Etc::SourceList="$folder/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$folder/apt" -o Dir::State::status="$folder/apt/status" -o Dir::Cache="$folder/apt/cache" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root "$@") >&2
}

say "fetching $packages of Debian $release from $mirror"
apt update
# shellcheck disable=SC2086 # several packages
apt download $packages
for package in "$folder"/apt/*.deb; do dpkg -x "$package" "$folder/root"; done
# dockerd comes last: while it is missing, the next call begins anew.
for program in busybox docker-init docker-proxy containerd containerd-shim-runc-v2 dockerd; do
    found=$(find "$folder/root" -name "$program" -perm /111 \( -type f -o -type l \) | head -n 1)
    [ -n "$found" ] || die "Debian $release's packages $packages hold no $program"
    cp -L "$found" "$folder/bin/$program"
done
rm -rf "$folder/apt" "$folder/root"
version || { "$folder/bin/dockerd" --version >&2 || :; die "the engine in $folder does not run here"; }
