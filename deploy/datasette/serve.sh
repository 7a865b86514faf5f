#!/bin/sh
# Shows gatherd's live file in a browser: sh serve.sh [DATABASE], then http://127.0.0.1:8001/gatherd
# Datasette (`pipx install datasette`) opens it read-only, and the daemon goes on writing. Whoever runs it has to be able
# to read the file: a DynamicUser's /var/lib/private is root's, so use a copy there (`VACUUM INTO`), or the HTTP API.
# It is not --immutable: that would read the file as if nobody wrote. A query gets a second, which bounds how long it
# keeps the log from being written back.
set -eu
here=$(dirname "$0")
exec datasette serve "${1:-gatherd.db}" --metadata "$here/metadata.yaml" --host 127.0.0.1 --port "${PORT:-8001}" \
    --setting sql_time_limit_ms 1000 --setting allow_download off
