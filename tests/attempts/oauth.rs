//! Access tokens: one for all who ask with the same credentials, renewed when it is time and when it is refused.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gatherd::model::{Guess, Outcome};
use gatherd::sample_api::{SAMPLE_CLIENT_ID, SAMPLE_CLIENT_SECRET, SampleApi};

use crate::support::canned::{self, always, canned};
use crate::support::daemon::Home;
use crate::support::once::{self, detail, round, round_of, slot};
use crate::support::{OFTEN, YEARLY, sample_api, until, write};

/// The `oauth2` key, and a folder with the client's secret.
fn oauth2(token_url: &str, secret: &str, further: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "client-secret", secret);
    let key = format!(
        "retries = 0\noauth2 = {{ token_url = {token_url:?}, client_id = {SAMPLE_CLIENT_ID:?}, client_secret = {{ file = {file:?} }}{further} }}"
    );
    (key, folder)
}

fn guarded(api: &SampleApi, count: usize) -> Vec<String> {
    (0..count).map(|number| api.url(&format!("/oauth-guarded/{number}"))).collect()
}

#[test]
fn all_endpoints_share_one_token_that_is_asked_for_once() {
    let api = sample_api();
    for further in
        ["", ", credentials_in = \"body\"", ", scopes = [\"read\", \"x\"], parameters = { audience = \"a&b\" }"]
    {
        let before = api.requests_to("/oauth-token");
        let (keys, _folder) = oauth2(&api.url("/oauth-token"), SAMPLE_CLIENT_SECRET, further);
        let slots = round(&keys, &guarded(&api, 40));
        assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{further}: {:?}", slots[0]);
        assert_eq!(api.requests_to("/oauth-token") - before, 1, "one renewal at a time, for all");
    }
    let head = api.last_request("/oauth-token").expect("a request").to_ascii_lowercase();
    assert!(head.contains("user-agent: gatherd/") && head.contains("content-type: application/x-www-form-urlencoded"));
}

#[test]
fn all_who_waited_for_a_token_use_it_once_however_short_its_life_is() {
    let api = sample_api();
    let server = canned(|_| {
        std::thread::sleep(std::time::Duration::from_millis(200));
        canned::answer("200 OK", "", r#"{"access_token":"t","token_type":"bearer","expires_in":0}"#)
    });
    let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
    let urls: Vec<String> = (0..20).map(|number| api.url(&format!("/healthy/{number}"))).collect();
    let slots = round(&format!("timeout = \"3s\"\n{keys}"), &urls);
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{slots:?}");
}

#[test]
fn who_has_no_time_to_wait_for_a_token_takes_it_from_nobody_who_has() {
    let api = sample_api();
    let server = canned(|_| {
        std::thread::sleep(std::time::Duration::from_millis(600));
        canned::answer("200 OK", "", r#"{"access_token":"t","token_type":"bearer"}"#)
    });
    let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
    let hurried = format!("{{ url = {:?}, timeout = \"200ms\" }}", api.url("/healthy/1"));
    let patient = format!("{{ url = {:?}, timeout = \"8s\" }}", api.url("/healthy/2"));
    let (hurried, patient) = ([hurried.as_str(); 3], [patient.as_str(); 3]);
    let endpoints = [hurried, patient, hurried].concat().join(", ");
    let slots = round_of(&format!("{keys}\nendpoints = [{endpoints}]"));
    let outcomes: Vec<Outcome> = slots.iter().map(|slot| slot.outcome).collect();
    assert_eq!(outcomes, [[Outcome::Timeout; 3], [Outcome::Ok; 3], [Outcome::Timeout; 3]].concat(), "{slots:?}");
}

#[test]
fn a_token_request_that_hangs_is_given_up_with_those_who_wait_for_it_however_patient_others_are() {
    let api = sample_api();
    // The next request after the switch is on never gets an answer.
    let hang = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&hang);
    let url = canned::connections(move |_, mut stream| {
        canned::head(&mut stream);
        if switch.swap(false, Ordering::Relaxed) {
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        let token = r#"{"access_token":"t","token_type":"bearer","expires_in":0}"#;
        let _ = stream.write_all(&canned::answer("200 OK", "", token));
    });
    let (keys, _folder) = oauth2(&url, "s3cret", "");
    let (patient, hurried) = (api.url("/healthy/patient"), api.url("/healthy/hurried"));
    let home = Home::new(&format!(
        "[[job]]\nname = \"patient\"\n{YEARLY}\nrun_on_start = true\ntimeout = \"10m\"\n{keys}\nendpoints = [{patient:?}]\n\
         [[job]]\nname = \"hurried\"\n{OFTEN}\ntimeout = \"200ms\"\n{keys}\nendpoints = [{hurried:?}]\n"
    ));
    let daemon = home.start();
    until("the patient one has its token", || api.requests_to("/healthy/patient") == 1);
    hang.store(true, Ordering::Relaxed);
    until("a request hangs", || !hang.load(Ordering::Relaxed));
    let asked = api.requests_to("/healthy/hurried");
    until("the hurried one goes on", || api.requests_to("/healthy/hurried") > asked + 3);
    daemon.stop();
    assert!(home.number("SELECT count(*) FROM observations WHERE outcome = 'timeout'") > 0);
}

#[test]
fn endpoints_with_other_timeouts_and_names_share_the_token_too() {
    let api = sample_api();
    let (keys, _folder) = oauth2(&api.url("/oauth-token"), SAMPLE_CLIENT_SECRET, "");
    let further = ["", "connect_timeout = \"1s\"", "user_agent = \"other/1\"", "timeout = \"5s\"", "redirects = 3"];
    let urls = guarded(&api, further.len());
    let endpoint = |(url, further): (&String, &&str)| {
        let comma = if further.is_empty() { "" } else { ", " };
        format!("{{ url = {url:?}{comma}{further} }}")
    };
    let endpoints: Vec<String> = urls.iter().zip(&further).map(endpoint).collect();
    let slots = round_of(&format!("{keys}\nendpoints = [{}]", endpoints.join(", ")));
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{slots:?}");
    assert_eq!(api.requests_to("/oauth-token"), 1);
}

#[test]
fn a_token_that_an_api_refuses_is_renewed_once_each_time() {
    let api = sample_api();
    let (keys, _folder) = oauth2(&api.url("/oauth-token"), SAMPLE_CLIENT_SECRET, "");
    let url = api.url("/oauth-guarded");
    let home = Home::new(&format!("[[job]]\nname = \"job\"\n{OFTEN}\n{keys}\nendpoints = [{url:?}]\n"));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 2);
    assert_eq!(api.requests_to("/oauth-token"), 1);
    // One that took the place of another and was good for something is replaced as well.
    for tokens in 2..=3 {
        api.revoke_tokens();
        until("another token is asked for", || api.requests_to("/oauth-token") == tokens);
        let asked = api.requests();
        until("rounds go on", || api.requests() > asked + 3);
    }
    daemon.stop();
    assert_eq!(api.requests_to("/oauth-token"), 3);
    assert_eq!(home.number("SELECT count(*) FROM observations WHERE outcome <> 'ok'"), 0);
    // Not kept anywhere.
    let bytes = std::fs::read(home.database()).expect("read");
    for secret in api.tokens().iter().map(String::as_str).chain([SAMPLE_CLIENT_SECRET]) {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

#[test]
fn a_401_to_a_second_new_token_is_an_answer() {
    let api = sample_api();
    let (keys, _folder) = oauth2(&api.url("/oauth-token"), SAMPLE_CLIENT_SECRET, "");
    let slot = slot(&keys, &api.url("/status/401"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(401)));
    assert_eq!((api.requests_to("/oauth-token"), api.requests_to("/status/401")), (2, 2));
}

#[test]
fn a_new_token_that_an_api_refuses_is_renewed_once_for_all_who_share_it() {
    let api = canned(|head| {
        if head.contains("Bearer token-1\r\n") {
            canned::answer("401 Unauthorized", "WWW-Authenticate: Bearer error=\"invalid_token\"\r\n", "")
        } else {
            canned::answer("200 OK", "", "{}")
        }
    });
    let given = AtomicUsize::new(0);
    let server = canned(move |_| {
        let number = given.fetch_add(1, Ordering::SeqCst) + 1;
        let token = format!(r#"{{"access_token":"token-{number}","token_type":"bearer","expires_in":3600}}"#);
        canned::answer("200 OK", "", token)
    });
    let (keys, _folder) = oauth2(&server.url("/token"), "s3cret", "");
    let urls: Vec<String> = (0..20).map(|number| api.url(&format!("/{number}"))).collect();
    let slots = round(&keys, &urls);
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{slots:?}");
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn an_api_that_refuses_every_token_does_not_cost_one_each_round() {
    let api = sample_api();
    let (keys, _folder) = oauth2(&api.url("/oauth-token"), SAMPLE_CLIENT_SECRET, "");
    let url = api.url("/status/401");
    let home = Home::new(&format!("[[job]]\nname = \"job\"\n{OFTEN}\n{keys}\nendpoints = [{url:?}]\n"));
    let daemon = home.start();
    daemon.wait_for_rounds("job", 6);
    daemon.stop();
    assert_eq!(home.number("SELECT count(*) FROM observations WHERE http_status IS NOT 401"), 0);
    assert_eq!(api.requests_to("/oauth-token"), 2, "the first, and one in its place");
}

#[test]
fn a_token_that_is_about_to_expire_is_renewed_before_it_is_used_again() {
    let api = sample_api();
    // A tenth of its life before its end is now.
    let (keys, _folder) = oauth2(&api.url("/oauth-token?expires=0"), SAMPLE_CLIENT_SECRET, "");
    let slots = round(&format!("max_per_host = 1\n{keys}"), &guarded(&api, 3));
    assert!(slots.iter().all(|slot| slot.outcome == Outcome::Ok), "{slots:?}");
    assert_eq!(api.requests_to("/oauth-token"), 3);
}

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
