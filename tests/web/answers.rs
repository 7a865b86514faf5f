//! What holds for every answer: who may have it, its headers, and what is wrong with a question.

use std::io::Read;

use flate2::read::GzDecoder;
use reqwest::Method;
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, ETAG, HeaderValue, IF_NONE_MATCH};
use serde_json::json;

use crate::support::web::{TOKEN, Web, problem};
use crate::support::{PATIENCE, YEARLY, write};
use crate::{job, once, upstream};

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
fn a_token_whose_file_changes_is_asked_for_from_then_on() {
    let (server, folder) = (upstream(), tempfile::tempdir().expect("a temporary folder"));
    let file = write(folder.path(), "token", "first");
    let web = Web::start(&format!("token = {{ file = {file:?} }}"), &once(&server));
    let status = |token: &str| {
        let answer = web.request(Method::GET, "/metrics").bearer_auth(token).send().expect("an answer");
        answer.status().as_u16()
    };
    assert_eq!((status("first"), status("second")), (200, 401));
    write(folder.path(), "token", "second\n");
    assert_eq!((status("first"), status("second")), (401, 200));
    web.daemon.wait_for("the secret changed and was read again");
    write(folder.path(), "token", "");
    assert_eq!((status(""), status("second")), (401, 200), "an empty file is no token");
    web.daemon.wait_for("the secret cannot be read again, the last one stays in use");
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
    let web = Web::with_token(&job("figures", YEARLY, &[("exact", server.url("/exact"))]));
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
fn whoever_keeps_an_answer_is_told_that_it_depends_on_what_was_accepted() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let plain = web.get("/api/v1/latest");
    let get = |name, value| web.request(Method::GET, "/api/v1/latest").header(name, value).send().expect("an answer");
    let packed = get(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    let known = get(IF_NONE_MATCH, plain.headers()[ETAG].clone());
    assert_eq!((known.status().as_u16(), packed.headers()["content-encoding"].as_bytes()), (304, b"gzip".as_slice()));
    for answer in [plain, packed, known] {
        let vary: Vec<_> = answer.headers().get_all("vary").iter().collect();
        assert!(vary.len() == 1 && vary[0].as_bytes().eq_ignore_ascii_case(b"accept-encoding"), "{vary:?}");
    }
    web.daemon.stop();
}

#[test]
fn one_tag_never_names_two_answers_also_when_the_file_changes_unnoticed() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let path = "/api/v1/jobs/figures/rounds";
    let first = web.get(path).headers()[ETAG].clone();
    // As a write that is committed and not counted yet.
    let other = rusqlite::Connection::open(web.home.database()).expect("opened");
    other.busy_timeout(PATIENCE).expect("set");
    other.execute("UPDATE round SET cause = 'other'", []).expect("changed");
    let second = web.get(path);
    assert_ne!(first, second.headers()[ETAG]);
    assert!(second.text().expect("text").contains("\"cause\":\"other\""));
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
