//! The one call that starts a round.

use reqwest::Method;
use serde_json::json;

use crate::support::web::{TOKEN, Web, parsed, problem};
use crate::{job, upstream};

/// No due comes while a test runs, whatever the hour.
const SELDOM: &str = "cron = \"0 0 29 2 *\"";

#[test]
fn a_round_that_was_asked_for_runs_at_once_and_the_cadence_goes_on() {
    let server = upstream();
    let web = Web::with_token(&job("figures", SELDOM, &[("exact", server.url("/exact"))]));
    let run = |path: &str| web.request(Method::POST, path).bearer_auth(TOKEN).send().expect("an answer");
    let due = |web: &Web| {
        let jobs = web.request(Method::GET, "/api/v1/jobs").bearer_auth(TOKEN).send().expect("an answer");
        parsed(jobs)["jobs"][0]["next_due"].clone()
    };
    let before = due(&web);
    let answer = run("/api/v1/jobs/figures/run");
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().ok()), (202, Some("/api/v1/rounds/1")));
    let started = parsed(answer);
    let stored = &web.daemon.wait_for_rounds("figures", 1)[0];
    assert_eq!((&started["round_id"], &started["due_at"]), (&stored["round"], &stored["due"]));
    assert_eq!(due(&web), before);
    assert_eq!(problem(run("/api/v1/jobs/nobody/run")).0, 404);
    web.daemon.stop();
}

#[test]
fn a_round_is_not_started_while_one_runs() {
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", hangs.local_addr().expect("an address"));
    let web = Web::with_token(&job("slow", SELDOM, &[("hangs", url)]));
    let run = || web.request(Method::POST, "/api/v1/jobs/slow/run").bearer_auth(TOKEN).send().expect("an answer");
    assert_eq!(run().status().as_u16(), 202);
    let (status, detail) = problem(run());
    assert_eq!(status, 409, "{detail}");
    drop(web);
}

#[test]
fn starting_a_round_takes_a_token_also_on_loopback() {
    let server = upstream();
    let jobs = job("figures", SELDOM, &[("exact", server.url("/exact"))]);
    let web = Web::start("", &jobs);
    let (status, detail) = web.problem(Method::POST, "/api/v1/jobs/figures/run");
    assert!(status == 403 && detail.contains("`token` under [server]"), "{status} {detail}");
    web.daemon.stop();

    let web = Web::with_token(&jobs);
    let path = "/api/v1/jobs/figures/run";
    let (status, detail) = web.problem(Method::POST, path);
    assert!(status == 401 && !detail.contains(TOKEN), "{status} {detail}");
    let wrong = web.request(Method::POST, path).bearer_auth("wrong").send().expect("an answer");
    assert_eq!(problem(wrong).0, 401);
    // A browser sends a password by itself, whoever made the page that asks.
    let password = web.request(Method::POST, path).basic_auth("me", Some(TOKEN)).send().expect("an answer");
    assert_eq!(problem(password).0, 401);
    let rounds = web.request(Method::GET, "/api/v1/jobs/figures/rounds").bearer_auth(TOKEN).send();
    assert_eq!(parsed(rounds.expect("an answer"))["rounds"], json!([]));
    web.daemon.stop();
}
