#!/bin/sh
# Writes functions.ld, beside this: the functions that a daemon uses, as valgrind sees them, first at rest, then in rounds
# and for its API. After larger changes, or with another compiler: cargo build --release && deploy/link/record.sh
# (needs valgrind and curl). Names lose their hashes, which differ from build to build, so that one list serves them all,
# and what is behind 60 characters, so that it stays short.
set -eu
export LC_ALL=C
cd "$(dirname "$0")/../.."
gatherd=$PWD/target/release/gatherd
list=$PWD/deploy/link/functions.ld
folder=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$folder"' EXIT
cd "$folder"

"$gatherd" sample-api >address 2>sample.log &
until [ -s address ]; do sleep 0.1; done
address=$(sed 's#/$##' address)

# What the daemon calls from its start to its end, while the rest of the arguments is run.
record() {
    config=$1 calls=$2
    shift 2
    valgrind --tool=callgrind --demangle=no --max-threads=400 --callgrind-out-file="$calls" \
        "$gatherd" run --config "$config" >"$calls.log" 2>&1 &
    daemon=$!
    until curl -sf http://127.0.0.1:8799/readyz >answer; do sleep 0.5; done
    "$@"
    kill -TERM "$daemon"
    wait "$daemon"
}

work() {
    for _ in 1 2 3 4 5 6; do
        sleep 5
        for path in healthz readyz metrics api/v1/status api/v1/jobs api/v1/latest api/v1/rounds; do
            curl -s "http://127.0.0.1:8799/$path" >answer
        done
    done
}

printf 'workers = 64\nserver.listen = "127.0.0.1:8799"\n[[job]]\nname = "rest"\nevery = "1h"\nendpoints = ["%s/healthy"]\n' \
    "$address" >rest.toml
{
    printf 'server.listen = "127.0.0.1:8799"\n[[job]]\nname = "work"\nevery = "3s"\ntimeout = "1s"\nretries = 1\nendpoints = [\n'
    for mode in healthy figures/shop slow echo chunked etag gzip flaky hang close html-200 html-500 rate-limited bot-wall \
        redirect null; do
        printf '"%s/%s",\n' "$address" "$mode"
    done
    printf ']\n'
} >work.toml
record rest.toml rest sleep 10
record work.toml work work

nm --defined-only "$gatherd" | awk '$2 ~ /^[tTwW]$/ { print $3 }' | sort -u >defined
sections() {
    sed -nE "s/^c?fn=\([0-9]+\) ([^' ]+).*/\1/p" "$1" | sort -u | comm -12 - defined |
        sed -E 's/17h[0-9a-f]{16}E.*/17h*/; s/Cs[0-9A-Za-z]+_/Cs*_/g; s/\.(constprop|isra|part|llvm)\.[0-9]+$/.*/' |
        sed -E 's/^(.{60}).+/\1*/; s/\*+$/*/; s/.*/*(.text*.&)/' | sort -u
}
sections rest >rest.sections
sections work | comm -13 rest.sections - >work.sections
{
    echo '/* Written by record.sh: these functions lie side by side in the binary. ARCHITECTURE.md says why. */'
    echo 'SECTIONS {'
    echo '.text.daemon : {'
    cat rest.sections work.sections
    echo '}'
    echo '}'
    echo 'INSERT BEFORE .text;'
} >"$list"
wc -l rest.sections work.sections
