//! What an attempt leaves when it fails: how far it came, what was sent, and what came back.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use gatherd::model::{Detail, Evidence, Guess, Outcome, Phase, Slot};

use crate::support::canned::{answer, connections, head};
use crate::support::once::{round, round_of, slot};
use crate::support::{ClosedPort, sample_api, until, write};

fn evidence(slot: &Slot) -> &Evidence {
    slot.evidence.as_ref().unwrap_or_else(|| panic!("no evidence: {slot:?}"))
}

/// The body that came back, and whether it went on.
fn came_back(slot: &Slot) -> (&str, bool) {
    evidence(slot).answer.as_ref().map_or(("", false), |answer| (answer.body.as_str(), answer.cut))
}

#[test]
fn what_came_back_is_guessed_at_and_what_was_sent_is_shown() {
    let api = sample_api();
    for (path, guess, reached) in [
        ("/bot-wall", Some(Guess::BotWall), Phase::Headers),
        ("/login-page", Some(Guess::LoginPage), Phase::Body),
        ("/maintenance", Some(Guess::MaintenancePage), Phase::Headers),
        ("/error-document", Some(Guess::ErrorDocument), Phase::Headers),
        ("/rate-limited", Some(Guess::RateLimit), Phase::Headers),
        ("/nan", None, Phase::Body),
    ] {
        let slot = slot("retries = 0", &api.url(path));
        assert_eq!(evidence(&slot).guess, guess, "{path}: {:?}", evidence(&slot));
        assert!(evidence(&slot).sent.starts_with(&format!("GET {}\naccept: ", api.url(path))), "{path}");
        let phases = slot.phases.expect("phases");
        assert_eq!(phases.reached, reached, "{path}");
        assert!(phases.connect.is_some() && phases.headers.is_some(), "{path}: {phases:?}");
        assert_eq!(phases.body.is_some(), reached == Phase::Body, "{path}: {phases:?}");
    }
    assert!(slot("", &api.url("/healthy")).evidence.is_none(), "a success leaves nothing");
}

#[test]
fn how_far_an_attempt_came_is_known_for_each_way_to_fail() {
    use Phase::{Body, Connect, Dns, Headers, Tls};

    let (api, closed) = (sample_api(), ClosedPort::new());
    let urls = [
        "http://nowhere.invalid/".to_owned(),
        closed.url("/"),
        api.url("/healthy").replace("http:", "https:"),
        api.url("/hang"),
        api.url("/drip"),
        api.url("/truncated"),
        api.url("/reset"),
    ];
    let slots = round("retries = 0\ntimeout = \"700ms\"", &urls);
    let reached: Vec<Phase> = slots.iter().map(|slot| slot.phases.as_ref().expect("phases").reached).collect();
    assert_eq!(reached, [Dns, Connect, Tls, Headers, Body, Body, Headers]);
    assert!(slots.iter().all(|slot| evidence(slot).sent.starts_with("GET http")));
    assert!(evidence(&slots[3]).answer.is_none(), "nothing came back");
    assert_eq!(came_back(&slots[5]), ("{\"ok\":true}", true), "what came before it broke off is kept");
    let waited = slots[3].phases.as_ref().and_then(|phases| phases.headers).expect("a time");
    assert!(waited.as_millis() >= 200, "{waited:?}");
}

#[test]
fn the_time_that_an_attempt_waited_is_its_own_while_another_connects_to_the_same_server() {
    let url = connections(|_, mut stream| {
        if head(&mut stream).starts_with("GET /hang ") {
            head(&mut stream);
        } else {
            let _ = stream.write_all(&answer("503 Later", "Connection: close\r\nRetry-After: 1\r\n", ""));
        }
    });
    let endpoints = format!("[{{ url = \"{url}hang\", retries = 0 }}, {{ url = \"{url}again\", retries = 1 }}]");
    let slots = round_of(&format!("timeout = \"1500ms\"\nendpoints = {endpoints}"));
    assert_eq!((slots[0].outcome, slots[1].attempts), (Outcome::Timeout, 2), "{slots:?}");
    let waited = slots[0].phases.as_ref().and_then(|phases| phases.headers).expect("a time");
    assert!(waited.as_millis() >= 1_000, "{waited:?}");
}

#[test]
fn a_body_is_kept_to_two_kib_and_decoded() {
    let long = "x".repeat(5000);
    let pages = [long.clone(), format!("{}ü", "y".repeat(2047)), "short".to_owned()];
    let url = connections(move |number, mut stream| {
        head(&mut stream);
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(pages[number % 3].as_bytes()).expect("memory");
        let body = encoder.finish().expect("memory");
        let _ = stream.write_all(&answer("500 Broken", "Content-Encoding: gzip\r\n", body));
    });
    let bodies: Vec<(String, bool)> = (0..3)
        .map(|_| {
            let slot = slot("retries = 0", &url);
            let (body, cut) = came_back(&slot);
            (body.to_owned(), cut)
        })
        .collect();
    let expected = [("x".repeat(2048), true), ("y".repeat(2047), true), ("short".to_owned(), false)];
    assert_eq!(bodies, expected, "at the end of a sign");
}

#[test]
fn a_refusal_whose_body_stalls_keeps_what_came_and_no_worker() {
    let api = sample_api();
    let urls: Vec<String> = (0..20).map(|number| api.url(&format!("/stalled-refusal/{number}"))).collect();
    let slots = round("retries = 0\ntimeout = \"20s\"", &urls);
    for slot in &slots {
        assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(403)));
        assert_eq!(came_back(slot), ("<", true));
        assert!(slot.elapsed.as_millis() < 3_000, "{slot:?}");
    }
}

#[test]
fn bodies_that_drip_give_their_places_back_when_nobody_waits_for_them_any_more() {
    // More time than a test has, in which each of them would hold a place.
    let keys = "retries = 0\ntimeout = \"30s\"";
    let url = connections(|_, mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 9000\r\n\r\n");
        while stream.write_all(b".").is_ok() {
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    });
    let urls: Vec<String> = (0..64).map(|number| format!("{url}{number}")).collect();
    assert!(round(keys, &urls).iter().all(|slot| came_back(slot).1));
    let begun = std::time::Instant::now();
    until("a place is free", || !came_back(&slot(keys, &url)).0.is_empty());
    assert!(begun.elapsed().as_secs() < 20, "it was free when they had come to their ends");
}

#[test]
fn a_secret_that_goes_over_the_end_of_what_is_kept_is_hidden_whole() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = "abcdefghijklmnopqrstuvwxyz0123456789";
    let token = write(folder.path(), "token", secret);
    for (before, whole) in [(2040, true), (2030, false)] {
        let url = connections(move |_, mut stream| {
            head(&mut stream);
            // Whole, or broken off in the middle of the secret.
            let shown = if whole { secret } else { &secret[..20] };
            let body = format!("{}{shown}", " ".repeat(before));
            let length = if whole { body.len() } else { 9000 };
            let _ = write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}");
        });
        let slot = slot(&format!("retries = 0\ntoken = {{ file = {token:?} }}"), &url);
        let (body, _) = came_back(&slot);
        assert!(!body.contains("abcd"), "{:?}", body.trim_start());
    }
}

#[test]
fn a_connection_that_its_server_had_closed_is_not_the_requests_fault() {
    let serve = |_, mut stream: TcpStream| {
        // One answer, and the next request finds the connection closed.
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}");
        head(&mut stream);
    };
    let url = connections(serve);
    let urls = vec![url.clone(); 12];
    let slots = round("retries = 0\nmax_per_host = 1", &urls);
    for slot in &slots {
        assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 1), "{slot:?}");
    }
    let slots = round("retries = 0\nmax_per_host = 1\nmethod = \"POST\"\njson = {}", &urls);
    let resets = slots.iter().filter(|slot| slot.outcome == Outcome::Reset).count();
    assert!(resets > 0, "what may have been done is not done again");
}

#[test]
fn a_server_that_closes_every_connection_unheard_is_a_reset_and_not_asked_without_end() {
    let url = connections(|_, mut stream| {
        head(&mut stream);
    });
    let slot = slot("retries = 1", &url);
    assert_eq!((slot.outcome, slot.attempts), (Outcome::Reset, 2));
}

#[test]
fn a_page_that_repeats_a_secret_beyond_what_is_looked_at_keeps_no_part_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = "Zq7-tok_EN+9/xyz-and-a-good-deal-more-of-it";
    let token = write(folder.path(), "token", secret);
    let url = connections(move |_, mut stream| {
        head(&mut stream);
        let page = format!("<html>{}</html>", secret.repeat(200));
        let _ = stream.write_all(&answer("200 OK", "", page));
    });
    let slot = slot(&format!("retries = 0\ntoken = {{ file = {token:?} }}"), &url);
    assert_eq!(came_back(&slot), ("<html>***", true));
}

#[test]
fn a_page_that_is_called_compressed_and_is_not_is_kept_as_it_came() {
    for coding in ["gzip", "deflate", "br", "zstd"] {
        for (status, page) in [("200 OK", "<html><title>Log in</title>"), ("502 No", "{\"error\": \"no upstream\"}")] {
            let url = connections(move |_, mut stream| {
                head(&mut stream);
                let _ = stream.write_all(&answer(status, &format!("Content-Encoding: {coding}\r\n"), page));
            });
            let slot = slot("retries = 0", &url);
            assert_eq!(came_back(&slot), (page, status != "200 OK"), "{coding}");
            if status == "200 OK" {
                let detail = slot.detail.as_ref().map(Detail::as_str);
                assert_eq!(
                    (slot.outcome, detail),
                    (Outcome::Encoding, Some("not compressed, though Content-Encoding says so"))
                );
            }
        }
    }
}

#[test]
fn a_key_in_the_place_of_a_users_name_is_hidden() {
    let url = connections(|_, mut stream| {
        head(&mut stream);
        let _ = stream.write_all(&answer("401 Unauthorized", "", "No such API key: sk_live_USERSECRET123"));
    });
    let slot = slot("retries = 0", &url.replace("http://", "http://sk_live_USERSECRET123:@"));
    assert_eq!(came_back(&slot), ("No such API key: ***", false));
}

#[test]
fn a_key_among_the_parameters_of_the_first_page_is_hidden_in_what_a_later_one_shows() {
    let url = connections(|_, mut stream| {
        let answer = if head(&mut stream).starts_with("GET /?") {
            answer("200 OK", "Link: </2>; rel=next\r\n", "[]")
        } else {
            answer("500 No", "Link: </?api_key=k3y-in-url&token=t0ken-in-query>; rel=first\r\n", "k3y-in-url")
        };
        let _ = stream.write_all(&answer);
    });
    let keys = "retries = 0\npages = { link = true }\nquery = { token = \"t0ken-in-query\" }";
    let slot = slot(keys, &format!("{url}?api_key=k3y-in-url"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(500)));
    assert_eq!(came_back(&slot), ("***", false));
    let headers = &evidence(&slot).answer.as_ref().expect("an answer").headers;
    assert!(headers.contains("link: </?api_key=***&token=***>; rel=first"), "{headers}");
}

#[test]
fn a_version_that_a_server_names_by_a_secret_is_not_remembered() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", "s3cret-t0ken");
    for (etag, remembered) in [("\"v1\"", true), ("\"s3cret-t0ken\"", false)] {
        let url = connections(move |_, mut stream| {
            head(&mut stream);
            let _ = stream.write_all(&answer("200 OK", &format!("ETag: {etag}\r\n"), "{}"));
        });
        let slot = slot(&format!("token = {{ file = {token:?} }}"), &url);
        assert_eq!((slot.outcome, slot.validators.is_some()), (Outcome::Ok, remembered));
    }
}

/// Answers each request so, and writes `other` into `file` while the first one waits for its answer.
fn rotating(file: &Path, other: &'static str, answer: fn() -> Vec<u8>) -> String {
    let file = file.to_owned();
    connections(move |number, mut stream| {
        head(&mut stream);
        if number == 0 {
            std::fs::write(&file, other).expect("written");
        }
        let _ = stream.write_all(&answer());
    })
}

#[test]
fn a_version_belongs_to_the_token_that_was_sent_also_where_that_changes_before_the_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", "first-t0ken");
    let url = rotating(Path::new(&token), "other-t0ken", || answer("200 OK", "ETag: \"v1\"\r\n", "{}"));
    let version = || slot(&format!("token = {{ file = {token:?} }}"), &url).validators.expect("a version").request;
    let (of_first, of_other) = (version(), version());
    assert_ne!(of_first, of_other);
    std::fs::write(&token, "first-t0ken").expect("written");
    assert_eq!(version(), of_first);
}

#[test]
fn a_password_that_was_sent_is_hidden_also_where_it_changes_before_the_answer() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let password = write(folder.path(), "password", "first-p4ssword");
    let url = rotating(Path::new(&password), "other-p4ssword", || {
        answer("403 No", "", "not u:first-p4ssword, other-p4ssword")
    });
    let keys = format!("retries = 0\nbasic = {{ user = \"u\", password = {{ file = {password:?} }} }}");
    assert_eq!(came_back(&slot(&keys, &url)), ("not ***, ***", false));
}

#[test]
fn a_key_made_of_a_block_in_the_first_page_is_hidden_in_what_a_later_one_shows() {
    let url = connections(|_, mut stream| {
        let asked = head(&mut stream);
        let first = asked.lines().next().unwrap_or_default().to_owned();
        let answer = if first.starts_with("GET /?") {
            let query = first.split([' ', '?']).nth(2).unwrap_or_default();
            answer("200 OK", &format!("Link: </2/{query}>; rel=next\r\n"), "[]")
        } else {
            answer("500 No", "", first.replace(['/', '&', '='], " "))
        };
        let _ = stream.write_all(&answer);
    });
    let keys = "retries = 0\npages = { link = true }\nquery = { signature = \"k3y-in-query-{{ due | unix }}\" }";
    let slot = slot(keys, &format!("{url}?sig=k3y-in-url-{{{{ due | unix }}}}"));
    let (shown, _) = came_back(&slot);
    assert!(shown.contains("sig *** signature ***") && !shown.contains("k3y"), "{shown}");
}

#[test]
fn bodies_that_stall_at_one_host_take_no_evidence_from_another() {
    let stalls = connections(|_, mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 500 No\r\nX-Why: stalls\r\nContent-Length: 9\r\n\r\nbeg");
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    });
    let other = connections(|_, mut stream| {
        head(&mut stream);
        let _ = stream.write_all(&answer("500 No", "", "the reason"));
    });
    let urls: Vec<String> = (0..80).map(|number| format!("{stalls}{number}")).chain([other]).collect();
    let slots = round("retries = 0\ntimeout = \"20s\"", &urls);
    assert_eq!(came_back(&slots[80]), ("the reason", false));
    assert_eq!(came_back(&slots[0]), ("beg", true));
    for slot in &slots[..80] {
        let answer = evidence(slot).answer.as_ref().expect("an answer");
        assert!(answer.status == 500 && answer.headers.contains("x-why: stalls") && answer.cut, "{answer:?}");
    }
}

#[test]
fn of_a_host_no_more_bodies_that_stall_are_waited_for_than_requests_may_be_in_flight() {
    let url = connections(|_, mut stream| {
        head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 500 No\r\nContent-Length: 9\r\n\r\nbeg");
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    });
    // The strictest endpoint counts for all.
    let mut endpoints: Vec<String> = (0..12).map(|number| format!("\"{url}{number}\"")).collect();
    endpoints.push(format!("{{ url = \"{url}strict\", max_per_host = 2 }}"));
    let endpoints = endpoints.join(", ");
    let slots = round_of(&format!("retries = 0\ntimeout = \"20s\"\nendpoints = [{endpoints}]"));
    assert!(slots.iter().all(|slot| slot.http_status == Some(500)), "{slots:?}");
    let waited_for = slots.iter().filter(|slot| came_back(slot).0 == "beg").count();
    assert_eq!(waited_for, 2, "the others go at once, and their connections with them");
}
