#!/bin/sh
# Installs the package in a clean Debian 12, as an administrator would, removes it, purges it, and looks each time at
# what is there. Takes root, debootstrap and a network with Debian's packages: sudo deploy/test/package.sh [FILE.deb]
# Without a file the package is built first. DEBIAN=DIR names a clean Debian 12 to copy instead of making one.
set -eu
here=$(cd "$(dirname "$0")" && pwd)

fail() {
    echo "package: $*" >&2
    exit 1
}

package=${1:-}
if [ -z "$package" ]; then
    "$here/../package.sh"
    package=$(ls -t "$here"/../../target/debian/gatherd_*.deb | head -n 1)
fi

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT INT TERM
if [ -n "${DEBIAN:-}" ]; then
    cp -a "$DEBIAN/." "$root"
else
    echo "== a clean Debian 12"
    debootstrap --variant=minbase bookworm "$root" >"$root.log" 2>&1 || {
        cat "$root.log"
        fail "debootstrap failed"
    }
    rm -f "$root.log"
fi
inside() {
    chroot "$root" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C "$@"
}
# What is there, but for what apt and dpkg keep of every package.
files() {
    (cd "$root" && find etc usr var lib opt home root srv -not -path 'var/lib/apt/*' -not -path 'var/lib/dpkg/*' \
        -not -path 'var/cache/*' -not -path 'var/log/*' 2>/dev/null | sort)
}
there() { [ -e "$root/$1" ] || [ -L "$root/$1" ] || fail "no /$1 $2"; }
gone() { if [ -e "$root/$1" ] || [ -L "$root/$1" ]; then fail "/$1 is there $2"; fi; }

inside apt-get update -qq
inside apt-get install -qq --yes ca-certificates >/dev/null 2>&1 || fail "no ca-certificates to be had"
files >"$root/before"

echo "== install"
cp "$package" "$root/tmp/gatherd.deb"
inside apt-get install -qq --yes /tmp/gatherd.deb >"$root/log" 2>&1 || {
    cat "$root/log"
    fail "it does not install"
}
for path in usr/bin/gatherd etc/gatherd/config.toml lib/systemd/system/gatherd.service lib/systemd/system/gatherd.socket \
    usr/share/man/man1/gatherd.1.gz usr/share/man/man1/gatherd-run.1.gz \
    usr/share/bash-completion/completions/gatherd usr/share/zsh/vendor-completions/_gatherd \
    usr/share/fish/vendor_completions.d/gatherd.fish; do
    there "$path" "after the installation"
done
inside gatherd --version
inside gatherd check --config /etc/gatherd/config.toml >/dev/null || fail "gatherd check refuses the packaged config"
inside dpkg-query --show --showformat='${Conffiles}' gatherd | grep -q ' /etc/gatherd/config.toml ' ||
    fail "config.toml is no conffile"
[ -z "$(find "$root/etc/systemd/system" -name 'gatherd*')" ] || fail "a unit was enabled without being asked to"
# What is there now that was not before, and is not in the package's own list.
inside dpkg-query --listfiles gatherd | sed 's|^/||; s|^lib/|usr/lib/|' | sort >"$root/listed"
strangers=$(files | comm -13 "$root/before" - | comm -23 - "$root/listed" | grep -v '^lib/systemd\|deb-systemd-helper' || true)
[ -z "$strangers" ] || fail "not in the package's list: $strangers"

echo "== remove: the config and the state stay"
echo "# edited" >>"$root/etc/gatherd/config.toml"
echo secret >"$root/etc/gatherd/token"
# As systemd lays out the state of a unit with DynamicUser and StateDirectory=gatherd.
install -d -m 700 "$root/var/lib/private/gatherd"
ln -s private/gatherd "$root/var/lib/gatherd"
echo rounds >"$root/var/lib/private/gatherd/gatherd.db"
inside apt-get remove -qq --yes gatherd >"$root/log" 2>&1 || fail "it does not remove: $(cat "$root/log")"
gone usr/bin/gatherd "after the removal"
there etc/gatherd/config.toml "after the removal"
there var/lib/private/gatherd/gatherd.db "after the removal"

echo "== install again: the edited config is kept"
inside apt-get install -qq --yes /tmp/gatherd.deb >"$root/log" 2>&1 || fail "it does not install again: $(cat "$root/log")"
grep -q '^# edited$' "$root/etc/gatherd/config.toml" || fail "the edited config was replaced"

echo "== purge: only what the administrator made stays"
inside apt-get purge -qq --yes gatherd >"$root/log" 2>&1 || fail "it does not purge: $(cat "$root/log")"
left=$(files | comm -13 "$root/before" - | tr '\n' ' ')
[ "$left" = "etc/gatherd etc/gatherd/token " ] || [ "$left" = "etc/gatherd etc/gatherd/token var/lib/private " ] ||
    fail "left behind: $left"
lost=$(files | comm -23 "$root/before" - | tr '\n' ' ')
[ -z "$lost" ] || fail "taken along: $lost"
echo "package: all is well"
