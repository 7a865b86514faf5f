//! `[[notify]]` and `ping_url`: what is sent to them and what is not, where their URLs are shown, and what is wrong in a config.

use std::path::Path;

use crate::notify::{api, hook, job};
use crate::support::canned::{self, Canned, answer, canned};
use crate::support::daemon::{Daemon, Home};
use crate::support::{PATIENCE, Ran, gatherd, run, write};

/// What stands in URLs of webhooks and is nobody's business.
const SECRET: &str = "T0K3N-s3cret";

fn command(folder: &Path, args: &[&str]) -> Ran {
    let mut command = gatherd(args);
    command.current_dir(folder);
    run(command)
}

#[test]
fn credentials_of_the_apis_are_not_sent_to_webhooks_but_what_says_how_to_connect_counts() {
    let ((api, _failing), hook) = (api(), hook());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", SECRET);
    let defaults =
        format!("[defaults]\nuser_agent = \"me/1\"\ntoken = {{ file = {token:?} }}\nheaders = {{ X = \"1\" }}\n");
    let notify = format!("[[notify]]\nurl = {:?}\nafter = 1\n", hook.url("/hook"));
    let ping = format!("ping_url = {:?}", hook.url("/ping"));
    let home = Home::new(&format!("{defaults}{}{notify}", job(&ping, &[api.url("/1")])));
    let daemon = home.start();
    daemon.wait_for("told");
    daemon.stop();
    assert!(api.requests()[0].contains("authorization") && api.requests()[0].contains("x: 1"));
    for request in hook.requests() {
        assert!(!request.contains("authorization") && !request.contains("x: 1"), "{request}");
        assert!(request.contains("user-agent: me/1"), "{request}");
    }
}

/// A config that tells a webhook which refuses, at URLs that are secrets.
fn refusing(folder: &Path, hook: &Canned, api: &Canned) -> String {
    let url = write(folder, "hook-url", format!("{}\n", hook.url(&format!("/{SECRET}/named"))));
    let token = write(folder, "token", SECRET);
    let ping = format!("ping_url = {:?}", hook.url(&format!("/{SECRET}/ping")));
    let written = hook.url(&format!("/{SECRET}/written?t={SECRET}"));
    format!(
        "{}[[notify]]\nname = \"named\"\nurl = {{ file = {url:?} }}\nkind = \"ntfy\"\ntoken = {{ file = {token:?} }}\n\
         after = 1\n[[notify]]\nname = \"written\"\nurl = {written:?}\nafter = 1\njobs = [\"job\"]\n",
        job(&ping, &[api.url("/1")])
    )
}

#[test]
fn the_url_of_a_webhook_is_in_nothing_that_is_left_behind_and_a_refusal_is_logged() {
    let (api, _failing) = api();
    let hook = canned::always(answer("404 Not Found", "", SECRET));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let home = Home::new(&refusing(folder.path(), &hook, &api));
    let mut command = home.command();
    command.env("RUST_LOG", "trace,hyper_util::client=trace,h2=trace,reqwest::connect=trace,reqwest::blocking=trace");
    let daemon = Daemon::of(command);
    let (mut log, mut refused, mut unpinged) = (Vec::new(), 0, 0);
    while refused < 2 || unpinged < 1 {
        let line = daemon.line_within(PATIENCE).expect("a further line");
        if line["message"] == "could not be told" {
            assert_eq!(line["error"], "http_status: 404 Not Found");
            refused += 1;
        }
        unpinged += usize::from(line["message"] == "the ping_url could not be called");
        log.push(line);
    }
    for name in ["gatherd.db", "gatherd.db-wal"] {
        let bytes = std::fs::read(home.folder.path().join(name)).expect("readable");
        assert!(!bytes.windows(SECRET.len()).any(|window| window == SECRET.as_bytes()), "{name}");
    }
    log.extend(daemon.stop());
    assert!(!format!("{log:?}").contains(SECRET));
    let complaints = log.iter().filter(|line| line["message"] == "the ping_url could not be called").count();
    assert_eq!(complaints, 1, "what goes on is said once");
    let sent = hook.requests().into_iter().find(|request| request.contains("/named")).expect("a message");
    assert!(sent.contains(&format!("authorization: Bearer {SECRET}")) && sent.contains("priority: high"), "{sent}");
}

#[test]
fn check_and_the_test_message_show_who_is_told_without_the_url() {
    let ((api, _failing), folder) = (api(), tempfile::tempdir().expect("a temporary folder"));
    let good = canned(|request| {
        let status = if request.contains("/named") { "200 OK" } else { "410 Gone" };
        answer(status, "", "")
    });
    write(folder.path(), "config.toml", refusing(folder.path(), &good, &api));
    let origin = good.url("");
    let ran = command(folder.path(), &["check"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains(&format!("  ping {origin}/***\n")), "{}", ran.stdout);
    assert!(ran.stdout.contains("named  ntfy  the URL in the file "), "{}", ran.stdout);
    let written = format!("written  json  {origin}/***  after 1 round, pause 1h, job\n");
    assert!(ran.stdout.contains(&written), "{}", ran.stdout);
    assert!(!ran.stdout.contains(SECRET));

    let ran = command(folder.path(), &["notify", "--test"]);
    assert_eq!(ran.code, Some(1), "one failed");
    assert!(ran.stdout.contains("told    named  ntfy"), "{}", ran.stdout);
    assert!(ran.stdout.contains("/***  http_status: 410 Gone\n"), "{}", ran.stdout);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains(SECRET));
    assert!(good.requests()[0].contains("a test: messages arrive"), "{}", good.requests()[0]);
    write(folder.path(), "config.toml", job("", &[api.url("/1")]));
    let ran = command(folder.path(), &["notify", "--test"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(1), ""), "{}", ran.stderr);
}

#[test]
fn mistakes_about_who_is_told_have_their_lines_and_show_no_url() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let text = format!(
        r#"[[job]]
name = "sales"
every = "1m"
ping_url = "ftp://example.com/{SECRET}"
endpoints = ["https://example.com/"]

[[notify]]
name = "ops"
url = "hooks.example.com/{SECRET}"
kind = "discord"
after = 0
pause = "500 years"
jobs = ["sale"]
headers = {{ X = "{{{{ due }}}}" }}
retries = 3

[[notify]]
name = "ops"
url = {{ evn = "HOOK" }}
kind = "smoke"

[[notify]]
afer = 3

[[notify]]
kind = "json"

[notify_by]
"#
    );
    write(folder.path(), "config.toml", text);
    let ran = command(folder.path(), &["check"]);
    assert_eq!(ran.code, Some(78));
    assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
    insta::assert_snapshot!(ran.stderr, @r#"
    config.toml:4: job "sales": ping_url: the scheme `ftp` is not http or https
    config.toml:9: notify "ops": url: not a URL: it has to begin with http:// or https://
    config.toml:10: notify "ops": kind: Discord takes kind = "slack" at its URL with /slack behind it
    config.toml:11: notify "ops": after: from 1 to 1000 rounds, not 0
    config.toml:12: notify "ops": pause: from 0s to 366 days
    config.toml:13: notify "ops": jobs: no job is called "sale"; did you mean "sales"?
    config.toml:14: notify "ops": headers.X: it is the same in each message: no {{ }} here
    config.toml:15: notify "ops": retries: unknown key; it belongs in [defaults], a [[job]] or an endpoint
    config.toml:18: notify "ops": name: another [[notify]] is called "ops"
    config.toml:19: notify "ops": url: `evn` is none of `env`, `file` and `credential`; did you mean `env`?
    config.toml:20: notify "ops": kind: "smoke" is not one of "json", "slack" and "ntfy"
    config.toml:23: notify[3].afer: unknown key; did you mean `after`?
    config.toml:25: notify[4]: `url` is missing: who is told?
    config.toml:28: notify_by: unknown key; did you mean `notify`?
    "#);
}
