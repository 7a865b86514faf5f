//! Whom we trust, and who we are.

use gatherd::model::{Outcome, Phase};
use gatherd::sample_api::{Certificate, SAMPLE_CA, SAMPLE_CLIENT_CERTIFICATE, SAMPLE_CLIENT_KEY};
use gatherd::sample_api::{SAMPLE_SELF_SIGNED_AUTHORITY, SampleApi};
use tempfile::TempDir;

use crate::support::once::{detail, round, slot};
use crate::support::write;

fn tls(certificate: Certificate) -> SampleApi {
    SampleApi::start_tls(([127, 0, 0, 1], 0).into(), certificate).expect("a free port")
}

/// A folder with the sample authority and a client's certificate, and the keys that name them.
fn files() -> (TempDir, String, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca = format!("ca_file = {:?}\n", write(folder.path(), "ca.pem", SAMPLE_CA));
    let certificate = write(folder.path(), "client.pem", SAMPLE_CLIENT_CERTIFICATE);
    let key = write(folder.path(), "client.key", SAMPLE_CLIENT_KEY);
    (folder, ca, format!("client_cert = {certificate:?}\nclient_key = {key:?}\n"))
}

#[test]
fn an_authority_of_ones_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let (_folder, ca, _) = files();
    let api = tls(Certificate::Good);
    let trusted = round(&ca, &[api.url("/healthy"), api.url("/healthy").replace("127.0.0.1", "localhost")]);
    assert!(trusted.iter().all(|slot| slot.outcome == Outcome::Ok), "{trusted:?}");
    let stranger = slot("", &api.url("/healthy"));
    assert_eq!(stranger.outcome, Outcome::Tls);
    assert!(detail(&stranger).contains("UnknownIssuer"), "{}", detail(&stranger));
}

#[test]
fn a_server_that_is_its_own_authority_is_trusted_where_its_certificate_is_named() {
    let (folder, ca, _) = files();
    let own = format!("ca_file = {:?}\n", write(folder.path(), "own.pem", SAMPLE_SELF_SIGNED_AUTHORITY));
    let api = tls(Certificate::SelfSignedAuthority);
    let trusted = slot(&own, &api.url("/healthy"));
    assert_eq!(trusted.outcome, Outcome::Ok, "{trusted:?}");
    let stranger = slot(&ca, &api.url("/healthy"));
    assert_eq!(stranger.outcome, Outcome::Tls);
    assert!(detail(&stranger).contains("that of an authority"), "{}", detail(&stranger));
}

#[test]
fn a_bad_certificate_is_a_tls_failure_with_its_cause_and_nothing_is_sent() {
    let (_folder, ca, _) = files();
    for (certificate, cause) in [
        (Certificate::Expired, "expired"),
        (Certificate::WrongHost, "not valid for name"),
        (Certificate::SelfSigned, "UnknownIssuer"),
    ] {
        let api = tls(certificate);
        let slot = slot(&ca, &api.url("/healthy"));
        assert_eq!(slot.outcome, Outcome::Tls, "{slot:?}");
        assert!(detail(&slot).contains(cause), "{}", detail(&slot));
        assert_eq!(slot.attempts, 1, "a certificate does not get better by asking again");
        let phases = slot.phases.expect("phases");
        assert_eq!(phases.reached, Phase::Tls);
        assert!(phases.connect.is_some() && phases.tls.is_some(), "{phases:?}");
        assert_eq!(api.requests(), 0);
    }
}

#[test]
fn a_server_that_is_silent_in_the_handshake_is_a_timeout_in_it() {
    let (_folder, ca, _) = files();
    let api = tls(Certificate::Silent);
    let keys = format!("timeout = \"400ms\"\nretries = 0\n{ca}");
    let slot = slot(&keys, &api.url("/healthy"));
    assert_eq!((slot.outcome, detail(&slot)), (Outcome::Timeout, "the TLS handshake"));
    assert_eq!(slot.phases.as_ref().expect("phases").reached, Phase::Tls);
}

#[test]
fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let (_folder, ca, identity) = files();
    let api = tls(Certificate::GoodForKnownClients);
    let shown = slot(&format!("{ca}{identity}"), &api.url("/healthy"));
    assert_eq!(shown.outcome, Outcome::Ok, "{shown:?}");
    let missing = slot(&format!("{ca}retries = 0\n"), &api.url("/healthy"));
    assert_eq!(missing.outcome, Outcome::Tls, "{missing:?}");
    assert!(detail(&missing).to_lowercase().contains("certificate"), "{}", detail(&missing));
}

#[test]
fn every_kind_of_answer_comes_over_tls_as_well() {
    use Outcome::{NotJson, Ok, Timeout, Truncated};

    let (_folder, ca, _) = files();
    let api = tls(Certificate::Good);
    let keys = format!("timeout = \"2s\"\nretries = 0\n{ca}");
    let urls =
        ["/gzip", "/hang", "/truncated", "/html-200", "/drip", "/pages-link", "/chunked"].map(|path| api.url(path));
    let outcomes: Vec<Outcome> = round(&keys, &urls).iter().map(|slot| slot.outcome).collect();
    assert_eq!(outcomes, [Ok, Timeout, Truncated, NotJson, Timeout, Ok, Ok]);
}
