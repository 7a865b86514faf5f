//! `[[notify]]` and `ping_url`: the real daemon, beside an API that fails when the test wants it and a webhook that
//! listens.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::Value;

use crate::support::canned::{self, Canned, answer, canned};
use crate::support::daemon::{Daemon, Home};
use crate::support::{OFTEN, PATIENCE, sample_api, until};

/// An API that fails as long as the switch is on.
pub fn api() -> (Canned, Arc<AtomicBool>) {
    let failing = Arc::new(AtomicBool::new(true));
    let switch = Arc::clone(&failing);
    let api = canned(move |_| {
        if switch.load(Ordering::Relaxed) {
            answer("500 Internal Server Error", "", "no")
        } else {
            answer("200 OK", "", "{}")
        }
    });
    (api, failing)
}

/// A webhook that takes everything.
pub fn hook() -> Canned {
    canned::always(answer("204 No Content", "", ""))
}

pub fn job(keys: &str, urls: &[String]) -> String {
    crate::job("job", &format!("{OFTEN}\n{keys}"), urls)
}

/// The JSON objects that the webhook got so far.
pub fn told(hook: &Canned) -> Vec<Value> {
    let body = |request: String| request.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).expect("a body");
    hook.requests().into_iter().map(|request| serde_json::from_str(&body(request)).expect("JSON")).collect()
}

pub fn wait_for(hook: &Canned, count: usize) -> Vec<Value> {
    until("a message", || hook.requests().len() >= count);
    told(hook)
}

pub fn logged(daemon: Daemon, message: &str) -> Vec<Value> {
    daemon.stop().into_iter().filter(|line| line["message"] == message).collect()
}

#[test]
fn endpoints_of_one_host_are_told_in_one_message_and_their_recovery_in_another_over_a_restart() {
    let ((api, failing), healthy, hook) = (api(), sample_api(), hook());
    let urls = [api.url("/1"), api.url("/2"), healthy.url("/healthy"), api.url("/3")];
    let notify = format!("[[notify]]\nname = \"ops\"\nurl = {:?}\nafter = 3\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{notify}", job("", &urls)));
    let daemon = home.start();
    let first = wait_for(&hook, 1).remove(0);
    assert_eq!((&first["event"], &first["count"], &first["version"]), (&"failing".into(), &3.into(), &1.into()));
    let endpoint = &first["endpoints"][2];
    assert_eq!((&endpoint["job"], &endpoint["endpoint"]), (&"job".into(), &urls[3].clone().into()));
    assert_eq!((&endpoint["outcome"], &endpoint["http_status"]), (&"http_status".into(), &500.into()));
    assert!(endpoint["rounds"].as_u64().is_some_and(|rounds| rounds >= 3), "{endpoint}");
    daemon.wait_for("told");
    daemon.stop();

    let daemon = home.start();
    daemon.wait_for_rounds("job", 5);
    failing.store(false, Ordering::Relaxed);
    let messages = wait_for(&hook, 2);
    assert_eq!((&messages[1]["event"], &messages[1]["count"]), (&"recovered".into(), &3.into()), "nothing is repeated");
    assert_eq!(messages[1]["endpoints"][0]["since"], first["endpoints"][0]["since"], "since when it failed is known");
    daemon.wait_for("told");
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM incident"), 0);
    assert_eq!(hook.requests().len(), 2);
    assert!(hook.requests()[0].starts_with("POST /hook HTTP/1.1\r\n"));
    assert!(hook.requests()[0].contains("user-agent: gatherd/"));
}

#[test]
fn what_could_not_be_told_before_the_daemon_stopped_is_told_when_it_runs_again() {
    let ((api, failing), away) = (api(), Arc::new(AtomicBool::new(true)));
    let switch = Arc::clone(&away);
    let hook = canned(move |_| {
        let status = if switch.load(Ordering::Relaxed) { "503 Service Unavailable" } else { "204 No Content" };
        answer(status, "", "")
    });
    let notify = format!("[[notify]]\nname = \"ops\"\nurl = {:?}\nafter = 2\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{notify}", job("", &[api.url("/1")])));
    for event in ["failing", "recovered"] {
        away.store(true, Ordering::Relaxed);
        let asked = hook.requests().len();
        let daemon = home.start();
        until("the hook is asked in vain", || hook.requests().len() > asked);
        assert!(!logged(daemon, "told").iter().any(|line| line["notify"] == "ops"));
        away.store(false, Ordering::Relaxed);
        let asked = hook.requests().len();
        let daemon = home.start();
        let message = wait_for(&hook, asked + 1).remove(asked);
        assert_eq!((&message["event"], &message["count"]), (&event.into(), &1.into()), "{message}");
        daemon.wait_for("told");
        daemon.stop();
        failing.store(false, Ordering::Relaxed);
    }
    let asked = hook.requests().len();
    let daemon = home.start();
    daemon.wait_for_rounds("job", 3);
    daemon.stop();
    assert_eq!(hook.requests().len(), asked, "what was told is not told again");
}

#[test]
fn what_was_told_is_not_told_again_after_a_start_because_something_else_could_not_be() {
    // Messages of the same moment go in the order of their hosts, and one that is refused holds up those behind it.
    let mut apis = [api().0, api().0];
    apis.sort_by_key(|api| api.url(""));
    let [taken, refused] = apis;
    let host = refused.url("");
    let hook = canned(move |request| {
        let status = if request.contains(&host) { "503 Service Unavailable" } else { "204 No Content" };
        answer(status, "", "")
    });
    let notify = format!("[[notify]]\nname = \"ops\"\nurl = {:?}\nafter = 2\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{notify}", job("", &[taken.url("/1"), refused.url("/2")])));
    let about = |api: &Canned| hook.requests().iter().filter(|request| request.contains(&api.url(""))).count();
    for _ in 0..2 {
        let (asked, mut daemon) = (about(&refused), home.start());
        until("one is told and the other is not", || about(&taken) == 1 && about(&refused) > asked);
        daemon.wait_for_rounds("job", 3);
        until("it is remembered", || home.number("SELECT count(*) FROM incident WHERE told = 1") == 1);
        daemon.kill();
    }
    assert_eq!(about(&taken), 1);
}

#[test]
fn a_webhook_and_a_ping_that_hang_delay_no_round_and_not_the_end() {
    let api = sample_api();
    let ping = format!("ping_url = {:?}", api.url("/hang/ping"));
    let notify = format!("[[notify]]\nurl = {:?}\nafter = 1\n", api.url("/hang/hook"));
    let home = Home::new(&format!("{}{notify}", job(&ping, &[api.url("/healthy"), api.url("/html-500")])));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 25);
    let begun = Instant::now();
    let untold = logged(daemon, "not told: the daemon stops, or tells it no more");
    assert!(begun.elapsed() < PATIENCE / 4, "{:?}", begun.elapsed());
    assert_eq!(untold.len(), 1, "{untold:#?}");
    let held_up = home.number("SELECT coalesce(sum(covers), 0) FROM rounds WHERE status <> 'complete'");
    assert!(held_up < 5, "{held_up} dues: a busy machine may skip one, who waits for an answer skips fifty");
}

#[test]
fn a_message_that_is_refused_for_the_moment_is_sent_again() {
    let (api, _failing) = api();
    let count = AtomicUsize::new(0);
    let hook = canned(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => answer("503 Service Unavailable", "Retry-After: 1\r\n", ""),
        _ => answer("200 OK", "", "ok"),
    });
    let notify = format!("[[notify]]\nurl = {:?}\nkind = \"slack\"\nafter = 1\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{notify}", job("", &[api.url("/1")])));
    let daemon = home.start();
    let line = daemon.wait_for("could not be told yet, it is tried again");
    let (level, error) = ("WARN", "http_status: 503 Service Unavailable");
    assert_eq!((&line["level"], &line["notify"], &line["error"]), (&level.into(), &"slack".into(), &error.into()));
    let line = daemon.wait_for("told");
    assert_eq!(line["notify"], "slack");
    let messages = told(&hook);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0], messages[1]);
    assert!(messages[0]["text"].as_str().is_some_and(|text| text.contains("fails*\n")), "{}", messages[0]);
    daemon.stop();
}

/// Puts another config in the place of the one in use.
fn reload(home: &Home, daemon: &Daemon, config: &str) {
    home.configure(config);
    daemon.signal("HUP");
    daemon.wait_for("config reloaded");
}

#[test]
fn a_webhook_that_a_reload_changes_gets_the_recovery_and_endpoints_that_are_gone_are_forgotten() {
    let ((api, failing), before, after) = (api(), hook(), hook());
    let urls = [api.url("/1"), api.url("/2")];
    let notify = |hook: &Canned| format!("[[notify]]\nname = \"ops\"\nurl = {:?}\nafter = 1\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{}", job("", &urls), notify(&before)));
    let daemon = home.start();
    let first = wait_for(&before, 1).remove(0);
    assert_eq!((&first["event"], &first["count"]), (&"failing".into(), &2.into()));
    daemon.wait_for("told");
    let jobs = job("", &urls[..1]);
    reload(&home, &daemon, &format!("{jobs}{}", notify(&after)));
    daemon.wait_for_rounds("job", 2);
    failing.store(false, Ordering::Relaxed);
    let message = wait_for(&after, 1).remove(0);
    assert_eq!((&message["event"], &message["count"]), (&"recovered".into(), &1.into()), "nothing is repeated");
    assert_eq!(message["endpoints"][0]["since"], first["endpoints"][0]["since"], "since when it failed is known");
    daemon.wait_for("told");
    reload(&home, &daemon, &jobs);
    daemon.stop();
    assert_eq!((before.requests().len(), after.requests().len()), (1, 1));
    assert_eq!(home.number("SELECT (SELECT count(*) FROM incident) + (SELECT count(*) FROM told)"), 0, "all forgotten");
}

#[test]
fn what_a_webhook_could_not_take_goes_to_the_one_that_a_reload_puts_in_its_place() {
    let ((api, _failing), pings, after) = (api(), hook(), hook());
    let before = canned::always(answer("503 Service Unavailable", "Retry-After: 3000\r\n", ""));
    let notify = |hook: &Canned| format!("[[notify]]\nurl = {:?}\nafter = 1\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{}", job("", &[api.url("/1")]), notify(&before)));
    let daemon = home.start();
    until("a message", || !before.requests().is_empty());
    let ping = format!("ping_url = {:?}", pings.url("/ping"));
    reload(&home, &daemon, &format!("{}{}", job(&ping, &[api.url("/1")]), notify(&after)));
    assert_eq!(wait_for(&after, 1).remove(0)["event"], "failing");
    until("a ping", || !pings.requests().is_empty());
    daemon.stop();
    assert_eq!((before.requests().len(), after.requests().len()), (1, 1), "once");
}

#[test]
fn a_message_that_hangs_over_a_reload_and_until_the_end_is_logged_as_not_told() {
    let ((api, _failing), hangs) = (api(), sample_api());
    let (first, second) = (hook(), hook());
    let notify = |name: &str, url: &str| format!("[[notify]]\nname = {name:?}\nurl = {url:?}\nafter = 1\n");
    let jobs = job("", &[api.url("/1")]);
    let before = [notify("changes", &hangs.url("/hang/1")), notify("goes", &hangs.url("/hang/2"))].concat();
    let home = Home::new(&format!("{jobs}{before}"));
    let daemon = home.start();
    until("two messages", || hangs.requests_to("/hang/1") > 0 && hangs.requests_to("/hang/2") > 0);
    reload(&home, &daemon, &format!("{jobs}{}", notify("changes", &first.url("/hook"))));
    reload(&home, &daemon, &format!("{jobs}{}", notify("changes", &second.url("/hook"))));
    let mut untold: Vec<String> = logged(daemon, "not told: the daemon stops, or tells it no more")
        .iter()
        .filter_map(|line| line["notify"].as_str().map(str::to_owned))
        .collect();
    untold.sort_unstable();
    assert_eq!(untold, ["changes", "goes"]);
}

#[test]
fn each_complete_round_is_pinged_whatever_its_slots_say() {
    let ((api, _failing), hook) = (api(), hook());
    let home = Home::new(&job(&format!("ping_url = {:?}", hook.url("/ping")), &[api.url("/1")]));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    until("pings", || hook.requests().len() >= 3);
    daemon.stop();
    let pings = i64::try_from(hook.requests().len()).expect("few");
    assert!(pings <= home.number("SELECT count(*) FROM rounds WHERE status = 'complete'"));
    assert!(hook.requests().iter().all(|request| request.starts_with("GET /ping HTTP/1.1\r\n")));
}

#[test]
fn a_database_that_refuses_is_told_as_trouble_of_the_daemon_itself() {
    let (healthy, hook) = (sample_api(), hook());
    let notify = format!("[[notify]]\nurl = {:?}\n", hook.url("/hook"));
    let home = Home::new(&format!("{}{notify}", job("", &[healthy.url("/healthy")])));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 1);
    let lock = home.lock();
    let message = wait_for(&hook, 1).remove(0);
    assert_eq!(message["event"], "degraded");
    assert!(message["daemon"]["waiting"].as_u64().is_some_and(|waiting| waiting > 0), "{message}");
    drop(lock);
    daemon.wait_for_rounds("job", 1);
    daemon.stop();
    assert_eq!(home.number("SELECT open FROM told WHERE subject = ''"), 1, "its end is to be told");
}
