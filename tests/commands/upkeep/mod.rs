//! `uptime`, `plan`, `backup`, `verify` and `prune`, as people and programs read them.

mod migrate;
mod verify;

use std::path::Path;
use std::time::Duration;

use gatherd::model::{Cause, JobName, LedgerRow, Outcome, RoundId, RoundStatus, Slot};
use gatherd::store::{Writer, open};
use rusqlite::Connection;
use tempfile::TempDir;

use crate::support::rounds::{closed, due, failed, layout, number, ok};
use crate::support::{self, Ran, run, write};

const CONFIG: &str = r#"
retain = "90d"
[[job]]
name = "job"
every = "1m"
endpoints = [{ name = "a", url = "https://api.example.com/a" }, { name = "b", url = "https://api.example.com/b" }]
"#;

/// A folder with a config, and a database of three hours: "b" fails from 13:50 to 15:10 and in one round more.
fn home() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "config.toml", CONFIG);
    let mut writer = open(&folder.path().join("gatherd.db")).expect("opened");
    let names = layout(&["a", "b"]);
    for round in 0..180 {
        let slow = Slot { elapsed: Duration::from_millis(20 + u64::from(round % 10 == 0) * 200), ..ok(round) };
        let b = if (50..130).contains(&round) || round == 150 {
            failed(round, Outcome::Timeout, "headers")
        } else {
            ok(round)
        };
        writer.close(&closed(round, &names, vec![slow, b])).expect("stored");
    }
    roll_up(&mut writer);
    folder
}

fn roll_up(writer: &mut Writer) {
    while writer.roll_up(due(170), Duration::from_secs(1)).expect("rolled up").more {}
}

fn gatherd(folder: &TempDir, args: &[&str]) -> Ran {
    let mut command = support::gatherd(args);
    command.current_dir(folder.path());
    run(command)
}

fn answer(folder: &TempDir, args: &[&str]) -> String {
    let ran = gatherd(folder, args);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{}", ran.stdout);
    ran.stdout
}

fn database(folder: &TempDir) -> std::path::PathBuf {
    folder.path().join("gatherd.db")
}

fn change(folder: &TempDir, sql: &str) {
    let connection = Connection::open(database(folder)).expect("opened");
    connection.execute_batch(sql).expect("changed");
}

// --- uptime ---

#[test]
fn uptime_shows_the_share_that_is_ok_the_longest_outage_and_latencies() {
    let folder = home();
    let table = answer(&folder, &["uptime", "job", "--since", "2026-01-31 12:00", "--utc"]);
    insta::assert_snapshot!(table, @r#"
    job  endpoint  ok %  slots  p50 ms   p95 ms   p99 ms   longest outage  from                  outcomes
    job  a         100   180    20.095   220.159  220.159                                        ok 180
    job  b         55    180    250.879  250.879  250.879  1h 20m          2026-01-31 13:50:00Z  ok 99, timeout 81
    "#);
    let json =
        answer(&folder, &["uptime", "--since", "2026-01-31 13:45", "--until", "2026-01-31 15:00", "--json", "--utc"]);
    insta::assert_snapshot!(json, @r#"
    {"job":"job","endpoint":"a","slots":75,"ok":75,"failed":0,"share_ok":1.0,"outcomes":{"ok":75},"p50_ms":20.095,"p95_ms":220.159,"p99_ms":220.159,"outage_s":null,"outage_from":null,"outage_until":null,"outage_goes_on":null,"first_due":"2026-01-31T13:45:00.000Z","last_due":"2026-01-31T14:59:00.000Z"}
    {"job":"job","endpoint":"b","slots":75,"ok":5,"failed":70,"share_ok":0.06666666666666667,"outcomes":{"ok":5,"timeout":70},"p50_ms":250.879,"p95_ms":250.879,"p99_ms":250.879,"outage_s":4140.0,"outage_from":"2026-01-31T13:50:00.000Z","outage_until":"2026-01-31T14:59:00.000Z","outage_goes_on":true,"first_due":"2026-01-31T13:45:00.000Z","last_due":"2026-01-31T14:59:00.000Z"}
    "#);
    let csv = answer(&folder, &["uptime", "--since", "2026-01-31 12:00", "--csv"]);
    insta::assert_snapshot!(csv.replace('\r', ""), @r#"
    job,endpoint,slots,ok,failed,share_ok,outcomes,p50_ms,p95_ms,p99_ms,outage_s,outage_from,outage_until,outage_goes_on,first_due,last_due
    job,a,180,180,0,1,"{""ok"":180}",20.095,220.159,220.159,,,,,2026-01-31T13:00:00.000Z,2026-01-31T15:59:00.000Z
    job,b,180,99,81,0.55,"{""ok"":99,""timeout"":81}",250.879,250.879,250.879,4800,2026-01-31T13:50:00.000Z,2026-01-31T15:10:00.000Z,false,2026-01-31T13:00:00.000Z,2026-01-31T15:59:00.000Z
    "#);
    let unknown = gatherd(&folder, &["uptime", "jbo"]);
    assert_eq!(unknown.code, Some(1));
    assert!(unknown.stderr.contains("the nearest is \"job\""), "{}", unknown.stderr);
}

#[test]
fn a_share_in_per_cent_is_cut_and_never_less_than_it_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut writer = open(&database(&folder)).expect("opened");
    let names = layout(&["a", "b", "c"]);
    for round in 0..100 {
        let slot = |is_ok: bool| if is_ok { ok(round) } else { failed(round, Outcome::Dns, "") };
        writer
            .close(&closed(round, &names, vec![slot(round < 29), slot(round % 3 < 2), slot(round > 0)]))
            .expect("stored");
    }
    drop(writer);
    let since = ["--since", "2026-01-31 12:00", "--utc", "--database", "gatherd.db"];
    let table = answer(&folder, &[&["uptime"][..], &since].concat());
    let shares: Vec<&str> = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(2)).collect();
    assert_eq!(shares, ["29", "67", "99"], "{table}");
}

// --- plan ---

#[test]
fn plan_shows_dues_over_the_change_of_the_clock_requests_a_day_and_missing_secrets() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = r#"
[defaults]
rate = "1/m"
[[job]]
name = "quick"
every = "30s"
endpoints = ["https://api.example.com/1", "https://other.example.com/2"]
[[job]]
name = "berlin"
cron = "30 2 * * *"
timezone = "Europe/Berlin"
token = { env = "GATHERD_TEST_ABSENT" }
endpoints = ["https://api.example.com/3"]
"#;
    write(folder.path(), "config.toml", config);
    let lines: Vec<serde_json::Value> =
        answer(&folder, &["plan", "--json"]).lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |name: &str| lines.iter().find(|line| line["name"] == name).unwrap_or_else(|| panic!("{name}: {lines:?}"));
    assert_eq!(of("quick")["dues_a_year"], 365 * 24 * 120);
    assert!(of("quick")["clock_change"].is_null() && of("quick")["bytes_a_year"].is_null());
    // 02:30 in Berlin is 00:30 or 01:30 UTC, and 01:00 where there is no 02:30.
    let around: Vec<&str> = of("berlin")["dues_around_it"]
        .as_array()
        .expect("dues")
        .iter()
        .map(|due| &due.as_str().expect("text")[11..16])
        .collect();
    assert!(
        [
            ["00:30", "00:30", "00:30", "01:30", "01:30", "01:30"],
            ["01:30", "01:30", "01:30", "01:00", "00:30", "00:30"]
        ]
        .contains(&<[&str; 6]>::try_from(around.clone()).expect("six")),
        "{around:?}"
    );
    assert_eq!(
        (&of("api.example.com:443")["requests_a_day"], &of("api.example.com:443")["allowed_a_day"]),
        (&2881.into(), &1440.into())
    );
    assert_eq!(lines.iter().filter(|line| line["kind"] == "missing secret").count(), 1);
    let text = answer(&folder, &["plan", "--utc"]);
    assert!(text.contains("2881  api.example.com:443  TOO MANY for its `rate`: 1440"), "{text}");
    let local = answer(&folder, &["plan"]);
    let change = local.lines().find(|line| line.contains("clock change")).expect("the change of Berlin's clock");
    assert!(change.matches(" 02:30:00+0").count() >= 5, "as people in Berlin read it: {change}");
    assert!(text.contains("MISSING  ") && text.contains("GATHERD_TEST_ABSENT"), "{text}");
    assert!(text.contains("size          not known before a document is stored"), "{text}");
}

#[test]
fn plan_tells_the_size_of_a_year_from_the_documents_that_are_there() {
    let folder = home();
    let text = answer(&folder, &["plan", "--utc"]);
    let after: String = text.lines().skip(2).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(after, @r#"
      size          105.3 MiB a year, as documents are now; 24.8 MiB stay, by its `retain`, and 4.5 MiB more each year

    requests a day, without retries and further pages
           2880  api.example.com:443
    "#);
    let mut writer = open(&database(&folder)).expect("opened");
    let failing =
        [180, 181].map(|round| vec![failed(round, Outcome::Timeout, ""), failed(round, Outcome::Backoff, "")]);
    for (round, slots) in (180..).zip(failing) {
        writer.close(&closed(round, &layout(&["a", "b"]), slots)).expect("stored");
    }
    let then = answer(&folder, &["plan", "--utc"]);
    assert!(then.contains("105.3 MiB a year"), "rounds without a document tell nothing of their size: {then}");
}

// --- backup ---

#[test]
fn backup_copies_the_database_while_it_is_written_and_refuses_a_file_that_is_there() {
    let folder = home();
    let mut writer = open(&database(&folder)).expect("opened");
    let names = layout(&["a", "b"]);
    writer.close(&closed(180, &names, vec![ok(180), ok(180)])).expect("stored");
    let told = answer(&folder, &["backup", "copy.db", "--json"]);
    assert!(told.starts_with("{\"file\":\"copy.db\",\"bytes\":"), "{told}");
    writer.close(&closed(181, &names, vec![ok(181), ok(181)])).expect("stored");
    drop(writer);
    let copy = folder.path().join("copy.db");
    assert_eq!(
        number(&copy, "SELECT max(round_id) FROM rounds"),
        180,
        "what was committed is in it, in the log or not"
    );
    assert_eq!(
        answer(&folder, &["verify", "--database", "copy.db"]),
        "right: 181 rounds and ledger entries, 362 slots, 2 hours of rollups\n"
    );
    let again = gatherd(&folder, &["backup", "copy.db"]);
    assert_eq!(again.code, Some(73));
    assert!(again.stderr.contains("--force replaces it"), "{}", again.stderr);
    let itself = gatherd(&folder, &["backup", "gatherd.db", "--force"]);
    assert_eq!(itself.code, Some(73));
    assert!(itself.stderr.contains("the database itself"), "{}", itself.stderr);
    assert_eq!(gatherd(&folder, &["backup", "copy.db", "--force"]).code, Some(0));
    assert_eq!(number(&copy, "SELECT max(round_id) FROM rounds"), 181);
    drop(open(&copy).expect("a daemon can go on with it"));
    let parts = std::fs::read_dir(folder.path()).expect("readable").flatten();
    assert!(parts.into_iter().all(|entry| !entry.file_name().to_string_lossy().ends_with(".part")));
}

// --- verify ---

fn left(folder: &Path) -> i64 {
    number(&folder.join("gatherd.db"), "SELECT count(*) FROM rounds")
}

#[test]
fn prune_shows_what_would_go_and_deletes_it_when_told() {
    let folder = home();
    let before = answer(&folder, &["uptime", "--since", "2026-01-31 12:00", "--csv"]);
    let shown = gatherd(&folder, &["prune", "--keep", "1h", "--utc"]);
    insta::assert_snapshot!(shown.stdout, @r#"
    job  rounds  slots  document_bytes  first_due             last_due
    job  179     358    3431            2026-01-31 13:00:00Z  2026-01-31 15:58:00Z
    "#);
    assert_eq!((shown.code, shown.stderr.as_str()), (Some(0), "nothing was deleted; --yes does it\n"));
    assert_eq!(left(folder.path()), 180);
    let done = gatherd(&folder, &["prune", "--keep", "1h", "--yes", "--json"]);
    assert_eq!(done.code, Some(0));
    assert!(
        done.stderr.starts_with("deleted 179 rounds and ledger entries with 358 slots; the file gave back "),
        "{}",
        done.stderr
    );
    assert_eq!(left(folder.path()), 1);
    assert_eq!(answer(&folder, &["uptime", "--since", "2026-01-31 12:00", "--csv"]), before);
    assert_eq!(answer(&folder, &["verify"]), "right: 1 rounds and ledger entries, 2 slots, 3 hours of rollups\n");
    let again = gatherd(&folder, &["prune", "--keep", "1h", "--yes", "--job", "job"]);
    assert_eq!((again.code, again.stderr.as_str()), (Some(0), "nothing is older\n"));
}

#[test]
fn prune_leaves_a_database_that_a_daemon_writes_to_it_and_says_what_to_do() {
    let folder = home();
    let _writer = open(&database(&folder)).expect("opened");
    let ran = gatherd(&folder, &["prune", "--keep", "90d", "--yes"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("retain = \"90d\""), "{}", ran.stderr);
    assert_eq!(left(folder.path()), 180);
}

// --- the config ---

#[test]
fn mistakes_in_retain_and_maintenance_are_told_with_their_lines() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "retain = \"5m\"\n[maintenance]\nat = \"61 * * * *\"\nbackup = {{ keep = 0, foldr = \"x\" }}\nretain = \"1d\"\n{}\nretain = 90\n",
        "[[job]]\nname = \"a\"\nevery = \"1m\"\nendpoints = [\"https://example.com/\"]"
    );
    write(folder.path(), "config.toml", config);
    let ran = gatherd(&folder, &["check"]);
    assert_eq!(ran.code, Some(78));
    insta::assert_snapshot!(ran.stderr, @r#"
    config.toml:1: retain: from 1h to 100 years, or "forever"
    config.toml:3: maintenance.at: "61" is no minute of a cron pattern: 0 to 59, * for all, and combined with `,` `-` `/`; right would be "0 17 3 * * *", in UTC
    config.toml:4: maintenance.backup.foldr: unknown key; did you mean `folder`?
    config.toml:4: maintenance.backup.keep: from 1 to 1000, not 0
    config.toml:5: maintenance.retain: unknown key; it belongs in the top of the file, before the first section, or a [[job]]
    config.toml:10: job "a": retain: write how long rounds are kept, like "90d", "1y" or "forever", in quotes, instead of the number 90
    "#);
}
