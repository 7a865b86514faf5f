//! Access tokens: one for all who ask with the same credentials, renewed when it is time and when it is refused.

use std::io::{Read as _, Write as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use gatherd::model::Outcome;
use gatherd::sample_api::{SAMPLE_CLIENT_ID, SAMPLE_CLIENT_SECRET, SampleApi};

use crate::support::canned::{self, canned};
use crate::support::daemon::Home;
use crate::support::once::{round, round_of, slot};
use crate::support::{OFTEN, YEARLY, sample_api, until, write};

/// The `oauth2` key, and a folder with the client's secret.
pub fn oauth2(token_url: &str, secret: &str, further: &str) -> (String, tempfile::TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = write(folder.path(), "client-secret", secret);
    let key = format!(
        "retries = 0\noauth2 = {{ token_url = {token_url:?}, client_id = {SAMPLE_CLIENT_ID:?}, client_secret = {{ file = {file:?} }}{further} }}"
    );
    (key, folder)
}

pub fn guarded(api: &SampleApi, count: usize) -> Vec<String> {
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
