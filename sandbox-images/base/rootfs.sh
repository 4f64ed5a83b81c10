#!/bin/sh
# Usage: rootfs.sh OUT.tar
# Writes a root file system with a static busybox, for engines that reach no registry. Needs no root where
# busybox is installed or apt-get can download it.
set -eu

out=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

is_static() { [ -x "$1" ] && ! ldd "$1" >/dev/null 2>&1; }

find_busybox() {
    installed=$(command -v busybox || true)
    if [ -n "$installed" ] && is_static "$installed"; then
        echo "$installed"
        return
    fi
    command -v apt-get >/dev/null || return 1
    echo "downloading Debian's busybox-static" >&2
    (
        cd "$work"
        apt-get download -q busybox-static >&2 || { apt-get update -q >&2 && apt-get download -q busybox-static >&2; }
        dpkg-deb -x busybox-static_*.deb unpacked
    ) || return 1
    echo "$work/unpacked/bin/busybox"
}

busybox=$(find_busybox) || {
    echo "no static busybox here: install busybox-static, or set DOCKERSCHED_BASE_IMAGE_BASE=busybox:stable-musl" >&2
    exit 1
}

root=$work/root
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/home/sandbox" "$root/root"
chmod 1777 "$root/tmp"
cp "$busybox" "$root/bin/busybox"
"$busybox" --list-full | while read -r applet; do
    [ "$applet" = bin/busybox ] && continue
    mkdir -p "$root/$(dirname "$applet")"
    ln -sf /bin/busybox "$root/$applet"
done
cat >"$root/etc/passwd" <<EOT
root:x:0:0:root:/root:/bin/sh
nobody:x:65534:65534:nobody:/home/sandbox:/bin/sh
EOT
cat >"$root/etc/group" <<EOT
root:x:0:
nogroup:x:65534:
EOT
tar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner -C "$root" -cf "$out" .
