#!/bin/sh
# Schemathesis against the HTTP API of a running daemon: requests made from its own description, right and wrong ones.
# Not part of `cargo test`. Needs `pip install schemathesis`; SCHEMATHESIS names the program where it is not in the path.
set -eu
st=${SCHEMATHESIS:-st}
gatherd=$(realpath "${GATHERD:-target/debug/gatherd}")
folder=$(mktemp -d)
api='' daemon=''
clean() {
    kill $daemon $api 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap clean EXIT INT TERM

# The address in a line of the log: nothing listens on a fixed port.
address() {
    for _ in $(seq 100); do
        found=$(grep -o '127\.0\.0\.1:[0-9][0-9]*' "$1" | head -n 1) && [ -n "$found" ] && echo "$found" && return
        sleep 0.1
    done
    cat "$1" >&2
    return 1
}

"$gatherd" sample-api >"$folder/api.log" 2>&1 &
api=$!
upstream=$(address "$folder/api.log")
cat >"$folder/config.toml" <<EOF
[server]
listen = "127.0.0.1:0"
token = { env = "API_TOKEN" }

[[job]]
name = "figures"
every = "1s"
endpoints = [
  { name = "users", url = "http://$upstream/figures/users" },
  { name = "a/b", url = "http://$upstream/html-500", retries = 0 },
]
EOF
API_TOKEN=for-schemathesis "$gatherd" run --config "$folder/config.toml" >"$folder/daemon.log" 2>&1 &
daemon=$!
for _ in $(seq 100); do grep -q 'round stored' "$folder/daemon.log" && break; sleep 0.1; done
server=$(grep listening "$folder/daemon.log" | grep -o '127\.0\.0\.1:[0-9][0-9]*')

# It leaves a cache where it runs.
cd "$folder"
# Streams do not end; tests/web/clients.rs has them.
"$st" run "http://$server/api/v1/openapi.json" --header "Authorization: Bearer for-schemathesis" \
    --exclude-path /api/v1/events --checks all --max-examples "${EXAMPLES:-50}" "$@"
