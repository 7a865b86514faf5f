//! Tokens that go as a parameter of the URL: where they are sent, and where they are not.

use gatherd::model::Outcome;
use serde_json::Value;

use crate::requests::fetch;
use crate::support::once::{slot, text};
use crate::support::{canned, sample_api, write};

const TOKEN: &str = "token = { file = \"secret\" }";

/// The target of each request so far.
fn targets(server: &canned::Canned) -> Vec<String> {
    server.requests().iter().filter_map(|request| request.split(' ').nth(1).map(str::to_owned)).collect()
}

#[test]
fn a_token_goes_as_the_parameter_that_the_api_wants_and_as_no_header() {
    let api = sample_api();
    let attempt = fetch("", &format!("{TOKEN}\ntoken_query = \"appid\""), "", &api.url("/echo?own=1"));
    let echo: Value = attempt.body.expect("a document").parse().expect("JSON");
    assert_eq!(echo["query"], "own=1&appid=s3cret");
    assert!(!echo["headers"].to_string().contains("s3cret") && echo["headers"].get("authorization").is_none());
}

#[test]
fn the_nearest_key_says_whether_a_token_goes_as_a_parameter_or_as_a_header() {
    let basic = ", basic = { user = \"me\", password = { file = \"secret\" } }";
    let (me, bearer) = (Some("Basic bWU6czNjcmV0"), Some("Bearer s3cret"));
    for (defaults, job, endpoint, user, query, authorization, key) in [
        ("token_query = \"appid\"", "", "", "", "appid=s3cret", None, None),
        ("token_query = \"appid\"", "token_query = \"key\"", "", "", "key=s3cret", None, None),
        ("token_query = \"appid\"", "token_header = \"X-API-Key\"", "", "", "", None, Some("s3cret")),
        ("token_query = \"appid\"", "token_scheme = \"Token\"", "", "", "", Some("Token s3cret"), None),
        ("token_header = \"X-API-Key\"", "token_query = \"appid\"", "", "", "appid=s3cret", None, None),
        ("token_scheme = \"Token\"", "", ", token_query = \"appid\"", "", "appid=s3cret", None, None),
        ("token_query = \"appid\"", "", ", token_query = false", "", "", bearer, None),
        // What goes elsewhere does not exclude each other.
        ("token_query = \"appid\"", "", "", "me:s3cret@", "appid=s3cret", me, None),
        ("token_query = \"appid\"", "headers = { Authorization = \"own\" }", "", "", "appid=s3cret", Some("own"), None),
        // Others who ask, and nobody.
        ("token_query = \"appid\"", "", basic, "", "", me, None),
        ("token_query = \"appid\"", "", ", token = false", "", "", None, None),
    ] {
        let case = format!("{defaults} | {job} | {endpoint} | {user}");
        let api = sample_api();
        let url = api.url("/echo").replace("http://", &format!("http://{user}"));
        let attempt = fetch(&format!("{TOKEN}\n{defaults}"), job, endpoint, &url);
        let echo: Value = attempt.body.unwrap_or_else(|| panic!("{case}: {:?}", attempt.detail)).parse().expect("JSON");
        let sent = |name: &str| echo["headers"].get(name).and_then(Value::as_str);
        let of_query = echo["query"].as_str().unwrap_or_default();
        assert_eq!((of_query, sent("authorization"), sent("x-api-key")), (query, authorization, key), "{case}");
    }
}

#[test]
fn a_token_takes_the_place_of_the_parameter_and_the_rest_of_the_url_stays_as_it_is_written() {
    let server = canned::always(canned::answer("200 OK", "", "{}"));
    let keys = format!("{TOKEN}\ntoken_query = \"appid\"\nquery = {{ appid = \"older\", n = 1 }}");
    assert_eq!(fetch("", &keys, "", &server.url("/a%2fb?appid=old&x=%7e&app%69d=%41&APPID=3&y")).outcome, Outcome::Ok);
    assert_eq!(targets(&server), ["/a%2fb?x=%7e&APPID=3&y&n=1&appid=s3cret"]);
}

#[test]
fn the_signs_of_a_token_that_mean_something_in_a_url_are_encoded() {
    let token = "+/=&% #?\"<>;'\u{fc}";
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "token", token);
    let server = canned::always(canned::answer("200 OK", "", "{}"));
    let slot = slot(&format!("token = {{ file = {file:?} }}\ntoken_query = \"the key\""), &server.url("/"));
    assert_eq!(slot.outcome, Outcome::Ok, "{slot:?}");
    let sent = server.url(&targets(&server)[0]).parse::<url::Url>().expect("a URL");
    let pairs: Vec<_> = sent.query_pairs().collect();
    assert_eq!(pairs, [("the key".into(), token.into())], "{sent}");
}

#[test]
fn each_page_is_asked_for_with_the_token_once_whatever_the_server_makes_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "token", "s3cret");
    let server = canned::canned(|request| {
        let next = match request.split(' ').nth(1) {
            Some("/?appid=s3cret") => "\"/2\"",
            Some("/2?appid=s3cret") => "\"/3?appid=s3cret&z=1\"",
            Some("/3?z=1&appid=s3cret") => "\"/4?appid=***\"",
            _ => "null",
        };
        canned::answer("200 OK", "", format!("{{\"next\": {next}, \"data\": [1]}}"))
    });
    let keys = format!("token = {{ file = {file:?} }}\ntoken_query = \"appid\"");
    let by_url = slot(&format!("{keys}\npages = {{ url = \"/next\", items = \"/data\" }}"), &server.url("/"));
    assert_eq!(text(&by_url), "[1,1,1,1]");
    let asked = ["/?appid=s3cret", "/2?appid=s3cret", "/3?z=1&appid=s3cret", "/4?appid=s3cret"];
    assert_eq!(targets(&server), asked);
    let by_counter =
        canned::canned(|request| canned::answer("200 OK", "", if request.contains("page=2") { "[]" } else { "[1]" }));
    let slot = slot(&format!("{keys}\npages = {{ counter = \"page\", items = \"\" }}"), &by_counter.url("/"));
    assert_eq!(text(&slot), "[1]");
    assert_eq!(targets(&by_counter), ["/?page=1&appid=s3cret", "/?page=2&appid=s3cret"]);
}

#[test]
fn a_redirect_is_followed_as_the_server_has_written_it() {
    for (location, asked) in [("/there?a=1", "/there?a=1"), ("/there?appid=s3cret", "/there?appid=s3cret")] {
        let server = canned::canned(move |request| match request.split(' ').nth(1) {
            Some("/?appid=s3cret") => canned::answer("302 Found", &format!("Location: {location}\r\n"), ""),
            _ => canned::answer("200 OK", "", "{}"),
        });
        let keys = format!("{TOKEN}\ntoken_query = \"appid\"\nredirects = 1");
        assert_eq!(fetch("", &keys, "", &server.url("/")).outcome, Outcome::Ok);
        assert_eq!(targets(&server), ["/?appid=s3cret", asked]);
        assert!(server.requests().iter().all(|request| !request.to_ascii_lowercase().contains("authorization")));
    }
}

#[test]
fn what_was_sent_shows_that_a_token_was_and_neither_the_token_nor_what_it_replaced() {
    // Neither is the name that of a secret, nor the token long enough to be looked for in a text.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "token", "q7");
    let server = canned::always(canned::answer("401 Unauthorized", "", ""));
    let keys = format!("retries = 0\ntoken = {{ file = {file:?} }}\ntoken_query = \"q\"");
    let slot = slot(&keys, &server.url("/?q=older&z=1"));
    let sent = &slot.evidence.as_ref().expect("evidence").sent;
    assert!(sent.starts_with(&format!("GET {}\n", server.url("/?z=1&q=***"))), "{sent}");
    assert_eq!(targets(&server), ["/?z=1&q=q7"]);
}

#[test]
fn a_token_that_no_url_has_room_for_is_a_failure_that_shows_none_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "token", "/".repeat(30_000));
    let server = canned::always(canned::answer("200 OK", "", "{}"));
    let slot = slot(&format!("retries = 0\ntoken = {{ file = {file:?} }}\ntoken_query = \"appid\""), &server.url("/"));
    assert_eq!((slot.outcome, server.requests().len()), (Outcome::Protocol, 0), "{slot:?}");
    assert!(slot.evidence.as_ref().expect("evidence").sent.contains("/?appid=***\n"));
    assert!(!format!("{slot:?}").contains("%2F"), "{slot:?}");
}
