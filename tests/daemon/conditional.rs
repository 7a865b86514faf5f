//! Documents that a server says are still the same: carried forward from round to round, and over a restart.

use gatherd::sample_api::SampleApi;

use crate::support::daemon::Home;
use crate::support::{OFTEN, canned, sample_api, until};
use crate::{at_start, job};

fn home(api: &SampleApi, path: &str, keys: &str) -> Home {
    Home::new(&config(api, path, keys))
}

fn config(api: &SampleApi, path: &str, keys: &str) -> String {
    let url = api.url(path);
    format!("[[job]]\nname = \"job\"\n{OFTEN}\n{keys}\nendpoints = [{{ name = \"e\", url = {url:?} }}]\n")
}

/// Status and body of each round, in order.
fn observed(home: &Home) -> Vec<(u16, Option<String>)> {
    home.rows("SELECT http_status, body FROM observations WHERE outcome = 'ok' ORDER BY round_id", |row| {
        Ok((row.get(0)?, row.get(1)?))
    })
}

fn run_rounds(home: &Home, rounds: usize) {
    let daemon = home.start();
    daemon.wait_for_rounds("job", rounds);
    daemon.stop();
}

#[test]
fn a_304_carries_the_last_document_forward_also_over_a_restart() {
    for path in ["/etag", "/last-modified"] {
        let api = sample_api();
        let home = home(&api, path, "");
        run_rounds(&home, 3);
        run_rounds(&home, 2);
        let observed = observed(&home);
        assert!(observed.len() >= 5);
        let document = observed[0].1.clone().expect("a document");
        assert_eq!(observed[0].0, 200);
        assert!(observed[1..].iter().all(|(status, body)| (*status, body) == (304, &Some(document.clone()))), "{path}");
        let vectors: Vec<String> = home.rows("SELECT vector FROM vectors", |row| row.get(0));
        assert!(vectors.iter().all(|vector| *vector == format!("[{document}]")), "each vector holds it");
    }
}

#[test]
fn a_document_that_changed_is_stored_and_remembered_instead() {
    let api = sample_api();
    let home = home(&api, "/etag-changing/2", "");
    run_rounds(&home, 6);
    let observed = observed(&home);
    let mut last = None;
    for (status, body) in &observed {
        assert_eq!(*status == 304, last.as_ref() == Some(body), "{observed:?}");
        last = Some(body.clone());
    }
    assert!(observed.iter().filter(|(status, _)| *status == 200).count() >= 2, "{observed:?}");
    assert!(observed.iter().any(|(status, _)| *status == 304), "{observed:?}");
}

#[test]
fn a_request_that_is_another_or_that_does_not_want_it_asks_for_the_whole() {
    let api = sample_api();
    let home = home(&api, "/etag", "");
    run_rounds(&home, 2);
    home.configure(&config(&api, "/etag", "headers = { Accept-Language = \"de\" }"));
    run_rounds(&home, 1);
    home.configure(&config(&api, "/etag", "conditional = false"));
    let before = observed(&home).len();
    run_rounds(&home, 2);
    let observed = observed(&home);
    let statuses: Vec<u16> = observed.iter().map(|(status, _)| *status).collect();
    assert_eq!(statuses[..2], [200, 304]);
    let changed = statuses[2..before].iter().position(|status| *status == 200);
    assert!(changed.is_some(), "with another header the validators say nothing: {statuses:?}");
    assert!(statuses[before..].iter().all(|status| *status == 200), "{statuses:?}");
}

#[test]
fn the_document_of_one_who_asked_is_not_carried_forward_for_another() {
    let api = sample_api();
    let config_of = |who: &str| {
        [
            config(&api, "/etag", &format!("headers = {{ X-API-Key = \"{who}\" }}")),
            config(&api, "/etag", "token = { file = \"token\" }"),
            config(&api, "/etag", "token = { file = \"token\" }\ntoken_query = \"appid\""),
            config(&api, "/etag", "").replace("http://", &format!("http://{who}:password@")),
        ]
    };
    for (first, second) in config_of("alice-0001").into_iter().zip(config_of("bob-0001")) {
        let home = Home::new(&first);
        let token = home.folder.path().join("token");
        std::fs::write(&token, "first-token").expect("written");
        run_rounds(&home, 2);
        std::fs::write(&token, "second-token").expect("written");
        home.configure(&second);
        run_rounds(&home, 2);
        let statuses: Vec<u16> = observed(&home).iter().map(|(status, _)| *status).collect();
        assert_eq!(statuses[0], 200);
        let again = statuses.iter().skip(1).filter(|status| **status == 200).count();
        assert_eq!(again, 1, "{first}: {statuses:?}");
        assert!(statuses.iter().filter(|status| **status == 304).count() >= 2, "{first}: {statuses:?}");
    }
}

#[test]
fn a_304_that_nobody_asked_for_is_a_failure() {
    let api = sample_api();
    let home = home(&api, "/always-304", "");
    run_rounds(&home, 2);
    assert_eq!(
        home.number("SELECT count(*) FROM observations WHERE outcome <> 'http_status' OR http_status IS NOT 304"),
        0
    );
}

#[test]
fn a_server_that_fails_the_condition_is_asked_for_the_whole_at_once() {
    let server = canned::canned(|request| {
        if request.to_ascii_lowercase().contains("if-none-match: ") {
            canned::answer("412 Precondition Failed", "", "")
        } else {
            canned::answer("200 OK", "ETag: \"v1\"\r\n", "{\"a\":1}")
        }
    });
    let home = Home::new(&job("job", OFTEN, &[server.url("/")]));
    run_rounds(&home, 3);
    assert_eq!(home.number("SELECT count(*) FROM observations WHERE outcome <> 'ok' OR http_status IS NOT 200"), 0);
    assert!(server.requests().len() >= 5, "the first round asks once, each other twice");
}

#[test]
fn a_412_that_no_condition_of_ours_has_caused_is_an_answer() {
    let server = canned::always(canned::answer("412 Precondition Failed", "", ""));
    let home = Home::new(&at_start("job", &[server.url("/")]));
    run_rounds(&home, 1);
    assert_eq!(home.number("SELECT http_status FROM observations"), 412);
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_endpoint_that_begins_to_ask_for_its_last_success_knows_it_after_a_reload_and_a_restart() {
    let server = canned::always(canned::answer("200 OK", "", "{}"));
    let config = |path: &str| {
        let url = server.url(path);
        format!("[[job]]\nname = \"a\"\n{OFTEN}\nendpoints = [{{ name = \"x\", url = '{url}' }}]\n")
    };
    let asking = |path: &str| format!("{path}?since={{{{ last_ok | default(\"nobody knows\") }}}}");
    let first = |path: &str| {
        let asked = || server.requests().into_iter().find(|request| request.starts_with(&format!("GET {path}?")));
        until("it is asked", || asked().is_some());
        asked().expect("a request")
    };
    for path in ["/reloaded", "/restarted"] {
        let home = Home::new(&config("/plain"));
        let mut daemon = home.start();
        daemon.wait_for_rounds("a", 1);
        home.configure(&config(&asking(path)));
        if path == "/reloaded" {
            daemon.signal("HUP");
        } else {
            daemon.stop();
            daemon = home.start();
        }
        assert!(first(path).starts_with(&format!("GET {path}?since=20")), "{}", first(path));
        daemon.stop();
    }
}
