//! What token endpoints answer in the place of a token, and what becomes of it.

use gatherd::model::{Guess, Outcome};
use gatherd::sample_api::SAMPLE_CLIENT_SECRET;

use crate::oauth::{guarded, oauth2};
use crate::support::canned::{self, always};
use crate::support::daemon::Home;
use crate::support::once::{self, detail, round, slot};
use crate::support::{OFTEN, sample_api, until, write};

/// What a failure of the token endpoint at `url` is told as.
fn told_of(url: &str, why: &str) -> String {
    let host = url.trim_start_matches("http://").split('/').next().expect("a host");
    format!("access token from {host}: {why}")
}

#[test]
fn a_token_endpoint_that_fails_is_told_with_its_own_outcome_and_costs_nobody_else() {
    let api = sample_api();
    for (path, secret, outcome, status, told) in [
        ("/oauth-token", "wrong-secret", Outcome::HttpStatus, Some(401), "401 Unauthorized, invalid_client"),
        ("/status/503", "s3cret", Outcome::HttpStatus, Some(503), "503 Service Unavailable"),
        ("/html-200", "s3cret", Outcome::NotJson, Some(200), "the answer holds none"),
        ("/deep/100", "s3cret", Outcome::TooDeep, Some(200), "nested over 16 levels"),
        ("/infinite", "s3cret", Outcome::TooLarge, Some(200), "over 262144 bytes"),
        ("/reset", "s3cret", Outcome::Reset, None, ""),
        ("/secret-echo-everywhere", "s3cret-in-the-echo", Outcome::HttpStatus, Some(500), "500"),
    ] {
        let (keys, _folder) = oauth2(&api.url(path), secret, "");
        let slots = round(&keys, &guarded(&api, 20));
        for slot in &slots {
            assert_eq!((slot.outcome, slot.http_status), (outcome, status), "{path}: {slot:?}");
            assert!(detail(slot).starts_with(&told_of(&api.url(path), told)), "{path}: {}", detail(slot));
            assert!(!format!("{slot:?}").contains(secret));
        }
        assert!(api.requests_to(path) < 20, "{path}: those who wait for a token share its failure");
    }
    assert_eq!(api.requests_to("/oauth-guarded/0"), 0, "nothing is asked without a token");
}

#[test]
fn what_a_token_endpoint_answers_in_the_place_of_a_token_is_kept_and_no_token_is() {
    let api = sample_api();
    let error = r#"{"error":"bad_verification_code","error_description":"client s3cret-id: expired"}"#;
    for (status, body, kept, guess) in [
        ("200 OK", "<html><title>Log in</title><input type=\"password\">", None, Some(Guess::LoginPage)),
        ("200 OK", error, None, Some(Guess::ErrorDocument)),
        (
            "400 No",
            r#"{"error":"x","access_token":"t0ken-1"}"#,
            Some(r#"{"error":"x","access_token":"***"}"#),
            Some(Guess::ErrorDocument),
        ),
        ("401 No", "not client-s3cret", Some("not ***"), None),
        ("401 No", "not client-s3cret@a-long-0123456789-word", Some("not ***@***"), None),
        ("200 OK", "t0ken-in-plain-text", Some(""), None),
        ("200 OK", "access_token=t0ken-2&token_type=bearer", Some(""), None),
        ("200 OK", r#"{"access_token":"t0ken-3","token_type":"mac"}"#, Some(""), None),
        ("403 No", "access_token=t0ken-4&why=no", Some("access_token=***&why=no"), None),
        ("200 OK", "<response><access_token>t0ken-5</access_token></response>", Some(""), None),
        ("200 OK", r#"{"error":null,"data":"t0ken-6"}"#, Some(""), None),
        ("200 OK", "<html><script>s = {access_token: \"t0ken\"}</script>", Some(""), None),
        (
            "400 No",
            "\u{feff}{\"error\":\"x\",\"refresh_token\":\"t0ken-7\"}",
            Some(r#"{"error":"x","refresh_token":"***"}"#),
            Some(Guess::ErrorDocument),
        ),
        (
            "400 No",
            r#"{"details":"the t0ken-8-of-many-signs is revoked"}"#,
            Some(r#"{"details":"the *** is revoked"}"#),
            Some(Guess::ErrorDocument),
        ),
        ("400 No", "not bWU6cCU0MHNzJTJGdw==", Some("not ***=="), None),
        ("400 No", "parameter p4rameter-secret is wrong", Some("parameter *** is wrong"), None),
        ("302 Found", "", None, None),
    ] {
        let headers =
            "X-Id: 7\r\nLocation: http://a.example/in#access_token=t0ken\r\nX-Session: t0ken-9-of-many-signs\r\n";
        let server = always(canned::answer(status, headers, body));
        let parameters = ", parameters = { client_assertion = \"p4rameter-secret\" }";
        let (keys, _folder) = oauth2(&server.url("/token"), "client-s3cret", parameters);
        let slot = slot(&keys, &api.url("/echo"));
        let evidence = slot.evidence.as_ref().expect("evidence");
        let answer = evidence.answer.as_ref().expect("an answer");
        assert_eq!(slot.http_status.map(|status| status.to_string()).as_deref(), status.get(..3), "{slot:?}");
        assert_eq!(evidence.sent, format!("POST {}", server.url("/token")));
        assert_eq!((answer.body.as_str(), evidence.guess), (kept.unwrap_or(body), guess), "{answer:?}");
        assert!(answer.headers.contains("x-id: 7"), "{answer:?}");
        assert!(!format!("{slot:?}").contains("t0ken"), "{slot:?}");
    }
}

#[test]
fn a_token_endpoint_that_hangs_holds_no_slot_beyond_its_timeout() {
    let api = sample_api();
    let (keys, _folder) = oauth2(&api.url("/oauth-hang"), SAMPLE_CLIENT_SECRET, "");
    let slots = round(&format!("timeout = \"500ms\"\n{keys}"), &guarded(&api, 10));
    for slot in &slots {
        assert_eq!(slot.outcome, Outcome::Timeout, "{slot:?}");
        assert!(slot.elapsed.as_millis() < 1_500, "{slot:?}");
    }
}

#[test]
fn answers_of_token_endpoints_that_differ_a_little_from_the_rfc_are_understood() {
    let api = sample_api();
    for answer in [
        r#"{"access_token":"t","token_type":"bearer"}"#,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":"3599"}"#,
        r#"{"access_token":"t","expires_in":3599.5}"#,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":null,"scope":"a b","further":{"x":[1]}}"#,
        r#"{"access_token":"t","token_type":"Bearer","expires_in":-1}"#,
        r#"{"access_token":"t","token_type":null,"scope":["read","write"],"refresh_token":null}"#,
        r#"{"access_token":"t","scope":["read"],"further":{"$serde_json::private::RawValue":"{"}}"#,
        "\u{feff}{\"access_token\":\"t\",\"token_type\":\"BEARER\"}",
    ] {
        for (status, content_type) in
            [("200 OK", "application/json"), ("201 Created", "application/json"), ("200 OK", "text/plain")]
        {
            let headers = format!("Content-Type: {content_type}\r\n");
            let server = always(canned::answer(status, &headers, answer));
            let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
            let slot = slot(&keys, &api.url("/echo"));
            assert_eq!(slot.outcome, Outcome::Ok, "{status}, {content_type}, {answer}: {slot:?}");
            assert!(once::text(&slot).contains("\"authorization\":\"Bearer t\""), "{answer}");
            assert_eq!(server.requests().len(), 1);
        }
    }
}

#[test]
fn a_token_that_cannot_be_used_is_refused_with_the_reason() {
    let api = sample_api();
    for (answer, told) in [
        (r#"{"access_token":"","token_type":"bearer"}"#, "the access_token is empty"),
        (r#"{"access_token":"t","token_type":"mac"}"#, "its token_type is mac, and only bearer can be used"),
        (r#"{"access_token":"t","token_type":"s3cret"}"#, "its token_type is not bearer, which alone can be used"),
    ] {
        let server = always(canned::answer("200 OK", "", answer));
        let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
        let slot = slot(&keys, &api.url("/echo"));
        let told = told_of(&server.url("/token"), told);
        assert_eq!((slot.outcome, detail(&slot)), (Outcome::NotJson, told.as_str()), "{slot:?}");
    }
    assert_eq!(api.requests(), 0);
}

#[test]
fn a_token_endpoint_that_asks_for_a_pause_is_left_alone_by_all_who_share_the_token() {
    let api = sample_api();
    for (status, outcome) in [("429 Too Many Requests", 429), ("503 Service Unavailable", 503)] {
        let server = always(canned::answer(status, "Retry-After: 60\r\n", "busy"));
        let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
        let slots = round(&format!("max_per_host = 1\n{keys}"), &guarded(&api, 5));
        for slot in &slots {
            assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(outcome)), "{slot:?}");
            assert!(detail(slot).starts_with(&told_of(&server.url("/token"), status)), "{}", detail(slot));
        }
        assert_eq!(server.requests().len(), 1, "nobody asks again meanwhile");
    }
}

#[test]
fn a_token_endpoint_that_asks_for_a_pause_is_left_alone_by_every_job_also_after_a_restart() {
    let api = sample_api();
    let server = always(canned::answer("429 Too Many Requests", "Retry-After: 600\r\n", "busy"));
    let job = |name: &str| {
        let url = api.url(&format!("/oauth-guarded/{name}"));
        let (token_url, secret) = (server.url("/token"), "{ file = \"secret\" }");
        let oauth2 = format!("{{ token_url = {token_url:?}, client_id = {name:?}, client_secret = {secret} }}");
        format!("[[job]]\nname = {name:?}\n{OFTEN}\noauth2 = {oauth2}\nendpoints = [{url:?}]\n")
    };
    let home = Home::new(&job("first"));
    write(home.folder.path(), "secret", "s3cret");
    let rounds = |name: &str| {
        let daemon = home.start();
        daemon.wait_for_rounds(name, 3);
        daemon.stop();
    };
    rounds("first");
    home.configure(&format!("{}{}", job("first"), job("second")));
    rounds("second");
    assert_eq!(server.requests().len(), 1);
    let refused = "SELECT count(*) FROM observations WHERE outcome = 'http_status' AND http_status = 429";
    assert_eq!(home.number(refused), 1);
    let others = "SELECT DISTINCT detail FROM failures WHERE outcome = 'backoff'";
    let details: Vec<String> = home.rows(others, |row| row.get(0));
    assert!(!details.is_empty(), "the others asked nobody");
    for detail in details {
        assert!(detail.starts_with("its token's host asked to be left alone until "), "{detail}");
    }
}

#[test]
fn a_token_endpoint_is_asked_again_when_the_pause_that_it_asked_for_is_over() {
    let api = sample_api();
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let server = canned::canned(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => canned::answer("503 Service Unavailable", "Retry-After: 1\r\n", ""),
        _ => canned::answer("200 OK", "", r#"{"access_token":"t","token_type":"bearer"}"#),
    });
    let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
    let url = api.url("/echo");
    let home = Home::new(&format!("[[job]]\nname = \"job\"\n{OFTEN}\n{keys}\nendpoints = [{url:?}]\n"));
    let daemon = home.start();
    until("the API is asked", || api.requests() > 0);
    daemon.stop();
    assert!(home.number("SELECT count(*) FROM observations WHERE outcome = 'http_status'") > 0);
    assert_eq!(server.requests().len(), 2);
}
