#!/usr/bin/env bash
# The unit in a real, booted systemd: Debian 12 in a container, the daemon under all of its limits. Needs root,
# debootstrap, systemd-nspawn (Debian's systemd-container) and, the first time, a network.
#
#   deploy/test/booted.sh [BINARY] [FOLDER]
#
# BINARY is target/debug/gatherd, FOLDER is where the Debian is kept for the next run (target/booted).
set -euo pipefail
cd "$(dirname "$0")/../.."
binary="$(realpath "${1:-target/debug/gatherd}")"
folder="$(realpath -m "${2:-target/booted}")"

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
install -D -m 755 "$binary" "$root/usr/bin/gatherd"
install -D -m 644 -t "$root/etc/systemd/system" deploy/gatherd.service deploy/gatherd.socket
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
