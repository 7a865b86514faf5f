//! What is sent: each request key does what it says, the nearest one wins.

use std::path::Path;
use std::time::Duration;

use gatherd::config::Settings;
use gatherd::fetch::{Ask, Attempt, Clients, PreparedJob, attempt};
use gatherd::model::{Document, Outcome, Remembered, Timestamp};
use serde_json::{Value, json};

use crate::support::canned::{self, always};
use crate::support::sample_api;

/// One attempt at the only endpoint of a config with these keys in the defaults, the job and the endpoint.
pub fn fetch(defaults: &str, job: &str, endpoint: &str, url: &str) -> Attempt {
    let folder = tempfile::tempdir().expect("a temporary folder");
    std::fs::write(folder.path().join("secret"), "s3cret\n").expect("written");
    let text = format!(
        "[defaults]\n{defaults}\n[[job]]\nname = \"j\"\nevery = \"1m\"\n{job}\nendpoints = [{{ url = {url:?}{endpoint} }}]\n"
    );
    let settings = Settings::parse(&folder.path().join("config.toml"), &text).expect("a valid config");
    let job = PreparedJob::new(&settings.jobs[0], folder.path(), &mut Clients::default()).expect("requests");
    attempt(&job.requests[0], Ask::once(Duration::from_secs(5)))
}

/// The due that the requests below answer: 2026-01-31 14:00 UTC.
const DUE: Timestamp = Timestamp::from_micros(1_769_868_000_000_000);

/// What the API received in a round due then, by its own account; `last_ok` was the last success.
fn echoed_at_due(job: &str, path: &str, last_ok: Option<Timestamp>) -> Value {
    let api = sample_api();
    let text = format!("[[job]]\nname = \"j\"\nevery = \"1m\"\n{job}\nendpoints = ['{}']\n", api.url(path));
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    let job = PreparedJob::new(&settings.jobs[0], Path::new("."), &mut Clients::default()).expect("requests");
    let ask = Ask { due: DUE, last_ok, ..Ask::once(Duration::from_secs(5)) };
    let attempt = attempt(&job.requests[0], ask);
    attempt.body.unwrap_or_else(|| panic!("{:?}", attempt.detail)).parse().expect("JSON")
}

#[test]
fn blocks_are_filled_in_wherever_they_stand() {
    let job = r#"
query = { to = "{{ due }}", day = '{{ due | strftime("%Y-%m-%d %H", "Europe/Berlin") }}' }
headers = { X-Since = "{{ due - 1d | unix }}" }
json = { from = "{{ due - 30m }}", note = 'a "quoted" {{ due | strftime("%Y") }}' }"#;
    let echo = echoed_at_due(job, "/echo/{{ due | strftime(\"%Y/%m\") }}?from={{ due - 1h30m }}&z=1", None);
    assert_eq!(echo["path"], "/echo/2026/01");
    assert_eq!(echo["query"], "from=2026-01-31T12:30:00Z&z=1&day=2026-01-31+15&to=2026-01-31T14%3A00%3A00Z");
    assert_eq!(echo["headers"]["x-since"], "1769781600");
    let body: Value = echo["body"].as_str().expect("text").parse().expect("JSON");
    assert_eq!(body, json!({ "from": "2026-01-31T13:30:00Z", "note": "a \"quoted\" 2026" }));
}

#[test]
fn the_last_success_is_filled_in_or_what_stands_in_for_it() {
    let path = "/echo?since={{ last_ok | default(due - 1d) }}";
    let last_ok = Some(Timestamp::from_micros(DUE.as_micros() - 3_600_000_000));
    assert_eq!(echoed_at_due("", path, last_ok)["query"], "since=2026-01-31T13:00:00Z");
    assert_eq!(echoed_at_due("", path, None)["query"], "since=2026-01-30T14:00:00Z");
}

/// What the API received, by its own account.
fn echoed(defaults: &str, job: &str, endpoint: &str) -> Value {
    let api = sample_api();
    let attempt = fetch(defaults, job, endpoint, &api.url("/echo?own=1"));
    attempt.body.unwrap_or_else(|| panic!("{:?}", attempt.detail)).parse().expect("JSON")
}

#[test]
fn a_plain_request_is_a_get_that_accepts_json_and_every_coding() {
    let echo = echoed("", "", "");
    assert_eq!(echo["method"], "GET");
    assert_eq!(echo["headers"]["accept"], "application/json, */*;q=0.5");
    assert_eq!(echo["headers"]["accept-encoding"], "gzip, deflate, br, zstd");
    assert!(echo["headers"]["user-agent"].as_str().is_some_and(|agent| agent.starts_with("gatherd/")));
    assert!(echo["headers"].get("authorization").is_none() && echo["headers"].get("referer").is_none());
}

#[test]
fn the_nearest_key_wins_and_a_header_that_is_set_is_there_once() {
    let api = sample_api();
    let accept = |value: &str| format!("headers = {{ Accept = {value:?}, X-Far = \"default\" }}");
    let attempt =
        fetch(&accept("a/default"), &accept("a/job"), ", headers = { Accept = \"a/endpoint\" }", &api.url("/echo"));
    assert_eq!(attempt.outcome, Outcome::Ok);
    let head = api.last_request("/echo").expect("a request").to_ascii_lowercase();
    let accepts: Vec<&str> = head.lines().filter(|line| line.starts_with("accept:")).collect();
    assert_eq!(accepts, ["accept: a/endpoint"]);
    assert!(head.contains("x-far: default"));
}

#[test]
fn a_json_body_makes_a_post_and_query_parameters_join_the_urls_own() {
    let api = sample_api();
    let keys = "json = { range = [1, 2.5], deep = { on = true } }\nquery = { from = \"a b&c\", n = 7 }";
    assert_eq!(fetch("", keys, "", &api.url("/echo?own=1")).outcome, Outcome::Ok);
    let head = api.last_request("/echo").expect("a request");
    assert!(head.starts_with("POST /echo?own=1&from=a+b%26c&n=7 HTTP/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/json\r\n") && head.contains("content-length: 36\r\n"), "{head}");
    let put = echoed("", "method = \"PUT\"\njson = '[1]'", "");
    assert_eq!((&put["method"], &put["headers"]["content-length"]), (&json!("PUT"), &json!("3")));
    let post = echoed("", "method = \"POST\"", "");
    assert_eq!((&post["method"], &post["headers"]["content-length"]), (&json!("POST"), &json!("0")));
}

#[test]
fn a_token_goes_as_bearer_or_into_the_header_that_the_api_wants() {
    let token = "token = { file = \"secret\" }";
    let header = |keys: &str, name: &str| echoed("", &format!("{token}\n{keys}"), "")["headers"][name].clone();
    assert_eq!(header("", "authorization"), "Bearer s3cret");
    assert_eq!(header("token_scheme = \"Token\"", "authorization"), "Token s3cret");
    assert_eq!(header("token_scheme = \"\"", "authorization"), "s3cret");
    assert_eq!(header("token_header = \"X-API-Key\"", "x-api-key"), "s3cret");
    assert_eq!(header("token_header = \"X-API-Key\"\ntoken_scheme = \"Key\"", "x-api-key"), "Key s3cret");
}

#[test]
fn basic_authentication_takes_the_place_of_a_token_further_away() {
    let basic = "basic = { user = \"me\", password = { file = \"secret\" } }";
    let echo = echoed("token = { file = \"secret\" }", basic, "");
    assert_eq!(echo["headers"]["authorization"], "Basic bWU6czNjcmV0");
    let api = sample_api();
    let attempt = fetch("", "", "", &api.url("/echo").replace("http://", "http://me:s3cret@"));
    let echo: Value = attempt.body.expect("a document").parse().expect("JSON");
    assert_eq!(echo["headers"]["authorization"], "Basic bWU6czNjcmV0", "userinfo in the URL is the same");
}

#[test]
fn the_nearest_of_token_header_and_userinfo_says_who_asks() {
    let token = "token = { file = \"secret\" }";
    let basic = "basic = { user = \"me\", password = { file = \"secret\" } }";
    let header = "headers = { Authorization = \"Custom written\" }";
    let me = Some("Basic bWU6czNjcmV0");
    for (defaults, job, endpoint, user, authorization, key) in [
        (token, "", "", "me:s3cret@", me, None),
        (header, "", "", "me:s3cret@", me, None),
        (token, basic, ", token = false", "me:s3cret@", me, None),
        (token, header, "", "", Some("Custom written"), None),
        ("headers = { Authorization = \"{{ due | unix }}\" }", "", "", "me:s3cret@", me, None),
        (header, token, "", "", Some("Bearer s3cret"), None),
        (header, token, ", headers = { Authorization = \"nearest\" }", "", Some("nearest"), None),
        (token, basic, ", headers = { Authorization = \"nearest\" }", "", Some("nearest"), None),
        // What goes elsewhere does not exclude each other.
        (token, "token_header = \"X-API-Key\"", "", "me:s3cret@", me, Some("s3cret")),
        (header, token, ", token_header = \"X-API-Key\"", "", Some("Custom written"), Some("s3cret")),
        (token, "token_header = \"X-API-Key\"", ", headers = { X-API-Key = \"k\" }", "", None, Some("k")),
        // Nobody.
        (token, "", ", token = false", "", None, None),
        (basic, "token = false", "", "", None, None),
        (header, "", ", token = false", "", None, None),
        (token, "token = false", ", basic = { user = \"me\", password = { file = \"secret\" } }", "", me, None),
        (token, "", ", token = false, headers = { Authorization = \"own\" }", "", Some("own"), None),
    ] {
        let case = format!("{defaults} | {job} | {endpoint} | {user}");
        let api = sample_api();
        let url = api.url("/echo").replace("http://", &format!("http://{user}"));
        let attempt = fetch(defaults, job, endpoint, &url);
        let echo: Value = attempt.body.unwrap_or_else(|| panic!("{case}: {:?}", attempt.detail)).parse().expect("JSON");
        let sent = |name: &str| echo["headers"].get(name).and_then(Value::as_str);
        assert_eq!((sent("authorization"), sent("x-api-key")), (authorization, key), "{case}");
    }
}

#[test]
fn success_says_which_statuses_carry_data() {
    let api = sample_api();
    let outcome = |keys: &str, status: u16| fetch("", keys, "", &api.url(&format!("/status/{status}"))).outcome;
    assert_eq!(outcome("", 404), Outcome::HttpStatus);
    assert_eq!(outcome("success = [200, 404]", 404), Outcome::Ok);
    assert_eq!(outcome("success = [404]", 200), Outcome::HttpStatus);
}

#[test]
fn error_if_turns_a_200_that_means_failure_into_one() {
    let api = sample_api();
    let outcome = |rule: &str| fetch("", &format!("error_if = {rule}"), "", &api.url("/healthy")).outcome;
    assert_eq!(outcome("{ pointer = \"/error\" }"), Outcome::Ok, "not there");
    assert_eq!(outcome("{ pointer = \"/currency\" }"), Outcome::HttpStatus);
    assert_eq!(outcome("{ pointer = \"/currency\", equals = \"EUR\" }"), Outcome::HttpStatus);
    assert_eq!(outcome("{ pointer = \"/currency\", equals = \"USD\" }"), Outcome::Ok);
    assert_eq!(outcome("{ pointer = \"/users\", equals = 148210 }"), Outcome::HttpStatus);
}

#[test]
fn error_if_knows_the_empty_errors_of_apis_that_always_have_a_member_for_them() {
    for (found, outcome) in [
        ("null", Outcome::Ok),
        ("false", Outcome::Ok),
        ("[]", Outcome::Ok),
        ("{}", Outcome::Ok),
        ("\"\"", Outcome::Ok),
        ("0", Outcome::Ok),
        ("0.0", Outcome::Ok),
        ("1", Outcome::HttpStatus),
        ("1e999", Outcome::HttpStatus),
        ("[0]", Outcome::HttpStatus),
        ("\"0\"", Outcome::HttpStatus),
        ("true", Outcome::HttpStatus),
        (&format!("{}1{}", "[".repeat(40), "]".repeat(40)), Outcome::HttpStatus),
    ] {
        let server = always(canned::answer("200 OK", "", format!("{{\"error\": {found}}}")));
        let slot = fetch("", "error_if = { pointer = \"/error\" }", "", &server.url("/"));
        assert_eq!(slot.outcome, outcome, "{found}");
    }
}

#[test]
fn an_explicit_proxy_is_asked_even_for_this_machine() {
    let (api, proxy) = (sample_api(), sample_api());
    let keys = format!("proxy = {:?}", proxy.url(""));
    // The sample API takes the absolute form of a request that a proxy gets for a path that it does not know.
    assert_eq!(fetch("", &keys, "", &api.url("/healthy")).http_status, Some(404));
    assert_eq!((api.requests(), proxy.requests()), (0, 1));
}

#[test]
fn a_certificate_file_that_is_none_is_said_before_anything_runs() {
    let text =
        "[[job]]\nname = \"j\"\nevery = \"1m\"\nca_file = \"absent.pem\"\nendpoints = [\"https://127.0.0.1:1/\"]\n";
    let settings = Settings::parse(Path::new("config.toml"), text).expect("a valid config");
    let Err(error) = PreparedJob::new(&settings.jobs[0], Path::new("."), &mut Clients::default()) else {
        panic!("a file that is not there cannot be trusted")
    };
    assert!(format!("{:?}", error.source).contains("absent.pem"), "{error:?}");
    assert_eq!(error.to_string(), "job \"j\", endpoint \"https://127.0.0.1:1/\"");
}

#[test]
fn a_redirect_is_followed_with_the_method_that_it_asks_for() {
    for (status, method, followed) in [
        (303, "POST", "GET"),
        (303, "PUT", "GET"),
        (303, "GET", "GET"),
        (302, "POST", "GET"),
        (301, "POST", "GET"),
        (301, "PUT", "PUT"),
        (302, "PUT", "PUT"),
        (307, "POST", "POST"),
        (308, "POST", "POST"),
    ] {
        let server = canned::canned(move |request| match request.split(' ').nth(1) {
            Some("/") => canned::answer(&format!("{status} Over there"), "Location: /there\r\n", ""),
            _ => canned::answer("200 OK", "", "{}"),
        });
        let json = if method == "GET" { "" } else { "json = { range = \"1d\" }\n" };
        let attempt = fetch("", &format!("redirects = 1\nmethod = {method:?}\n{json}"), "", &server.url("/"));
        assert_eq!(attempt.outcome, Outcome::Ok, "{status} to {method}: {attempt:?}");
        let requests = server.requests();
        assert!(requests[1].starts_with(&format!("{followed} /there ")), "{status} to {method}: {requests:?}");
        let described = requests[1].to_ascii_lowercase().contains("content-type: ");
        let has_body = requests[1].ends_with("{\"range\":\"1d\"}");
        assert_eq!((has_body, described), (followed != "GET", followed != "GET"), "{status} to {method}: {requests:?}");
    }
}

#[test]
fn a_redirect_takes_no_condition_along_because_the_version_is_that_of_another_document() {
    let turn = std::sync::atomic::AtomicUsize::new(0);
    let server = canned::canned(move |request| match request.split(' ').nth(1) {
        Some("/") if turn.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            canned::answer("200 OK", "ETag: \"v1\"\r\n", "{\"a\":1}")
        }
        Some("/") => canned::answer("302 Found", "Location: /there\r\n", ""),
        _ if request.to_ascii_lowercase().contains("if-none-match: ") => {
            canned::answer("304 Not Modified", "ETag: \"v1\"\r\n", "")
        }
        _ => canned::answer("200 OK", "ETag: \"v1\"\r\n", "{\"b\":2}"),
    });
    let text = format!("[[job]]\nname = \"j\"\nevery = \"1m\"\nredirects = 1\nendpoints = [{:?}]\n", server.url("/"));
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    let job = PreparedJob::new(&settings.jobs[0], Path::new("."), &mut Clients::default()).expect("requests");
    let ask = |remembered| Ask { remembered, ..Ask::once(Duration::from_secs(5)) };
    let first = attempt(&job.requests[0], ask(None));
    let remembered =
        Remembered { validators: first.validators.expect("the ETag"), document: first.body.expect("a document") };
    let second = attempt(&job.requests[0], ask(Some(remembered)));
    assert_eq!(second.body.as_ref().map(Document::text), Some("{\"b\":2}"), "{second:?}");
    assert!(server.requests()[1].to_ascii_lowercase().contains("if-none-match: \"v1\""), "it is asked where it was");
}

#[test]
fn a_part_that_nobody_asked_for_is_no_document() {
    let part = |range: &str| canned::always(canned::answer("206 Partial Content", range, "{\"a\":1}"));
    for (range, keys, outcome) in [
        ("Content-Range: bytes 0-6/7\r\n", "", Outcome::Ok),
        ("", "", Outcome::Ok),
        ("Content-Range: bytes 0-6/700\r\n", "", Outcome::HttpStatus),
        ("Content-Range: bytes 7-13/14\r\n", "", Outcome::HttpStatus),
        ("Content-Range: bytes 0-6/*\r\n", "", Outcome::HttpStatus),
        ("Content-Range: 0-24/66\r\n", "", Outcome::HttpStatus),
        ("Content-Range: s3cret\r\n", "", Outcome::HttpStatus),
        ("Content-Range: 0-24/66\r\n", "success = [200, 206]", Outcome::Ok),
        ("Content-Range: bytes 0-6/700\r\n", "headers = { Range = \"bytes=0-6\" }", Outcome::Ok),
    ] {
        let attempt = fetch("", keys, "", &part(range).url("/"));
        assert_eq!((attempt.outcome, attempt.http_status), (outcome, Some(206)), "{range}, {keys}: {attempt:?}");
        if outcome != Outcome::Ok {
            let detail = attempt.detail.expect("a detail");
            assert_eq!(detail.as_str(), "206 Partial Content: a part of the document, which was not asked for");
        }
    }
}

#[test]
fn the_first_retry_after_that_can_be_understood_counts() {
    let server = canned::always(canned::answer("429 Slow down", "Retry-After: soon\r\nRetry-After: 7\r\n", ""));
    assert_eq!(fetch("", "", "", &server.url("/")).retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn a_proxy_that_does_not_connect_is_named_as_the_cause() {
    for (answer, told) in [
        ("HTTP/1.1 407 Authenticate\r\n\r\n", "the proxy answered 407 Proxy Authentication Required"),
        (
            "HTTP/1.1 403 Forbidden\r\n\r\n",
            "the proxy refused to connect there: what it answered to CONNECT was not 200",
        ),
        ("", "the proxy closed the connection instead of answering CONNECT"),
    ] {
        let proxy = canned::always(answer);
        let attempt = fetch("", &format!("proxy = {:?}", proxy.url("")), "", "https://api.example.com/");
        assert_eq!((attempt.outcome, attempt.http_status), (Outcome::Connect, None), "{attempt:?}");
        assert_eq!(attempt.detail.expect("a detail").as_str(), told);
        assert!(proxy.requests()[0].starts_with("CONNECT api.example.com:443 "), "{:?}", proxy.requests());
    }
}

#[test]
fn a_header_that_goes_on_in_the_next_line_is_one_header() {
    let folded = "HTTP/1.1 200 OK\r\nX-Folded: one\r\n  two\r\nETag:\r\n\t\"v1\"\r\nContent-Length: 2\r\n\r\n{}";
    let attempt = fetch("", "", "", &always(folded).url("/"));
    assert_eq!(attempt.outcome, Outcome::Ok, "{attempt:?}");
    assert_eq!(attempt.validators.expect("the ETag").etag.as_deref(), Some("\"v1\""));
}

#[test]
fn a_reason_phrase_counts_as_a_part_of_the_head() {
    for (length, outcome) in [(1_000, Outcome::Ok), (500_000, Outcome::Protocol)] {
        let server = always(canned::answer(&format!("200 {}", "O".repeat(length)), "", "{}"));
        let attempt = fetch("", "", "", &server.url("/"));
        assert_eq!(attempt.outcome, outcome, "{length}: {:?}", attempt.detail);
    }
}
