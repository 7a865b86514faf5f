//! The HTTP API of a running daemon: what it answers, and the one call that starts a round.

#[path = "support/daemon.rs"]
mod daemon;
#[path = "support/web.rs"]
mod web;

use std::io::Read;

use flate2::read::GzDecoder;
use httpmock::MockServer;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use web::{TOKEN, Web, parsed, problem};

/// A document that no JSON library of doubles carries unharmed.
const EXACT: &str = r#"{"n": 1.10000000000000000000001, "big": 1e400, "n": -0.0, "text": "\u00e9"}"#;

/// A server whose `/exact` answers [`EXACT`] and `/fails` 500.
fn upstream() -> MockServer {
    let server = MockServer::start();
    server.mock(|when, then| {
        when.path("/exact");
        then.status(200).body(EXACT);
    });
    server.mock(|when, then| {
        when.path("/fails");
        then.status(500);
    });
    server
}

/// Often, and with time enough on a machine that is busy.
const FAST: &str = "every = \"100ms\"\ndeadline = \"10s\"";

fn job(name: &str, cadence: &str, endpoints: &[(&str, String)]) -> String {
    let list: Vec<String> =
        endpoints.iter().map(|(name, url)| format!("{{ name = {name:?}, url = {url:?}, retries = 0 }}")).collect();
    format!("[[job]]\nname = {name:?}\n{cadence}\nendpoints = [{}]\n", list.join(", "))
}

/// A job that runs once, at the start: two endpoints, the second of which fails.
fn once(server: &MockServer) -> String {
    let endpoints = [("exact", server.url("/exact")), ("a/b ä", server.url("/fails"))];
    job("figures", "every = \"1h\"\nrun_on_start = true", &endpoints)
}

#[test]
fn a_round_is_answered_with_its_reasons_and_its_documents_to_the_digit() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let round = web.daemon.wait_for_rounds("figures", 1)[0]["round"].clone();
    for path in [format!("/api/v1/rounds/{round}"), "/api/v1/jobs/figures/latest".to_owned()] {
        let text = web.get(&path).text().expect("text");
        assert!(text.contains(&format!("\"vector\":[{EXACT},null]")), "{text}");
        let slots: Vec<(&str, &str)> = vec![("exact", "ok"), ("a/b ä", "http_status")];
        for (endpoint, outcome) in slots {
            assert!(text.contains(&format!("\"endpoint\":\"{endpoint}\",\"outcome\":\"{outcome}\"")), "{text}");
        }
    }
    let all = web.get("/api/v1/latest").text().expect("text");
    assert!(all.starts_with("{\"rounds\":[{\"round_id\":") && all.contains(EXACT), "{all}");
    let second = web.json(&format!("/api/v1/rounds/{round}?position=1&limit=1"));
    assert_eq!((&second["vector"], &second["slots"][0]["position"]), (&json!([null]), &json!(1)));
    web.daemon.stop();
}

#[test]
fn jobs_say_when_they_are_due_what_they_do_and_what_they_ask() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let jobs = web.json("/api/v1/jobs");
    let figures = &jobs["jobs"][0];
    assert_eq!((&figures["name"], &figures["cadence"]), (&json!("figures"), &json!("every 1h")));
    assert!(figures["next_due"].as_str().is_some_and(|due| due.ends_with(":00:00.000Z")), "{figures}");
    assert_eq!((&figures["last_round"]["ok"], &figures["last_round"]["failed"]), (&json!(1), &json!(1)));
    let one = web.json("/api/v1/jobs/figures");
    assert_eq!((&one["layout"][1]["name"], &one["layout"][1]["position"]), (&json!("a/b ä"), &json!(1)));
    assert_eq!(web.problem(Method::GET, "/api/v1/jobs/figure").0, 404);
    web.daemon.stop();
}

#[test]
fn pages_of_rounds_lead_from_the_newest_to_the_oldest_without_a_gap() {
    let server = upstream();
    let web = Web::start("", &job("fast", FAST, &[("exact", server.url("/exact"))]));
    web.daemon.wait_for_rounds("fast", 7);
    let (mut numbers, mut path) = (Vec::new(), Some("/api/v1/jobs/fast/rounds?limit=2".to_owned()));
    while let Some(next) = path {
        let answer = web.get(&next);
        let link = answer.headers().get("link").map(|link| link.to_str().expect("text").to_owned());
        let page = parsed(answer);
        path = page["next"].as_str().map(str::to_owned);
        assert_eq!(link, path.as_ref().map(|next| format!("<{next}>; rel=\"next\"")));
        numbers.extend(page["rounds"].as_array().expect("a list").iter().map(|round| round["round_id"].as_i64()));
    }
    assert!(numbers.len() >= 7 && numbers.last() == Some(&Some(1)), "{numbers:?}");
    assert!(numbers.is_sorted_by(|newer, older| *newer == older.map(|older| older + 1)), "{numbers:?}");
    web.daemon.stop();
}

#[test]
fn the_ledger_says_what_did_not_run_and_why() {
    let hangs = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}/", hangs.local_addr().expect("an address"));
    let web = Web::start("", &job("slow", "every = \"100ms\"\ndeadline = \"350ms\"", &[("hangs", url)]));
    web.daemon.wait_for("due without a round");
    web.daemon.wait_for("due without a round");
    web.daemon.wait_for_rounds("slow", 1);
    let ledger = web.json("/api/v1/ledger?job=slow");
    let entries = ledger["rounds"].as_array().expect("a list");
    assert!(entries.iter().any(|entry| entry["status"] == "skipped" && entry["cause"] == "overlap"), "{ledger}");
    let page = web.json("/api/v1/ledger?job=slow&limit=1");
    let next = page["next"].as_str().expect("a next page");
    assert!(next.starts_with("/api/v1/ledger?job=slow&limit=1&before="), "{next}");
    assert_eq!(web.json(next)["rounds"].as_array().map(Vec::len), Some(1));
    assert_eq!(web.problem(Method::GET, "/api/v1/ledger?job=nobody").0, 404);
    drop(web);
}

#[test]
fn the_history_of_an_endpoint_is_answered_slot_by_slot_and_page_by_page() {
    let server = upstream();
    let endpoints = [("exact", server.url("/exact")), ("a/b ä", server.url("/fails"))];
    let web = Web::start("", &job("fast", FAST, &endpoints));
    web.daemon.wait_for_rounds("fast", 5);
    let history = "/api/v1/jobs/fast/endpoints/exact/history";
    let whole = web.get(&format!("{history}?limit=1")).text().expect("text");
    assert!(whole.contains("\"outcome\":\"ok\"") && whole.contains(&format!("\"value\":{EXACT}}}")), "{whole}");
    let (mut rounds, mut next) = (Vec::new(), Some(format!("{history}?field=%2Fbig&limit=2&since=1d")));
    while let Some(path) = next.filter(|_| rounds.len() < 5) {
        let text = web.get(&path).text().expect("text");
        assert!(text.contains("\"value\":1e400"), "{text}");
        // What serde_json does not hold as a number is left out of what is parsed.
        let page: Value = serde_json::from_str(&text.replace("1e400", "0")).expect("JSON");
        rounds.extend(page["observations"].as_array().expect("a list").iter().map(|one| one["round_id"].as_i64()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert!(rounds.len() >= 5 && rounds.is_sorted_by(|older, newer| older < newer), "{rounds:?}");
    let failed = web.json("/api/v1/jobs/fast/endpoints/a%2Fb%20%C3%A4/history?limit=1000");
    for observation in failed["observations"].as_array().expect("a list") {
        let elapsed = observation["elapsed_ms"].to_string();
        assert!(elapsed.split_once('.').is_none_or(|(_, digits)| digits.len() <= 3), "whole microseconds: {elapsed}");
    }
    let failed = &failed["observations"][0];
    assert_eq!(
        (&failed["outcome"], &failed["http_status"], &failed["value"]),
        (&json!("http_status"), &json!(500), &json!(null))
    );
    for (path, status, told) in [
        ("/api/v1/jobs/fast/endpoints/nobody/history", 404, "no endpoint"),
        ("/api/v1/jobs/nobody/endpoints/exact/history", 404, "no job"),
        ("/api/v1/jobs/fast/endpoints/exact/history?since=yesterday", 400, "is not a moment"),
        ("/api/v1/jobs/fast/endpoints/exact/history?after=1", 400, "`after`"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=100ms", 400, "at least 1s"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1h&agg=mean", 400, "one of avg"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1h&timezone=Mars", 400, "`timezone`"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1s&since=2020-01-01", 413, "10000 stretches"),
    ] {
        let (found, detail) = web.problem(Method::GET, path);
        assert!(found == status && detail.contains(told), "{path}: {found} {detail}");
    }
    web.daemon.stop();
}

#[test]
fn the_history_of_an_endpoint_is_put_together_by_stretches_of_time() {
    let server = upstream();
    server.mock(|when, then| {
        when.path("/number");
        then.status(200).body(r#"{"users": 7}"#);
    });
    let endpoints = [("number", server.url("/number")), ("fails", server.url("/fails"))];
    let web = Web::start("", &job("fast", FAST, &endpoints));
    web.daemon.wait_for_rounds("fast", 5);
    let of = |endpoint: &str, more: &str| {
        let path = format!("/api/v1/jobs/fast/endpoints/{endpoint}/history?field=/users&every=1d&{more}");
        web.json(&path)["buckets"].as_array().expect("a list").clone()
    };
    let days = of("number", "agg=avg&since=2d&timezone=Europe/Berlin");
    let (today, empty) = (days.last().expect("a day"), &days[0]);
    assert!(days.len() == 3 && today["value"].as_f64() == Some(7.0) && today["slots"].as_u64() >= Some(5), "{days:?}");
    assert_eq!((&empty["value"], &empty["slots"]), (&json!(null), &json!(0)));
    let path = "/api/v1/jobs/fast/endpoints/number/history?field=/users&agg=max&since=2d&limit=2";
    let first = web.json(path);
    let second = web.json(first["next"].as_str().expect("a next page"));
    assert_eq!((first["buckets"].as_array().map(Vec::len), &second["next"]), (Some(2), &json!(null)));
    assert_eq!(second["buckets"][0]["value"], json!(7));
    let days = of("fails", "agg=count");
    assert!(days[0]["value"] == 0 && days[0]["slots"] == days[0]["failed"], "{days:?}");
    assert_eq!(of("fails", "fill=none"), Vec::<Value>::new());
    web.daemon.stop();
}

#[test]
fn a_page_of_stretches_goes_on_with_the_value_that_the_last_one_ended_with() {
    let server = upstream();
    server.mock(|when, then| {
        when.path("/number");
        then.status(200).body("7.10");
    });
    let web = Web::start("", &job("once", "every = \"1h\"\nrun_on_start = true", &[("number", server.url("/number"))]));
    let due = web.daemon.wait_for_rounds("once", 1)[0]["due"].as_str().expect("a due").to_owned();
    let day = &due[..10];
    let history = "/api/v1/jobs/once/endpoints/number/history";
    let path = format!("{history}?every=1h&agg=last&fill=last&since={day}&until={day}T23:59:59Z&limit=6");
    let (mut values, mut next) = (Vec::new(), Some(path));
    while let Some(path) = next {
        let page = web.json(&path);
        values.extend(page["buckets"].as_array().expect("a list").iter().map(|bucket| bucket["value"].as_f64()));
        next = page["next"].as_str().map(str::to_owned);
    }
    let hour: usize = due[11..13].parse().expect("an hour");
    let expected: Vec<Option<f64>> = (0..24).map(|at| (at >= hour).then_some(7.1)).collect();
    assert_eq!(values, expected);
    let wrong = web.problem(Method::GET, &format!("{history}?fill=last&carry=%5B1%5D"));
    assert!(wrong.0 == 400 && wrong.1.contains("`carry`"), "{wrong:?}");
    web.daemon.stop();
}

#[test]
fn uptime_says_what_share_of_each_endpoint_is_ok_and_why_the_rest_is_not() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let uptime = web.json("/api/v1/uptime?job=figures&since=1h");
    let (well, ill) = (&uptime["endpoints"][0], &uptime["endpoints"][1]);
    assert_eq!(
        (&well["endpoint"], &well["share_ok"], &well["longest_outage"]),
        (&json!("exact"), &json!(1.0), &json!(null))
    );
    assert_eq!((&ill["share_ok"], &ill["outcomes"]), (&json!(0.0), &json!({"http_status": 1})));
    assert_eq!(ill["longest_outage"]["goes_on"], json!(true));
    assert_eq!(web.problem(Method::GET, "/api/v1/uptime?job=nobody").0, 404);
    assert_eq!(web.json("/api/v1/uptime?since=1h&until=2h")["endpoints"], json!([]));
    web.daemon.stop();
}

#[test]
fn a_round_that_was_asked_for_runs_at_once_and_the_cadence_goes_on() {
    let server = upstream();
    let web = Web::with_token(&job("figures", "every = \"1h\"", &[("exact", server.url("/exact"))]));
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
    let web = Web::with_token(&job("slow", "every = \"1h\"", &[("hangs", url)]));
    let run = || web.request(Method::POST, "/api/v1/jobs/slow/run").bearer_auth(TOKEN).send().expect("an answer");
    assert_eq!(run().status().as_u16(), 202);
    let (status, detail) = problem(run());
    assert_eq!(status, 409, "{detail}");
    drop(web);
}

#[test]
fn starting_a_round_takes_a_token_also_on_loopback() {
    let server = upstream();
    let jobs = job("figures", "every = \"1h\"", &[("exact", server.url("/exact"))]);
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

#[test]
fn with_a_token_everything_takes_it_but_health() {
    let server = upstream();
    let web = Web::with_token(&once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let paths =
        ["/api/v1/jobs", "/api/v1/latest", "/api/v1/events", "/api/v1/openapi.json", "/api/docs/", "/metrics", "/x"];
    for path in paths {
        let answer = web.get(path);
        let challenge: Vec<_> = answer.headers().get_all("www-authenticate").iter().collect();
        assert!(challenge[0].to_str().is_ok_and(|text| text.starts_with("Bearer ")), "{path}");
        assert_eq!(problem(answer).0, 401, "{path}");
    }
    for wrong in ["Bearer", "Bearer ", "Bearer s3cret-of-the-ap", "Basic !", "s3cret-of-the-api"] {
        let answer = web.request(Method::GET, "/metrics").header(AUTHORIZATION, wrong).send().expect("an answer");
        assert_eq!(problem(answer).0, 401, "{wrong}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(web.json(path), json!({"status": "ok"}), "{path}");
    }
    let bearer = web.request(Method::GET, "/metrics").header(AUTHORIZATION, format!("bearer {TOKEN}")).send();
    let password = web.request(Method::GET, "/metrics").basic_auth("anybody", Some(TOKEN)).send();
    for answer in [bearer, password] {
        assert_eq!(answer.expect("an answer").status().as_u16(), 200);
    }
    web.daemon.stop();
}

#[test]
fn what_somebody_has_already_is_not_sent_again_until_it_changes() {
    let server = upstream();
    let web = Web::with_token(&once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let get = |path: &str, tag: Option<&str>| {
        let request = web.request(Method::GET, path).bearer_auth(TOKEN);
        let request = tag.into_iter().fold(request, |request, tag| request.header(IF_NONE_MATCH, tag));
        request.send().expect("an answer")
    };
    let paths =
        ["/api/v1/latest", "/api/v1/jobs/figures/rounds", "/api/v1/rounds/1", "/api/v1/ledger", "/api/v1/openapi.json"];
    for path in paths {
        let answer = get(path, None);
        let tag = answer.headers()[ETAG].to_str().expect("text").to_owned();
        let again = get(path, Some(&format!("\"other\", {tag}")));
        assert_eq!((again.status().as_u16(), again.headers()[ETAG].to_str().ok()), (304, Some(tag.as_str())), "{path}");
        assert_eq!(again.bytes().expect("a body").len(), 0);
        assert_eq!(get(path, Some("W/\"other\"")).status().as_u16(), 200, "{path}");
    }
    let tag = get("/api/v1/latest", None).headers()[ETAG].to_str().expect("text").to_owned();
    let run = web.request(Method::POST, "/api/v1/jobs/figures/run").bearer_auth(TOKEN).send().expect("an answer");
    assert_eq!(run.status().as_u16(), 202);
    web.daemon.wait_for_rounds("figures", 1);
    assert_eq!(get("/api/v1/latest", Some(&tag)).status().as_u16(), 200);
    web.daemon.stop();
}

#[test]
fn what_somebody_has_stays_the_same_while_the_file_is_looked_after() {
    let server = upstream();
    let jobs = format!("{}[maintenance]\nat = \"* * * * * *\"\n", once(&server));
    let web = Web::start("", &jobs);
    web.daemon.wait_for_rounds("figures", 1);
    let tag = web.get("/api/v1/latest").headers()[ETAG].clone();
    web.daemon.wait_for("database maintained");
    web.daemon.wait_for("database maintained");
    let again = web.request(Method::GET, "/api/v1/latest").header(IF_NONE_MATCH, tag).send().expect("an answer");
    assert_eq!(again.status().as_u16(), 304);
    web.daemon.stop();
}

#[test]
fn a_body_that_nobody_needs_is_not_looked_at() {
    let server = upstream();
    let web = Web::with_token(&job("figures", "every = \"1h\"", &[("exact", server.url("/exact"))]));
    let run = web.request(Method::POST, "/api/v1/jobs/figures/run").bearer_auth(TOKEN);
    let answer = run.header("Content-Encoding", "gzip").body("no gzip").send().expect("an answer");
    assert_eq!(answer.status().as_u16(), 202);
    web.daemon.stop();
}

#[test]
fn answers_come_in_gzip_to_those_who_take_it_and_without_a_body_to_head() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let plain = web.get("/api/v1/latest").text().expect("text");
    let packed = web.request(Method::GET, "/api/v1/latest").header(ACCEPT_ENCODING, "gzip").send().expect("an answer");
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let (packed, mut text) = (packed.bytes().expect("a body"), String::new());
    GzDecoder::new(&packed[..]).read_to_string(&mut text).expect("gzip");
    assert_eq!(text, plain);
    let head = web.request(Method::HEAD, "/api/v1/latest").send().expect("an answer");
    assert_eq!(
        (head.status().as_u16(), &head.headers()["content-length"]),
        (200, &plain.len().to_string().parse().expect("a value"))
    );
    assert_eq!(head.bytes().expect("no body").len(), 0);
    web.daemon.stop();
}

#[test]
fn every_answer_has_the_headers_that_keep_it_from_other_sites() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    for path in ["/healthz", "/metrics", "/api/v1/jobs", "/api/docs/", "/nothing", "/api/v1/jobs?x=1"] {
        let answer = web.request(Method::GET, path).header("Origin", "https://evil.example").send().expect("an answer");
        let header = |name: &str| answer.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let policy = header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src 'unsafe-inline'"), "{path}: {policy}");
        assert_eq!((header("x-content-type-options"), header("referrer-policy")), ("nosniff", "no-referrer"), "{path}");
        assert_eq!(header("access-control-allow-origin"), "", "{path}");
    }
    web.daemon.stop();
}

#[test]
fn wrong_parameters_addresses_and_methods_are_problems_that_say_what_is_right() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    for (path, told) in [
        ("/api/v1/jobs?limit=1", "unknown field `limit`"),
        ("/api/v1/jobs/figures/rounds?limit=1001", "from 1 to 1000"),
        ("/api/v1/jobs/figures/rounds?limit=x", "from 1 to 1000"),
        ("/api/v1/jobs/figures/rounds?limit=1&limit=2", "duplicate field `limit`"),
        ("/api/v1/jobs/figures/rounds?before=0", "`before`"),
        ("/api/v1/rounds/1?position=-1", "`position`"),
    ] {
        let (status, detail) = web.problem(Method::GET, path);
        assert!(status == 400 && detail.contains(told), "{path}: {status} {detail}");
    }
    for path in
        ["/api", "/api/v2/jobs", "/api/v1/jobs/", "/api/v1/rounds/x", "/api/v1/rounds/9", "/api/v1/../v1/jobs//"]
    {
        assert_eq!(web.problem(Method::GET, path).0, 404, "{path}");
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/api/v1/jobs", "GET, HEAD"),
        (Method::PUT, "/healthz", "GET, HEAD"),
        (Method::GET, "/api/v1/jobs/figures/run", "POST"),
        (Method::OPTIONS, "/api/v1/latest", "GET, HEAD"),
    ] {
        let answer = web.request(method, path).send().expect("an answer");
        assert_eq!(answer.headers()["allow"], allowed, "{path}");
        assert_eq!(problem(answer).0, 405, "{path}");
    }
    assert_eq!(web.problem(Method::GET, &format!("/{}", "x".repeat(9_000))).0, 414);
    web.daemon.stop();
}

#[test]
fn what_is_counted_has_its_help_and_type_and_never_a_url() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let text = web.get("/metrics").text().expect("text");
    for line in [
        "gatherd_rounds_total{job=\"figures\",status=\"complete\"} 1",
        "gatherd_rounds_total{job=\"figures\",status=\"missed\"} 0",
        "gatherd_slots_total{job=\"figures\",outcome=\"ok\"} 1",
        "gatherd_slots_total{job=\"figures\",outcome=\"http_status\"} 1",
        "gatherd_round_duration_seconds_count{job=\"figures\"} 1",
        "gatherd_slot_duration_seconds_count{job=\"figures\"} 2",
        "gatherd_round_lateness_seconds_count{job=\"figures\"} 1",
        "gatherd_storage_queue_entries 0",
        "gatherd_storage_dropped_total 0",
        "gatherd_workers_alive 64",
        "gatherd_workers_busy 0",
    ] {
        assert!(text.lines().any(|found| found == line), "no {line} in {text}");
    }
    assert!(
        text.contains("gatherd_database_bytes{file=\"wal\"}")
            && text.contains("gatherd_job_next_due_timestamp_seconds{")
    );
    assert!(!text.contains("http://"), "{text}");
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let name = line.split(['{', ' ']).next().unwrap_or_default();
        let family =
            ["_bucket", "_sum", "_count"].iter().fold(name, |name, end| name.strip_suffix(end).unwrap_or(name));
        assert!(text.contains(&format!("# HELP {family} ")) && text.contains(&format!("# TYPE {family} ")), "{line}");
    }
    web.daemon.stop();
}

#[test]
fn it_is_not_ready_while_the_database_refuses_and_says_why() {
    let server = upstream();
    let web = Web::start("", &job("fast", FAST, &[("exact", server.url("/exact"))]));
    web.daemon.wait_for_rounds("fast", 1);
    assert_eq!(web.json("/readyz"), json!({"status": "ok"}));
    let other = rusqlite::Connection::open(web.home.database()).expect("opened");
    other.busy_timeout(daemon::PATIENCE).expect("set");
    other.execute_batch("BEGIN IMMEDIATE").expect("locked");
    web.daemon.wait_for("the database refuses, rounds wait");
    let (status, detail) = web.problem(Method::GET, "/readyz");
    assert!(status == 503 && detail.contains("wait for the database"), "{status} {detail}");
    assert_eq!(web.json("/healthz"), json!({"status": "ok"}));
    // Reading goes on.
    assert_eq!(web.get("/api/v1/latest").status().as_u16(), 200);
    other.execute_batch("ROLLBACK").expect("freed");
    web.daemon.wait_for("the database takes rounds again, nothing waits any more");
    assert_eq!(web.json("/readyz"), json!({"status": "ok"}));
    web.daemon.stop();
}

#[test]
fn the_description_is_made_from_the_code() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let text = web.get("/api/v1/openapi.json").text().expect("text");
    let mut description: Value = serde_json::from_str(&text).expect("JSON");
    // Hundreds, which change with the library.
    let zones = description.pointer_mut("/components/schemas/TimeZone/enum").expect("the time zones");
    assert!(zones.as_array().is_some_and(|zones| zones.contains(&json!("Europe/Berlin"))));
    *zones = json!(["Europe/Berlin"]);
    insta::assert_snapshot!(serde_json::to_string_pretty(&description).expect("JSON"));
    web.daemon.stop();
}

#[test]
fn the_page_to_try_it_needs_nothing_from_elsewhere() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    let page = web.get("/api/docs").text().expect("text");
    let files: Vec<&str> =
        page.split(['"', '\'']).filter(|text| text.starts_with("./") || text.contains(".css")).collect();
    assert!(files.len() >= 4 && !page.contains("//cdn") && !page.contains("https://"), "{page}");
    for file in files {
        assert_eq!(web.get(&format!("/api/docs/{file}")).status().as_u16(), 200, "{file}");
    }
    assert!(web.get("/api/docs/swagger-initializer.js").text().expect("text").contains("/api/v1/openapi.json"));
    assert_eq!(web.problem(Method::GET, "/api/docs/..%2f..%2fetc/passwd").0, 404);
    web.daemon.stop();
}
