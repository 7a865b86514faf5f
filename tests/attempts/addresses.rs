//! Where a request may go: redirects within one origin, and never to a metadata service, however it is spelt.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use gatherd::config::{Endpoint, RequestSettings, Secret};
use gatherd::fetch::{Ask, Attempt, Clients, Request, attempt};
use gatherd::model::Outcome;
use gatherd::sample_api::SAMPLE_TOKEN;

use crate::support::sample_api;

fn fetch(url: &str, redirects: u32) -> Attempt {
    let settings = Arc::new(RequestSettings { redirects, ..RequestSettings::default() });
    let endpoint = Endpoint::unnamed(url, settings).expect("a URL");
    let token = Secret::new(SAMPLE_TOKEN).expect("a token");
    let request = Request::new(&endpoint, Path::new(""), &mut Clients::with_token(Some(&token))).expect("a client");
    attempt(&request, Ask::once(Duration::from_secs(5)))
}

#[test]
fn a_redirect_is_followed_only_as_often_as_wanted() {
    let api = sample_api();
    for (path, redirects, expected) in [
        ("/redirect", 0, Outcome::Redirect),
        ("/redirect", 1, Outcome::Ok),
        ("/redirect-hops/3", 2, Outcome::Redirect),
        ("/redirect-hops/3", 3, Outcome::Ok),
        ("/redirect-loop", 5, Outcome::Redirect),
    ] {
        let attempt = fetch(&api.url(path), redirects);
        assert_eq!(attempt.outcome, expected, "{path} with {redirects}: {attempt:?}");
        assert_eq!(attempt.http_status, Some(if expected == Outcome::Ok { 200 } else { 302 }));
    }
}

#[test]
fn a_redirect_never_leaves_its_origin_and_takes_no_credentials_there() {
    let (api, other) = (sample_api(), sample_api());
    let elsewhere = api.url(&format!("/redirect-to?url={}", other.url("/echo")));
    let same_host = api.url(&format!("/redirect-to?url=https://{}/echo", api.addr()));
    let blob = api.url(&format!("/redirect-to?url=blob:{}", api.url("/echo")));
    for url in [elsewhere, same_host, blob, api.url("/redirect-away"), api.url("/redirect-scheme")] {
        let attempt = fetch(&url, 5);
        assert_eq!(attempt.outcome, Outcome::Redirect, "{url}: {attempt:?}");
        assert_eq!(attempt.detail.expect("a reason").as_str(), "to another origin");
        let evidence = attempt.evidence.expect("evidence");
        let answer = evidence.answer.as_ref().expect("where it leads is worth seeing");
        assert!(answer.status == 302 && answer.headers.contains("location: "), "{url}: {answer:?}");
    }
    assert_eq!(other.requests(), 0);
}

#[test]
fn a_metadata_address_is_blocked_in_every_spelling_before_anything_is_sent() {
    for host in [
        "169.254.169.254",
        "0xA9FEA9FE",
        "2852039166",
        "0251.0376.0251.0376",
        "169.254.43518",
        "0xa9.254.0251.254",
        "169.254.169.254.",
        "[::ffff:169.254.169.254]",
        "[::ffff:a9fe:a9fe]",
        "[64:ff9b::a9fe:a9fe]",
        "[64:ff9b:1::169.254.169.254]",
        "[::ffff:0:169.254.169.254]",
        "[2002:a9fe:a9fe::]",
        "[2001::5601:5601]",
        "[fe80::1]",
        "[fd00:ec2::254]",
        "100.100.100.200",
        "168.63.129.16",
        "１６９.254.169.254",
    ] {
        let attempt = fetch(&format!("http://{host}/latest/meta-data/"), 0);
        assert_eq!(attempt.outcome, Outcome::BlockedAddress, "{host}: {attempt:?}");
    }
}

#[test]
fn a_loopback_address_by_name_or_number_is_fine_when_it_is_configured() {
    let api = sample_api();
    for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0x7f.1"] {
        let attempt = fetch(&format!("http://{host}:{}/healthy", api.addr().port()), 0);
        assert_eq!(attempt.outcome, Outcome::Ok, "{host}: {attempt:?}");
    }
}
