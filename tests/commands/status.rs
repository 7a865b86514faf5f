//! `gatherd status`: of a daemon that runs, of one that cannot be asked, of a file alone.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gatherd::model::{Cause, ClosedRound, LedgerRow, Outcome, RoundId, RoundStatus, Slot, Timestamp};
use gatherd::sample_api::SampleApi;
use gatherd::store::sizes::{ROUND_BYTES, SLOT_BYTES};
use gatherd::store::{Writer, open};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::daemon::{Daemon, Home};
use crate::support::rounds::{closed, database, due, failed, layout, ok, reader};
use crate::support::web::TOKEN;
use crate::support::{ClosedPort, Ran, YEARLY, canned, gatherd, run, sample_api, until, write};

fn status(config: &Path, args: &[&str]) -> Ran {
    let mut command = gatherd(["status", "--utc", "--config"]);
    command.arg(config).args(args);
    run(command)
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", ran.stdout, ran.stderr))
}

/// `text` without what differs from one run to the next.
fn redacted(text: &str) -> String {
    let mut text = text.to_owned();
    for (pattern, instead) in [
        (r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ", "[moment]"),
        (r"\b\d+(months?|days?|h|m|s)( \d+(days?|h|m|s))?\b", "[span]"),
        (r"\d+(\.\d+)? ([KM]i)?B\b", "[size]"),
        (r"127\.0\.0\.1:\d+", "[address]"),
        (r"/[^ ]*/gatherd\.db", "[folder]/gatherd.db"),
        (r", \d+ busy", ", [n] busy"),
        (concat!("version ", env!("CARGO_PKG_VERSION")), "version [version]"),
        (r"  +", "  "),
    ] {
        text = regex_lite::Regex::new(pattern).expect("a pattern").replace_all(&text, instead).into_owned();
    }
    text
}

/// A home with the socket that its daemon is to listen at, if it is to.
struct Place {
    home: Home,
    listener: Option<TcpListener>,
    _api: SampleApi,
}

impl Place {
    fn new(server: &str, paths: &[(&str, &str)]) -> Self {
        let api = sample_api();
        let endpoints: Vec<String> =
            paths.iter().map(|(name, path)| format!("{{ name = \"{name}\", url = {:?} }}", api.url(path))).collect();
        let home = Home::new(&format!(
            "workers = 4\n[server]\n{server}\n[[job]]\nname = \"figures\"\n{YEARLY}\nrun_on_start = true\nretries = 0\n\
             endpoints = [{}]\n",
            endpoints.join(", ")
        ));
        Self { home, listener: None, _api: api }
    }

    /// One whose daemon listens; `server` are further lines of `[server]`.
    fn listening(server: &str, paths: &[(&str, &str)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        Self { listener: Some(listener), ..Self::new(&format!("listen = \"{address}\"\n{server}"), paths) }
    }

    fn start(&mut self) -> Daemon {
        let listener = self.listener.take();
        let mut command = listener.map_or_else(|| self.home.command(), |listener| self.home.command_at(listener));
        command.env("API_TOKEN", TOKEN);
        let daemon = Daemon::of(command);
        daemon.wait_for_rounds("figures", 1);
        daemon
    }

    fn status(&self, args: &[&str]) -> Ran {
        status(&self.home.folder.path().join("config.toml"), args)
    }
}

#[test]
fn all_is_well_and_the_screen_says_so() {
    let mut place = Place::listening("", &[("healthy", "/healthy")]);
    let daemon = place.start();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(redacted(&ran.stdout));
    let told = json(&place.status(&["--json"]));
    assert_eq!((&told["state"], &told["why"]), (&"ok".into(), &Value::Array(vec![])), "{told}");
    assert_eq!(told["daemon"]["workers"]["alive"], 4);
    assert_eq!(told["jobs"][0]["last_round"]["ok"], 1);
    daemon.stop();
}

#[test]
fn an_endpoint_that_fails_is_degraded_and_is_listed_with_its_reason() {
    let mut place = Place::listening("", &[("healthy", "/healthy"), ("red\u{202e}der", "/status/503")]);
    let daemon = place.start();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(redacted(&ran.stdout));
    let told = json(&place.status(&["--json"]));
    assert_eq!(told["jobs"][0]["failing"][0]["http_status"], 503, "{told}");
    daemon.stop();
}

#[test]
fn a_reload_that_failed_is_said() {
    let mut place = Place::listening("", &[("healthy", "/healthy")]);
    let config = place.home.folder.path().join("config.toml");
    let daemon = place.start();
    let good = std::fs::read_to_string(&config).expect("a config");
    std::fs::write(&config, format!("{good}\nnonsense = 1\n")).expect("written");
    daemon.signal("HUP");
    daemon.wait_for("config not reloaded, the one in use stays");
    std::fs::write(&config, good).expect("written");
    let mut ran = place.status(&[]);
    // The line is written before the state is.
    until("the failure is known", || {
        ran = place.status(&[]);
        ran.code == Some(1)
    });
    assert!(ran.stdout.starts_with("degraded\n  the last reload failed"), "{}", ran.stdout);
    daemon.stop();
}

#[test]
fn a_daemon_that_ended_is_down_and_its_file_still_tells() {
    let mut place = Place::listening("", &[("healthy", "/healthy"), ("broken", "/status/503")]);
    place.start().stop();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(redacted(&ran.stdout));
    let told = json(&place.status(&["--json"]));
    assert_eq!((&told["state"], &told["daemon"]), (&"down".into(), &Value::Null), "{told}");
}

#[test]
fn a_daemon_that_never_ran_is_down() {
    let closed = ClosedPort::new();
    let place = Place::new(&format!("listen = \"{}\"", closed.address), &[("healthy", "/healthy")]);
    assert_eq!(place.status(&[]).code, Some(2));
}

#[test]
fn a_daemon_without_an_api_is_known_by_its_lock_and_its_file() {
    let mut place = Place::new("listen = false", &[("healthy", "/healthy")]);
    let daemon = place.start();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    insta::assert_snapshot!(redacted(&ran.stdout));
    daemon.stop();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(2));
    assert!(ran.stdout.starts_with("down\n  no daemon runs: nobody holds"), "{}", ran.stdout);
}

#[test]
fn where_the_token_cannot_be_read_the_daemon_is_known_to_live_and_its_file_tells_the_rest() {
    let mut place = Place::listening("token = { env = \"API_TOKEN\" }", &[("healthy", "/healthy")]);
    let address = place.listener.as_ref().and_then(|listener| listener.local_addr().ok()).expect("an address");
    let daemon = place.start();
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("API_TOKEN"), "{}", ran.stdout);
    let secret = write(place.home.folder.path(), "token", format!("{TOKEN}\n"));
    let told = json(&place.status(&["--json", "--token-file", &secret]));
    assert_eq!(told["daemon"]["workers"]["configured"], 4, "{told}");
    // By its URL alone it is known to live, and nothing else.
    let ran = run(gatherd(["status", "--url", &format!("http://{address}")]));
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with("degraded\n  no more is known than that it answers: http://"), "{}", ran.stdout);
    daemon.stop();
}

#[test]
fn a_config_that_became_wrong_is_said_and_the_daemon_is_asked_all_the_same() {
    let mut place = Place::listening("", &[("healthy", "/healthy")]);
    let config = place.home.folder.path().join("config.toml");
    let daemon = place.start();
    let good = std::fs::read_to_string(&config).expect("a config");
    std::fs::write(&config, format!("nonsense = 1\n{good}")).expect("written");
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.starts_with("degraded\n  its config cannot be used: "), "{}", ran.stdout);
    assert_eq!(json(&place.status(&["--json"]))["daemon"]["workers"]["alive"], 4);
    // Where it listens is not known any more, but who holds the lock lives.
    std::fs::remove_file(&config).expect("removed");
    let ran = place.status(&[]);
    assert_eq!(ran.code, Some(1), "{}{}", ran.stdout, ran.stderr);
    assert!(ran.stdout.contains("  its config cannot be used: "), "{}", ran.stdout);
    std::fs::write(&config, good).expect("written");
    daemon.stop();
    assert_eq!(place.status(&[]).code, Some(2), "it runs no more");
}

#[test]
fn a_daemon_of_another_file_is_not_taken_for_this_one() {
    let mut one = Place::listening("", &[("healthy", "/healthy")]);
    let address = one.listener.as_ref().and_then(|listener| listener.local_addr().ok()).expect("an address");
    let other = Place::new(&format!("listen = \"{address}\""), &[("healthy", "/healthy")]);
    drop(open(&other.home.database()).expect("made"));
    let daemon = one.start();
    assert_eq!(one.status(&[]).code, Some(0));
    let ran = other.status(&[]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    assert!(
        json(&other.status(&["--json"]))["why"][0].as_str().is_some_and(|why| why.contains("has another database"))
    );
    daemon.stop();
}

#[test]
fn whoever_has_the_port_while_no_daemon_runs_is_not_shown_the_token() {
    for answer in [
        canned::answer("401 Unauthorized", "", r#"{"detail":"who are you?"}"#),
        canned::answer("200 OK", "", r#"{"status":"ok"}"#),
    ] {
        let stranger = canned::always(answer);
        let listen = stranger.url("").replace("http://", "");
        let place =
            Place::new(&format!("listen = {listen:?}\ntoken = {{ file = \"token\" }}"), &[("healthy", "/healthy")]);
        write(place.home.folder.path(), "token", TOKEN);
        drop(open(&place.home.database()).expect("made"));
        let ran = place.status(&[]);
        assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
        let requests = stranger.requests().concat();
        assert!(requests.contains("GET /") && !requests.contains(TOKEN), "{requests}");
    }
}

/// [`database`] with the job's first `count` rounds, in which `slots` says how each ended.
fn file(count: i64, slots: impl Fn(i64) -> Vec<Slot>) -> (TempDir, PathBuf, Writer) {
    let (folder, path, mut writer) = database();
    let layout = layout(&["steady", "broken"]);
    for round in 1..=count {
        writer.close(&closed(round, &layout, slots(round))).expect("stored");
    }
    (folder, path, writer)
}

#[test]
fn a_streak_is_followed_through_rollups_to_its_first_failure() {
    // Hours of 60 rounds: it breaks in the second hour at round 70, in which it was well before.
    let slots = |round| {
        let broken = if round < 70 { ok(round) } else { failed(round, Outcome::Timeout, "no answer") };
        vec![ok(round), broken]
    };
    let (_folder, path, mut writer) = file(400, slots);
    let look = |now: Timestamp| {
        let found = reader(&path).overview(now).expect("an overview");
        found.jobs[0].failing[0].clone()
    };
    let now = due(401);
    let by_slots = look(now);
    assert_eq!((by_slots.since, by_slots.rounds, by_slots.last_ok), (due(70), 331, Some(due(69))));
    assert!(by_slots.whole && by_slots.endpoint == "broken");
    while writer.roll_up(due(10_000), Duration::from_millis(10)).expect("rolled up").more {}
    assert_eq!(look(now), by_slots, "by rollups it is the same");
    let stopped = closed(401, &layout(&["steady", "broken"]), slots(401));
    writer.close(&ClosedRound { status: RoundStatus::Interrupted, ..stopped }).expect("stored");
    assert_eq!(look(now), by_slots, "what was stopped after the newest complete round does not count");
    while writer.roll_up(due(10_000), Duration::from_millis(10)).expect("rolled up").more {}
    assert_eq!(look(now), by_slots, "nor does it by rollups");
    while writer.prune(&gatherd::model::JobName::new("job"), due(300)).expect("pruned").rounds > 0 {}
    let pruned = look(now);
    assert_eq!((pruned.since, pruned.last_ok), (due(70), Some(due(69))), "rollups outlive the slots");
}

#[test]
fn the_growth_of_a_day_follows_from_the_cadence_and_the_newest_rounds_not_from_when_nothing_ran() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let job = |name: &str, every: &str| {
        format!("[[job]]\nname = {name:?}\nevery = {every:?}\nendpoints = [\"https://api.example.com/\"]\n")
    };
    let first = write(folder.path(), "first.toml", job("job", "1m"));
    let both = write(folder.path(), "both.toml", job("job", "1m") + &job("new", "1h"));
    let mut writer = open(&folder.path().join("gatherd.db")).expect("opened");
    let ask = |config: &str, args: &[&str]| status(Path::new(config), args);
    assert!(ask(&first, &[]).stdout.contains("growth not known yet"), "{}", ask(&first, &[]).stdout);

    let layout = layout(&["a"]);
    writer.close(&closed(10, &layout, vec![ok(10)])).expect("stored");
    // {"round":10}, and what slots and rounds take beside it, 1,440 times a day.
    let day = 1_440 * (12 + SLOT_BYTES + ROUND_BYTES);
    let grown = |config: &str| json(&ask(config, &["--json"]))["jobs"][0]["bytes_a_day"].as_u64();
    assert_eq!(grown(&first), Some(day), "from one round on");
    let missed = LedgerRow {
        id: RoundId(11),
        job: layout.job.clone(),
        first_due: due(11),
        last_due: due(70),
        covers: 60,
        status: RoundStatus::Missed,
        cause: Cause::DaemonDown,
    };
    writer.ledger(&[missed]).expect("recorded");
    writer.close(&closed(71, &layout, vec![ok(71)])).expect("stored");
    assert_eq!(grown(&first), Some(day), "an hour in which nothing ran changes nothing");
    assert!(ask(&first, &[]).stdout.contains("log, about "), "{}", ask(&first, &[]).stdout);
    assert!(ask(&both, &[]).stdout.contains("log, at least "), "{}", ask(&both, &[]).stdout);
}

#[test]
fn no_line_is_wider_than_80_columns_whatever_strangers_are_called() {
    let (_folder, database, mut writer) = database();
    let names: Vec<String> = (0..12).map(|n| format!("{n} {}", "数\u{1b}[2J".repeat(40))).collect();
    let layout = layout(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let slots = names.iter().map(|_| failed(1, Outcome::Timeout, &"wide ".repeat(30))).collect();
    writer.close(&closed(1, &layout, slots)).expect("stored");
    drop(writer);
    let mut command = gatherd(["status", "--utc", "--database"]);
    command.arg(&database);
    let ran = run(command);
    assert_eq!(ran.code, Some(2), "{}{}", ran.stdout, ran.stderr);
    for line in ran.stdout.lines() {
        let columns: usize = line.chars().map(|c| if c == '数' { 2 } else { 1 }).sum();
        assert!(columns <= 80 && !line.contains('\u{1b}'), "{columns}: {line}");
    }
    assert!(ran.stdout.contains("and 4 more"), "{}", ran.stdout);
}

#[test]
fn the_help_says_what_degraded_is() {
    let ran = run(gatherd(["status", "--help"]));
    assert!(ran.stdout.contains("An endpoint that fails is enough for degraded"), "{}", ran.stdout);
}
