#!/bin/sh
# Builds the Debian package into target/debian: the release binary, its manual and completions, then `cargo deb`
# (`cargo install cargo-deb`). What is in it says [package.metadata.deb] in Cargo.toml. With PREBUILT=1 the binary is
# the one that is in target/release. Further arguments are cargo deb's.
set -eu
cd "$(dirname "$0")/.."

gatherd=target/release/gatherd
[ -n "${PREBUILT:-}" ] || cargo build --release --locked

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH
rm -rf target/dist
mkdir -p target/dist
"$gatherd" man target/dist/man
for shell in bash zsh fish; do
    "$gatherd" completions "$shell" >"target/dist/gatherd.$shell"
done
gzip -9n <CHANGELOG.md >target/dist/changelog.gz
# And that of the packaging.
version=$("$gatherd" --version | cut -d ' ' -f 2)
date=$(date -R -d "@$SOURCE_DATE_EPOCH")
cat >target/dist/changelog <<END
gatherd ($version-1) unstable; urgency=medium

  * Version $version; changelog.gz beside this says what is new.

 -- $(sed -n 's/^maintainer = "\(.*\)"$/\1/p' Cargo.toml)  $date
END
# Panics name their line also without the symbols, which are four fifths of it.
cargo deb --no-build --locked --strip "$@"
