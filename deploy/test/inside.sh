#!/usr/bin/env bash
# What deploy/test/booted.sh does inside: each step says what must be true, and the first that is not ends it.
set -uo pipefail

database=/var/lib/gatherd/gatherd.db
config=/etc/gatherd/config.toml

step() { echo "== $*"; }
fail() {
    echo "FAILED: $*"
    systemctl status --no-pager gatherd.service
    journalctl --no-pager -u gatherd.service -n 60
    ls -lna /run/credentials/ /run/credentials/gatherd.service
    exit 1
}
# Tries for half a minute.
until_true() {
    for _ in $(seq 150); do
        if eval "$1" >/dev/null 2>&1; then return; fi
        sleep 0.2
    done
    fail "never true: $1"
}
property() { systemctl show -p "$1" --value gatherd.service; }
number() { gatherd sql --database "$database" --json "SELECT $1 AS n FROM rounds" | grep -o '[0-9]*' | tail -n 1; }
more_rounds() {
    local before
    before="$(number "count(*)")"
    until_true "[ \"\$(number 'count(*)')\" -gt \"$before\" ]"
}
write_config() {
    cat >"$config" <<CONFIG
[server]
token = { credential = "api" }
[[job]]
name = "figures"
every = "1s"
endpoints = ["http://127.0.0.1:9000/healthy", "http://127.0.0.1:9000/html-200"]
$*
CONFIG
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get --yes "$@" >/test/apt 2>&1 || fail "apt-get $*: $(cat /test/apt)"; }

step "install: nothing is started, nothing is enabled"
apt install /test/gatherd-1.deb
gatherd check --config "$config" >/dev/null || fail "the packaged config is refused"
for unit in gatherd.service gatherd.socket; do
    [ "$(systemctl is-enabled $unit)" = disabled ] || fail "$unit is enabled"
    [ "$(systemctl is-active $unit)" = inactive ] || fail "$unit is active"
done

step "a config, a secret that only root reads, a short watchdog"
mkdir -p /etc/gatherd/secrets /etc/systemd/system/gatherd.service.d
write_config
echo s3cret >/etc/gatherd/secrets/api
chmod 600 /etc/gatherd/secrets/api
cat >/etc/systemd/system/gatherd.service.d/test.conf <<DROPIN
[Service]
LoadCredential=api:/etc/gatherd/secrets/api
WatchdogSec=6
DROPIN
systemctl daemon-reload
gatherd sample-api --listen 127.0.0.1:9000 >/dev/null 2>&1 &
sample_api=$!

step "it starts under its limits, as nobody in particular, and is ready"
systemctl enable --now gatherd.socket gatherd.service || fail "it does not start"
[ "$(property ActiveState)" = active ] || fail "not active"
uid="$(stat -c %u "/proc/$(property MainPID)")"
# The range of dynamic users.
if [ "$uid" -lt 61184 ] || [ "$uid" -gt 65519 ]; then fail "not a user of its own, but $uid"; fi
[ "$(grep Seccomp: "/proc/$(property MainPID)/status" | grep -o '[0-9]')" = 2 ] || fail "no system call filter"

step "rounds are stored, and the status says so"
more_rounds
until_true 'property StatusText | grep "1 job, last round figures .* 1/2 ok, 0 waiting"'

step "the API answers on the socket of systemd, with the credential as its token"
[ "$(curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:8787/api/v1/jobs)" = 401 ] || fail "no token was needed"
curl -sf -H "Authorization: Bearer s3cret" http://127.0.0.1:8787/api/v1/jobs | grep -q figures || fail "no jobs"

step "the journal has fields and priorities"
until_true 'journalctl -u gatherd.service JOB=figures OUTCOME=not_json -p warning -o json | grep html-200'
until_true 'journalctl -u gatherd.service JOB=figures ROUND=1 -o cat | grep "round stored job=figures"'
if journalctl -u gatherd.service -b -p warning -o cat | grep -v "outcome changed" | grep .; then fail "warnings"; fi

step "nothing that it does is denied"
if journalctl -b -o cat | grep -iE "gatherd.*(operation not permitted|read-only file system|seccomp)"; then fail "denied"; fi

step "a good config is reloaded without a restart"
pid="$(property MainPID)"
write_config '[[job]]
name = "more"
cron = "* * * * * *"
endpoints = ["http://127.0.0.1:9000/healthy/2"]'
systemctl reload gatherd.service || fail "the reload failed"
until_true 'property StatusText | grep "2 jobs"'
until_true 'journalctl -u gatherd.service -o cat | grep "config reloaded.*added=more"'
until_true "[ -n \"\$(gatherd latest more --database $database)\" ]"

step "a bad config is refused by the reload and changes nothing"
write_config 'evry = 1'
if systemctl reload gatherd.service; then fail "the reload of a bad config succeeded"; fi
[ "$(property ActiveState)" = active ] || fail "not active any more"
more_rounds
kill -HUP "$pid"
until_true 'journalctl -u gatherd.service -o cat | grep "the config is wrong.*line=7"'
more_rounds
[ "$(property MainPID)" = "$pid" ] || fail "it was restarted"
write_config
systemctl reload gatherd.service || fail "the reload failed"

step "what stops working is killed by the watchdog and started anew"
kill -STOP "$pid"
until_true '[ "$(property NRestarts)" = 1 ] && [ "$(property ActiveState)" = active ]'
[ "$(property MainPID)" != "$pid" ] || fail "it is the same process"
until_true 'journalctl -b -o cat | grep "gatherd.service: Watchdog timeout"'
more_rounds
[ "$(number "count(*) FILTER (WHERE status = 'running')")" -le 1 ] || fail "rounds were left open"

step "who asks during a restart waits, and is answered"
systemctl restart --no-block gatherd.service
for _ in $(seq 20); do
    curl -sf --max-time 20 http://127.0.0.1:8787/healthz >/dev/null || fail "turned away"
done
until_true '[ "$(property ActiveState)" = active ]'

step "an upgrade starts the new one, and keeps the history and the config"
before="$(number "count(*)")"
pid="$(property MainPID)"
edited="$(cat "$config")"
apt install /test/gatherd-2.deb
dpkg-query --show --showformat='${Version}' gatherd | grep -q -- '-2$' || fail "it was not upgraded"
until_true '[ "$(property ActiveState)" = active ] && [ "$(property MainPID)" != "$pid" ]'
[ "$(number "count(*)")" -ge "$before" ] || fail "rounds are gone"
[ "$(number "min(round_id)")" = 1 ] || fail "the first round is gone"
[ "$(cat "$config")" = "$edited" ] || fail "the config was changed"
systemctl is-enabled gatherd.service gatherd.socket >/dev/null || fail "not enabled any more"
more_rounds
gatherd verify --database "$database" >/test/verify 2>&1 || fail "verify: $(cat /test/verify)"

step "it stops in time, and everything is committed"
begun="$(date +%s)"
systemctl stop gatherd.service
[ $(($(date +%s) - begun)) -le 15 ] || fail "it took too long"
[ "$(property Result)" = success ] || fail "the result is $(property Result)"
[ "$(number "count(*) FILTER (WHERE status = 'running')")" = 0 ] || fail "a round is open"

step "a config that is wrong is not tried again and again"
write_config 'evry = 1'
systemctl start gatherd.service && fail "it started"
sleep 5
[ "$(property ActiveState)" = failed ] || fail "it is $(property ActiveState)"
[ "$(property ExecMainStatus)" = 78 ] || fail "the exit code is $(property ExecMainStatus)"

step "a purge takes all but what the administrator made"
write_config
systemctl start gatherd.service || fail "it does not start again"
more_rounds
apt purge gatherd
[ "$(systemctl is-active gatherd.service)" != active ] || fail "it still runs"
if grep -lx gatherd /proc/[0-9]*/comm | grep -vx "/proc/$sample_api/comm"; then fail "a process is left"; fi
for path in /usr/bin/gatherd "$config" /var/lib/gatherd /var/lib/private/gatherd /usr/lib/systemd/system/gatherd.service \
    /etc/systemd/system/multi-user.target.wants/gatherd.service /etc/systemd/system/sockets.target.wants/gatherd.socket; do
    if [ -e "$path" ] || [ -L "$path" ]; then fail "$path is left"; fi
done
[ -f /etc/gatherd/secrets/api ] || fail "the administrator's secret was taken along"

echo "all is well"
