//! `gatherd rehearse`: the user's own config, and nothing but this machine.

use std::collections::BTreeSet;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{Ran, gatherd, run, sample_api, write};

const CONFIG: &str = r#"
database = "real.db"
[defaults]
timeout = "600ms"
retries = 1
[[job]]
name = "small"
every = "5s"
token = { env = "A_TOKEN_THAT_NOBODY_HAS" }
token_query = "key"
endpoints = ["https://api.example.com/{{ due | strftime('%F') }}?api_key=abcdef", { name = "second", url = "https://b.example.com/" }]
[[job]]
name = "wide"
cron = "*/5 * * * *"
ca_file = "absent.pem"
proxy = "http://proxy.example.com:3128"
oauth2 = { token_url = "https://auth.example.com/token", client_id = "me", client_secret = { file = "absent" } }
pages = { link = true }
endpoints = ["#;

/// A folder with a config whose second job has 30 endpoints.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let urls: Vec<String> = (0..30).map(|number| format!("\"https://c.example.com/{number}\"")).collect();
    write(folder.path(), "config.toml", format!("{CONFIG}{}]\n", urls.join(", ")));
    folder
}

fn rehearse(folder: &TempDir, further: &[&str]) -> Ran {
    let mut command = gatherd(["rehearse"]);
    command.args(further).current_dir(folder.path());
    run(command)
}

#[test]
fn every_job_meets_every_fault_and_each_slot_says_what_would_be_stored() {
    let folder = folder();
    let ran = rehearse(&folder, &["--json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let slots: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let text = |slot: &Value, key: &str| slot[key].as_str().expect("text").to_owned();
    for (job, endpoints) in [("small", 2), ("wide", 30)] {
        let of_job: Vec<&Value> = slots.iter().filter(|slot| slot["job"] == job).collect();
        let faults: BTreeSet<String> = of_job.iter().map(|slot| text(slot, "fault")).collect();
        let names: BTreeSet<String> = of_job.iter().map(|slot| text(slot, "endpoint")).collect();
        assert_eq!((faults.len(), names.len()), (20, endpoints), "{job}");
    }
    for (fault, outcome, attempts) in [
        ("answers well", "ok", 1),
        ("never answers", "timeout", 2),
        ("HTML with 200", "not_json", 1),
        ("connection refused", "connect", 2),
        ("no TLS where it should be", "tls", 1),
        ("a metadata address", "blocked_address", 1),
        ("a body without end", "too_large", 1),
        ("429, Retry-After: 5", "http_status", 1),
        ("503 twice, then well", "http_status", 2),
    ] {
        let slot = slots.iter().find(|slot| slot["job"] == "small" && slot["fault"] == fault).expect("rehearsed");
        assert_eq!((&slot["outcome"], &slot["attempts"]), (&outcome.into(), &attempts.into()), "{slot}");
        assert_eq!(slot["body"].is_null(), outcome != "ok");
    }
    assert!(!ran.stdout.contains("abcdef"));
}

#[test]
fn a_rehearsal_reads_no_secret_writes_no_database_and_asks_no_real_host() {
    let api = sample_api();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = format!(
        "[defaults]\ntimeout = \"300ms\"\nretries = 0\n[[job]]\nname = \"a\"\nevery = \"2s\"\ntoken = {{ file = \"absent\" }}\nendpoints = [{:?}]\n",
        api.url("/healthy")
    );
    write(folder.path(), "config.toml", config);
    let ran = rehearse(&folder, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(
        ran.stdout.contains("null, timeout") && ran.stdout.contains("a round like this would take"),
        "{}",
        ran.stdout
    );
    assert_eq!(api.requests(), 0);
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).expect("readable").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(files, ["config.toml"]);
}

#[test]
fn a_round_that_its_deadline_cuts_short_is_said_not_to_end_in_time() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let config = "[[job]]\nname = \"a\"\nevery = \"2s\"\ndeadline = \"300ms\"\ntimeout = \"10s\"\nendpoints = [\"https://a.example/\"]\n";
    write(folder.path(), "config.toml", config);
    let ran = rehearse(&folder, &[]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let told = "a round like this would not end in the 0.3 s that it has: its deadline cut it short";
    assert_eq!(ran.stdout.lines().last(), Some(told), "{}", ran.stdout);
}

#[test]
fn a_config_that_is_wrong_is_not_rehearsed() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    write(folder.path(), "config.toml", "[[job]]\nname = \"a\"\nevery = \"2s\"\nendpoints = [\"ftp://x/\"]\n");
    let ran = rehearse(&folder, &[]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.stderr.contains("config.toml:4: "), "{}", ran.stderr);
}
