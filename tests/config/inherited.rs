//! Keys that are inherited from a job or `[defaults]`, and turned off nearer by.

use std::path::Path;

use gatherd::config::{Auth, Identity, RequestSettings, Settings, TokenPlace};
use http::{HeaderName, HeaderValue, Method};

use crate::{JOB, mistakes, right};

/// How the endpoint of a config is asked that has these keys in the defaults, the job and the endpoint.
fn asked(defaults: &str, job: &str, endpoint: &str) -> RequestSettings {
    let text = with(defaults, job, endpoint);
    let settings = Settings::parse(Path::new("config.toml"), &text).unwrap_or_else(|told| panic!("{text}\n{told}"));
    RequestSettings::clone(&settings.jobs[0].endpoints[0].request)
}

fn with(defaults: &str, job: &str, endpoint: &str) -> String {
    let keys = if endpoint.is_empty() { String::new() } else { format!(", {endpoint}") };
    let endpoint = format!("{{ url = \"https://example.com/\"{keys} }}");
    format!("[defaults]\n{defaults}\n{}{job}\n", JOB.replace("\"https://example.com/\"", &endpoint))
}

const TOKEN: &str = "token = { env = \"A\" }";
const BASIC: &str = "basic = { user = \"me\", password = { env = \"A\" } }";
const OAUTH2: &str = r#"oauth2 = { token_url = "https://a.example/", client_id = "a", client_secret = { env = "A" } }"#;

/// A key that is set, and how it is turned off.
const KEYS: [(&str, &str); 18] = [
    ("pages = { link = true }", "pages = false"),
    ("error_if = { pointer = \"/error\" }", "error_if = false"),
    ("success = [404]", "success = false"),
    (TOKEN, "token = false"),
    (BASIC, "basic = false"),
    (OAUTH2, "oauth2 = false"),
    (TOKEN, "oauth2 = false"),
    (BASIC, "token = false"),
    (OAUTH2, "basic = false"),
    ("headers = { Authorization = \"a\" }", "basic = false"),
    (TOKEN, "headers = { Authorization = false }"),
    ("ca_file = \"ca.pem\"", "ca_file = false"),
    ("rate = \"10/s\"", "rate = false"),
    ("max_per_host = 4", "max_per_host = false"),
    ("json = { range = \"1d\" }", "json = false"),
    ("json = [1]", "method = \"GET\""),
    ("headers = { X-Name = \"a\" }", "headers = { x-name = false }"),
    ("query = { name = \"a\" }", "query = { name = false }"),
];

#[test]
fn a_key_that_is_turned_off_nearer_is_as_if_it_were_set_nowhere() {
    let nothing = asked("", "", "");
    for (set, off) in KEYS {
        assert_ne!(asked(set, "", ""), nothing, "{set}");
        for (defaults, job, endpoint) in [(set, off, ""), (set, "", off), ("", set, off), (set, set, off)] {
            assert_eq!(asked(defaults, job, endpoint), nothing, "{defaults} | {job} | {endpoint}");
        }
    }
}

#[test]
fn a_key_that_is_set_nearer_than_it_is_turned_off_counts() {
    // A method is a key of its own, which stays.
    for (set, off) in KEYS.into_iter().filter(|(_, off)| !off.starts_with("method")) {
        for (defaults, job, endpoint) in [(set, off, set), (set, set, "")] {
            assert_eq!(asked(defaults, job, endpoint), asked("", "", set), "{defaults} | {job} | {endpoint}");
        }
    }
    // What is turned off where nothing is inherited does no harm: it may be inherited one day.
    for (_, off) in KEYS.iter().filter(|(_, off)| !off.starts_with("query")) {
        assert_eq!(asked(off, off, off), asked("", "", ""), "{off}");
    }
}

#[test]
fn turning_off_who_asks_and_saying_it_are_not_for_one_place() {
    let told = [TOKEN, BASIC].map(|set| mistakes(with("", &format!("oauth2 = false\n{set}"), "")));
    insta::assert_snapshot!(told.concat(), @r#"
    config.toml:7: job "a": oauth2: `token`, `basic` and `oauth2` exclude each other: keep one of them
    config.toml:7: job "a": oauth2: `token`, `basic` and `oauth2` exclude each other: keep one of them
    "#);
    // Whoever says it three times means it.
    assert_eq!(asked(BASIC, "token = false\nbasic = false\noauth2 = false", ""), asked("", "", ""));
    let other = asked(TOKEN, "basic = false", OAUTH2);
    assert!(matches!(other.auth, Some(Auth::OAuth2(_))), "{other:?}");
}

#[test]
fn a_token_goes_where_the_nearest_key_says_and_without_one_it_is_a_bearer_token() {
    let place =
        |defaults: &str, job: &str, endpoint: &str| match asked(&format!("{TOKEN}\n{defaults}"), job, endpoint).auth {
            Some(Auth::Token { place, .. }) => place,
            other => panic!("{other:?}"),
        };
    let parameter = |name: &str| TokenPlace::Parameter(name.to_owned());
    let header = |name: &'static str, scheme: &'static str| {
        let (name, scheme) = (HeaderName::from_static(name), HeaderValue::from_static(scheme));
        TokenPlace::Header { name, scheme }
    };
    let (query, own, scheme) = ("token_query = \"appid\"", "token_header = \"x-key\"", "token_scheme = \"Token\"");
    for (defaults, job, endpoint, expected) in [
        ("", "", "", header("authorization", "Bearer")),
        (query, "", "", parameter("appid")),
        (query, "token_query = \"key\"", "", parameter("key")),
        (own, query, "", parameter("appid")),
        (scheme, "", query, parameter("appid")),
        (query, own, "", header("x-key", "")),
        (query, "", scheme, header("authorization", "Token")),
        (query, own, "token_query = \"key\"", parameter("key")),
        (query, "token_query = false", "", header("authorization", "Bearer")),
        (query, "", "token_query = false", header("authorization", "Bearer")),
        (query, "token_query = false", "token_query = \"key\"", parameter("key")),
        // Turned off, it is as if it were set nowhere.
        (own, query, "token_query = false", header("x-key", "")),
        (own, query, scheme, header("x-key", "Token")),
        ("", "token_query = false", own, header("x-key", "")),
    ] {
        assert_eq!(place(defaults, job, endpoint), expected, "{defaults} | {job} | {endpoint}");
    }
}

#[test]
fn one_header_or_parameter_is_turned_off_and_the_others_stay() {
    let inherited = "headers = { X-A = \"1\", X-B = \"2\" }\nquery = { a = 1, b = 2 }";
    let left = asked(inherited, "", "headers = { x-a = false, X-C = \"3\" }, query = { a = false, c = 3 }");
    let headers: Vec<_> = left.headers.iter().map(|(name, _)| name.as_str()).collect();
    let query: Vec<_> = left.query.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!((headers, query), (vec!["x-c", "x-b"], vec!["c", "b"]));
}

#[test]
fn a_request_without_its_inherited_body_is_a_get_unless_a_method_is_said() {
    let body = "json = { range = \"1d\" }";
    let of = |defaults: &str, job: &str, endpoint: &str| {
        let asked = asked(defaults, job, endpoint);
        (asked.method, asked.json.is_some())
    };
    let both = "method = \"PUT\"\njson = [1]";
    for (defaults, job, endpoint, expected) in [
        (body, "", "", (Method::POST, true)),
        (body, "", "json = false", (Method::GET, false)),
        (both, "", "json = false", (Method::PUT, false)),
        (body, "method = \"DELETE\"", "json = false", (Method::DELETE, false)),
        (body, "", "json = false, method = \"POST\"", (Method::POST, false)),
        // A GET has a body where one stands beside it or nearer.
        (both, "", "method = \"GET\"", (Method::GET, false)),
        (both, "method = \"GET\"", "method = \"PUT\"", (Method::PUT, false)),
        (body, "", "method = \"GET\", json = [2]", (Method::GET, true)),
        ("method = \"GET\"", body, "", (Method::GET, true)),
        (body, "", "method = \"DELETE\"", (Method::DELETE, true)),
    ] {
        assert_eq!(of(defaults, job, endpoint), expected, "{defaults} | {job} | {endpoint}");
    }
    let body = |json: &str| asked("", "", json).json.and_then(|json| json.fixed().map(str::to_owned));
    assert_eq!(body("json = \"false\""), Some("false".to_owned()), "as text it is a body");
}

#[test]
fn a_client_certificate_and_its_key_are_turned_off_together() {
    let pair = "client_cert = \"me.pem\"\nclient_key = \"me.key\"";
    let other = "client_cert = \"other.pem\", client_key = \"other.key\"";
    let nothing = asked("", "", "");
    assert_ne!(asked(pair, "", ""), nothing);
    let both = "client_cert = false\nclient_key = false";
    for off in ["client_cert = false", "client_key = false", both] {
        assert_eq!(asked(pair, off, ""), nothing, "{off}");
        let expected = Identity { certificate: "other.pem".into(), key: "other.key".into() };
        assert_eq!(asked(pair, off, other).identity, Some(expected), "{off}");
    }
    let told = [
        with(pair, "client_cert = false\nclient_key = \"me.key\"", ""),
        with(pair, "client_cert = false", "client_key = \"me.key\""),
        with(pair, "client_key = false", "client_cert = \"me.pem\""),
    ];
    insta::assert_snapshot!(told.iter().map(mistakes).collect::<String>(), @r#"
    config.toml:9: job "a": client_key: `client_cert` and `client_key` go together
    config.toml:7: job "a": endpoints[1].client_key: `client_cert` and `client_key` go together
    config.toml:7: job "a": endpoints[1].client_cert: `client_cert` and `client_key` go together
    "#);
}

#[test]
fn true_is_told_what_would_be_right() {
    let keys = [
        "pages",
        "error_if",
        "success",
        "token",
        "token_query",
        "basic",
        "oauth2",
        "ca_file",
        "client_cert",
        "client_key",
        "rate",
        "max_per_host",
        "json",
        "headers.X-Name",
    ];
    let told = mistakes(with("", &keys.map(|key| format!("{key} = true")).join("\n"), ""));
    insta::assert_snapshot!(told, @r#"
    config.toml:7: job "a": pages: expected { link = true }, or another way to the next page; `false` turns off an inherited one
    config.toml:8: job "a": error_if: expected { pointer = "/error" }, perhaps with equals = …; `false` turns off an inherited one
    config.toml:9: job "a": success: expected a list of statuses from 200 to 599, such as [200, 404]; `false` turns off an inherited one
    config.toml:10: job "a": token: a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }; `false` turns off an inherited one
    config.toml:11: job "a": token_query: expected text in quotes, found true; `false` turns off an inherited one
    config.toml:12: job "a": basic: expected { user = "NAME", password = { env = "NAME" } }; `false` turns off an inherited one
    config.toml:13: job "a": oauth2: expected { token_url = "https://…", client_id = "…", client_secret = { env = "NAME" } }; `false` turns off an inherited one
    config.toml:14: job "a": ca_file: expected text in quotes, found true; `false` turns off an inherited one
    config.toml:15: job "a": client_cert: expected text in quotes, found true; `false` turns off an inherited one
    config.toml:16: job "a": client_key: expected text in quotes, found true; `false` turns off an inherited one
    config.toml:17: job "a": rate: write a rate like "10/s", "60/m", "1000/h" or "5000/d", in quotes, instead of true; `false` turns off an inherited one
    config.toml:18: job "a": max_per_host: expected a whole number that is not negative, found true; `false` turns off an inherited one
    config.toml:19: job "a": json: expected a table, a list, or a text that is JSON, such as "true"; `false` turns off an inherited one
    config.toml:20: job "a": headers.X-Name: expected text in quotes; `false` turns off an inherited one
    "#);
}

#[test]
fn a_parameter_that_is_turned_off_is_inherited_or_it_is_a_word_without_quotes() {
    let told = mistakes(with("query = { a = 1, b = false }", "query = { active = false, a = false }", ""));
    insta::assert_snapshot!(told, @r#"
    config.toml:2: defaults.query.b: nothing further away sets it: as a word it stands in quotes, "false"
    config.toml:7: job "a": query.active: nothing further away sets it: as a word it stands in quotes, "false"
    "#);
    right(&with("", "query = { active = \"false\", all = true }", ""));
}

#[test]
fn a_token_is_not_put_where_pages_put_theirs() {
    let pages = "pages = { counter = \"page\", items = \"\" }";
    let token = |name: &str| format!("token = {{ env = \"T\" }}\ntoken_query = {name:?}");
    let told = mistakes(with(pages, &token("page"), ""));
    insta::assert_snapshot!(told, @r#"config.toml:8: job "a": token_query: `pages` puts the next page into this parameter: one of them is wrong"#);
    right(&with(pages, &token("key"), ""));
}

#[test]
fn a_webhook_leaves_the_authorities_of_the_defaults_alone_where_it_says_so() {
    let notify = "[[notify]]\nurl = \"https://hooks.example.com/\"\nca_file = false\nheaders = { X-A = false }\n";
    let text = format!("[defaults]\nca_file = \"ca.pem\"\n{JOB}{notify}");
    let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
    let request = &settings.notify[0].webhook.request;
    assert_eq!((&request.ca_file, request.headers.len()), (&None, 0));
}
