#!/usr/bin/env bash
# The same URLs through gatherd fetch, curl --parallel, and a Python script, by turns; prints medians and ratios.
#
#   cargo build --release && benches/peers.sh
#
# Needs bash, curl and python3 with venv; the script takes requests from PyPI. Settings from the environment:
#   GATHERD  the binary (target/release/gatherd)     REPEATS  of each (5; of Python with delay: 1)
#   COUNT    URLs (5000)                             PYTHON   python3
set -euo pipefail
cd "$(dirname "$0")/.."

gatherd=${GATHERD:-target/release/gatherd}
repeats=${REPEATS:-5}
count=${COUNT:-5000}
wide=64

[ -x "$gatherd" ] || { echo "no $gatherd: cargo build --release makes it" >&2; exit 1; }
ulimit -n "$(ulimit -H -n)"
work=$(mktemp -d)
server=
finish() {
    [ -z "$server" ] || kill "$server" 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install --quiet requests
# What follows stays on this machine.
unset http_proxy HTTP_PROXY https_proxy HTTPS_PROXY all_proxy ALL_PROXY

"$gatherd" sample-api --listen 127.0.0.1:0 >"$work/url" 2>/dev/null &
server=$!
until [ -s "$work/url" ]; do sleep 0.05; done
base=$(cat "$work/url")

TIMEFORMAT='%R %U %S'

run_gatherd() { "$gatherd" fetch --workers "$wide" --urls "$work/urls" >"$work/vector.json"; }
run_curl() { curl --silent --parallel --parallel-max "$wide" --config "$work/curl.config"; }
# Without the files, which on some disks cost it more than the requests.
run_curl_one() { curl --silent --parallel --parallel-max "$wide" --config "$work/curl_one.config" >"$work/bodies"; }
run_python() { "$work/venv/bin/python" benches/peers.py "$work/urls" >"$work/vector.json"; }

documents() { # of the last run
    if [ "$1" = curl ]; then
        find "$work/out" -type f -size 147c | wc -l
    elif [ "$1" = curl_one ]; then
        grep -o '"currency"' "$work/bodies" | wc -l
    else
        grep -o '"currency"' "$work/vector.json" | wc -l
    fi
}

measure() { # who: adds "wall cpu" to its file
    rm -rf "$work/out" "$work/vector.json"
    mkdir "$work/out"
    { time "run_$1" 2>/dev/null; } 2>"$work/time"
    awk '{ print $1, $2 + $3 }' "$work/time" >>"$work/$1.times"
    local got
    got=$(documents "$1")
    [ "$got" = "$count" ] || { echo "$1: $got documents instead of $count" >&2; exit 1; }
}

median() { # file, column
    sort -n -k "$2,$2" "$1" | awk -v column="$2" '{ values[NR] = $column } END { print values[int((NR + 1) / 2)] }'
}

report() {
    local wall cpu who
    wall=$(median "$work/gatherd.times" 1)
    cpu=$(median "$work/gatherd.times" 2)
    printf '%-28s %10s %10s %12s %12s\n' "" wall CPU "wall ratio" "CPU ratio"
    for who in gatherd curl curl_one python; do
        awk -v who="$who" -v wall="$(median "$work/$who.times" 1)" -v cpu="$(median "$work/$who.times" 2)" \
            -v our_wall="$wall" -v our_cpu="$cpu" -v wide="$wide" 'BEGIN {
                name["gatherd"] = "gatherd fetch --workers " wide
                name["curl"] = "curl --parallel-max " wide
                name["curl_one"] = "curl, all to one file"
                name["python"] = "requests + asyncio.to_thread"
                printf "%-28s %8.3f s %8.3f s %12.2f %12.2f\n", name[who], wall, cpu, wall / our_wall, cpu / our_cpu
            }'
    done
}

echo "$count URLs, server on the same machine; $(curl --version | head -1 | cut -d' ' -f1,2)," \
    "$("$work/venv/bin/python" --version), requests $("$work/venv/bin/python" -c 'import requests; print(requests.__version__)')"
for path in healthy delay/100; do
    rm -f "$work"/*.times
    for ((number = 0; number < count; number++)); do echo "$base$path/$number"; done >"$work/urls"
    awk -v out="$work/out" '{ printf "url = \"%s\"\noutput = \"%s/%d\"\n", $0, out, NR }' "$work/urls" \
        >"$work/curl.config"
    awk '{ printf "url = \"%s\"\n", $0 }' "$work/urls" >"$work/curl_one.config"
    for ((repeat = 0; repeat < repeats; repeat++)); do
        measure gatherd
        measure curl
        measure curl_one
        # With delay it sleeps, for more than a minute.
        if [ "$path" = healthy ] || [ "$repeat" = 0 ]; then measure python; fi
    done
    echo
    echo "/$path/N, medians of $repeats repeats by turns (ratios: theirs to gatherd's)"
    report
done
