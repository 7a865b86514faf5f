#!/usr/bin/env bash
# The package in a real, booted systemd: installed in a Debian 12 in a container, run under all of the unit's limits,
# upgraded and purged. Needs root, debootstrap, systemd-nspawn (Debian's systemd-container), cargo-deb and, the first
# time, a network.
#
#   deploy/test/booted.sh [FOLDER]
#
# FOLDER is where the Debian is kept for the next run (target/booted). With PREBUILT=1 the binary is the one that is in
# target/release.
set -euo pipefail
cd "$(dirname "$0")/../.."
folder="$(realpath -m "${1:-target/booted}")"

if [ ! -e "$folder/complete" ]; then
    rm -rf "$folder"
    mkdir -p "$folder"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,curl bookworm "$folder/debian"
    touch "$folder/complete"
fi

# What the test changes is gone with it.
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cp -a --reflink=auto "$folder/debian" "$work/debian"
root="$work/debian"
mkdir "$root/test"
# The same built again is an upgrade.
version="$(sed -n '0,/^version = /s/^version = "\(.*\)"$/\1/p' Cargo.toml)"
deploy/package.sh --fast --deb-version "$version-1" --output "$root/test/gatherd-1.deb"
PREBUILT=1 deploy/package.sh --fast --deb-version "$version-2" --output "$root/test/gatherd-2.deb"
install -D -m 755 deploy/test/inside.sh "$root/test/inside.sh"
cat >"$root/etc/systemd/system/inside.service" <<'UNIT'
[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/test/inside.sh
StandardOutput=append:/test/log
StandardError=append:/test/log
TimeoutStartSec=10min
ExecStopPost=/bin/systemctl --no-block poweroff
[Install]
WantedBy=multi-user.target
UNIT
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"

timeout 900 systemd-nspawn --quiet -D "$root" --boot --register=no --keep-unit --console=pipe </dev/null >"$work/console" 2>&1 ||
    true
cat "$root/test/log" || tail -n 50 "$work/console"
tail -n 1 "$root/test/log" | grep -qx "all is well"
