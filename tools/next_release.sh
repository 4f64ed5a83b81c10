#!/bin/sh
# Usage: tools/next_release.sh FOLDER PACKAGE...
# Unpacks packages of Debian's next release, without what they depend on, into FOLDER.
# Nothing is installed: apt gets lists and caches of its own, and the mirror that the system's apt uses.
set -eu

folder=$1 release=trixie
shift

say() { printf 'dockersched: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

command -v apt-get >/dev/null && command -v dpkg >/dev/null || die "there is no apt-get or no dpkg: this works on Debian only"
codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=$(apt-get indextargets --format '$(CODENAME) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
    awk -v codename="$codename" '$1 == codename && $2 == "main" { print $3; exit }')
[ -n "$mirror" ] || die "there is no mirror for '$codename' in the configuration of apt"

apt_folder=$(mktemp -d)
trap 'rm -rf "$apt_folder"' EXIT
mkdir -p "$apt_folder/lists/partial" "$apt_folder/cache/archives/partial" "$folder"
: >"$apt_folder/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $release main" >"$apt_folder/sources.list"

# The system's settings of proxies and certificates stay; only where things are kept is changed.
apt() {
    (cd "$apt_folder" && apt-get -qq \
        -o Dir::Etc::SourceList="$apt_folder/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State="$apt_folder" -o Dir::State::status="$apt_folder/status" -o Dir::Cache="$apt_folder/cache" \
        -o Acquire::Languages=none -o APT::Sandbox::User=root "$@") >&2
}

say "fetching $* of Debian $release from $mirror"
apt update
apt download "$@"
for package in "$apt_folder"/*.deb; do dpkg -x "$package" "$folder"; done
