//! What is printed: a document or null for each URL, in their order, and the reasons with `--why`.

use std::io::{Read, Write};
use std::sync::{Arc, Condvar, Mutex};

use gatherd::sample_api::SAMPLE_TOKEN;
use httpmock::Method::GET;
use httpmock::MockServer;
use serde_json::json;

use crate::support::canned::{answer, connections, head};
use crate::support::{run, sample_api, write};
use crate::{HEALTHY, fetch, fetch_command, member, printed};

#[test]
fn documents_are_fetched_once_each_with_the_token_and_our_name_and_printed_as_an_array() {
    let server = MockServer::start();
    let documents = [("/data1", r#"{"users":1}"#), ("/data2", "[2]"), ("/data3", "3")];
    let mocks = documents.map(|(path, body)| {
        server.mock(|when, then| {
            when.method(GET)
                .path(path)
                .header("user-agent", concat!("gatherd/", env!("CARGO_PKG_VERSION")))
                .header("authorization", "Bearer s3cret");
            then.status(200).header("content-type", "application/json").body(body);
        })
    });
    let mut command = fetch_command(&["--token-env", "TOKEN"], &documents.map(|(path, _)| server.url(path)));
    command.env("TOKEN", "s3cret");
    let ran = run(command);
    assert_eq!(ran.stdout, printed(&documents.map(|(_, body)| body)));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    for mock in mocks {
        mock.assert_calls(1);
    }
}

#[test]
fn a_hanging_endpoint_and_an_html_500_become_null_beside_a_success() {
    let api = sample_api();
    let urls = ["/hang", "/healthy", "/html-500"].map(|path| api.url(path));
    let ran = fetch(&["--timeout", "2s"], &urls);
    assert_eq!(ran.stdout, printed(&["null", HEALTHY, "null"]));
    assert_eq!(ran.code, Some(0));
    assert_eq!(["/hang", "/healthy", "/html-500"].map(|path| api.requests_to(path)), [1, 1, 1]);
}

#[test]
fn an_endpoint_that_refuses_scripts_becomes_null_without_the_user_agent_and_succeeds_with_it() {
    let api = sample_api();
    let urls = [api.url("/guarded")];
    let with = |args: &[&str]| {
        let mut command = fetch_command(args, &urls);
        command.env("TOKEN", SAMPLE_TOKEN);
        run(command)
    };
    let refused = with(&["--token-env", "TOKEN", "--user-agent", "python-requests/2.32"]);
    assert_eq!((refused.stdout.as_str(), refused.code), ("[\nnull\n]\n", Some(0)));
    let without_token = with(&[]);
    assert_eq!(without_token.stdout, "[\nnull\n]\n");
    let allowed = with(&["--token-env", "TOKEN"]);
    assert!(allowed.array()[0]["users"].is_number(), "{}", allowed.stdout);
    let own = with(&["--token-env", "TOKEN", "--user-agent", "gatherd/of-mine"]);
    assert!(own.array()[0]["users"].is_number(), "{}", own.stdout);
    let head = api.last_request("/guarded").unwrap().to_ascii_lowercase();
    assert!(head.contains("user-agent: gatherd/of-mine\r\n"), "{head}");
}

#[test]
fn the_array_is_in_the_order_given_when_the_first_answers_last() {
    // Each is answered when the one listed behind it has been, and its client has gone.
    let turn = Arc::new((Mutex::new(2), Condvar::new()));
    let url = connections(move |_, mut stream| {
        let request = head(&mut stream);
        let position: i32 = request.split(['/', ' ']).nth(2).and_then(|number| number.parse().ok()).expect("a number");
        let (next, passed) = &*turn;
        let mut next = passed.wait_while(next.lock().unwrap(), |next| *next != position).unwrap();
        stream.write_all(&answer("200 OK", "", position.to_string())).unwrap();
        let _ = stream.read(&mut [0]);
        *next -= 1;
        passed.notify_all();
    });
    let urls = [0, 1, 2].map(|position| format!("{url}{position}"));
    let entries = fetch(&["--why"], &urls).array();
    assert_eq!(member(&entries, "body"), [0, 1, 2]);
    assert_eq!(member(&entries, "url"), urls);
}

#[test]
fn a_url_listed_twice_is_fetched_twice() {
    let api = sample_api();
    let url = api.url("/echo");
    assert_eq!(fetch(&[], &[url.clone(), url]).array().len(), 2);
    assert_eq!(api.requests_to("/echo"), 2);
}

#[test]
fn documents_are_printed_exactly_as_they_were_sent() {
    let server = MockServer::start();
    let documents = [
        "{\"big\":1e400,\"zero\":-0.0,\"digits\":1234567890123456789012345678901234567890}",
        "{\"a\":1,\"a\":2}",
        " \t{\r\n  \"spaced\" : [ 1 ,2 ]\n}\n\n",
        "\"caf\u{e9} \\u00e9 \\/ \u{1f980} \\ud83e\\udd80\"",
        "null",
        "1.000000000000000000000000000000000001E+2",
    ];
    let urls: Vec<String> = documents
        .iter()
        .zip(0..)
        .map(|(document, number)| {
            let path = format!("/{number}");
            server.mock(|when, then| {
                when.path(&path);
                then.status(200).body(document);
            });
            server.url(path)
        })
        .collect();
    assert_eq!(fetch(&["--fail"], &urls).stdout, printed(&documents));
    // In an object, too, no digit is lost.
    let why = fetch(&["--why"], &urls).stdout;
    for document in documents {
        assert!(why.contains(&format!("\"body\":{}}}", document.trim())), "{document} in {why}");
    }
}

#[test]
fn why_says_how_each_slot_ended() {
    let api = sample_api();
    let ran = fetch(&["--why"], &["/null", "/status/418"].map(|path| api.url(path)));
    let mut entries = ran.array();
    for entry in &mut entries {
        let elapsed = entry["elapsed_ms"].take();
        assert!(elapsed.as_f64().is_some_and(|elapsed| elapsed > 0.0), "{elapsed}");
        let keys: Vec<&str> = entry.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["attempts", "body", "detail", "elapsed_ms", "http_status", "outcome", "url"]);
    }
    let expected = [
        json!({
            "url": api.url("/null"), "outcome": "ok", "http_status": 200, "attempts": 1, "elapsed_ms": null,
            "detail": null, "body": null,
        }),
        json!({
            "url": api.url("/status/418"), "outcome": "http_status", "http_status": 418, "attempts": 1,
            "elapsed_ms": null, "detail": "418 I'm a teapot", "body": null,
        }),
    ];
    assert_eq!(entries, expected);
}

#[test]
fn a_shown_url_has_no_userinfo_no_fragment_and_no_value_of_a_secret_parameter() {
    let api = sample_api();
    let host = api.addr();
    let ran = fetch(&["--why"], &[format!("http://me:s3cret@{host}/echo?api_key=s3cret&from=2#s3cret")]);
    let entry = &ran.array()[0];
    assert_eq!(entry["url"], format!("http://{host}/echo?api_key=***&from=2"));
    // What is not shown is sent all the same.
    assert_eq!(entry["body"]["query"], "api_key=s3cret&from=2");
    assert_eq!(entry["body"]["headers"]["authorization"], "Basic bWU6czNjcmV0");
}

#[test]
fn a_token_is_never_shown_even_when_the_server_sends_it_back() {
    let api = sample_api();
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "token", "s3cret\n");
    let ran = fetch(&["--why", "--token-file", &file], &[api.url("/secret-echo")]);
    assert_eq!(ran.array()[0]["http_status"], 500);
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"), "{}{}", ran.stdout, ran.stderr);
    assert!(api.last_request("/secret-echo").unwrap().contains("Bearer s3cret\r\n"));
}

#[test]
fn what_is_no_http_url_becomes_null_with_a_reason_and_shows_no_secret() {
    let api = sample_api();
    let texts = [
        "",
        "example.com/data",
        "localhost:8080/data",
        "/data",
        "ftp://me:s3cret@example.com/data",
        "file:///etc/hostname",
        "http://",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "https//me:s3cret@example.com/",
        "http://me:s3cret#1@example.com/",
        "http://me:s3cret/1@example.com/",
        "http://me:s3cret?1@example.com/",
        "http://example.com:x/?token=s3cret",
    ];
    let mut urls = vec![api.url("/echo/before")];
    urls.extend(texts.map(str::to_owned));
    urls.push(api.url("/echo/after"));
    let ran = fetch(&["--why"], &urls);
    assert_eq!(ran.code, Some(0));
    assert_eq!(ran.stderr.lines().count(), texts.len(), "{}", ran.stderr);
    assert!(ran.stderr.contains("gatherd: \"/data\": not a URL: it has to begin with http:// or https://\n"));
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("s3cret"), "{}{}", ran.stdout, ran.stderr);
    let entries = ran.array();
    let (last, entries) = entries.split_last().unwrap();
    let (first, entries) = entries.split_first().unwrap();
    assert_eq!((&first["outcome"], &last["outcome"]), (&json!("ok"), &json!("ok")));
    let lines: Vec<String> = entries
        .iter()
        .map(|entry| {
            assert_eq!((&entry["outcome"], &entry["attempts"]), (&json!("protocol"), &json!(0)));
            format!("{} {}", entry["url"], entry["detail"].as_str().unwrap())
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    "" not a URL: it has to begin with http:// or https://
    "example.com/data" not a URL: it has to begin with http:// or https://
    "localhost:8080/data" not a URL: it has to begin with http:// or https://
    "/data" not a URL: it has to begin with http:// or https://
    "ftp://…" the scheme `ftp` is not http or https
    "file:///etc/hostname" not a URL: it has to begin with http:// or https://
    "http://" not a URL: empty host
    "http://exa mple.com/" not a URL: invalid international domain name
    "http://example.com:99999/" not a URL: invalid port number
    "…" not a URL: it has to begin with http:// or https://
    "http://…" not a URL: invalid port number
    "http://…" not a URL: invalid port number
    "http://…" not a URL: invalid port number
    "http://example.com:x/" not a URL: invalid port number
    "#);
}

#[test]
fn two_hundred_urls_go_through_eight_workers_in_order() {
    let api = sample_api();
    let paths: Vec<String> = (0..200).map(|number| format!("/echo/{number}")).collect();
    let urls: Vec<String> = paths.iter().map(|path| api.url(path)).collect();
    let ran = fetch(&["--workers", "8"], &urls);
    assert_eq!(member(&ran.array(), "path"), paths);
    assert_eq!(api.requests(), 200);
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_what_listens_on_this_machine() {
    let api = sample_api();
    let by_name = format!("http://localhost:{}/null", api.addr().port());
    let mut command = fetch_command(&["--fail"], &[api.url("/healthy"), by_name]);
    command.env("http_proxy", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1");
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, printed(&[HEALTHY, "null"]), "the API's null is a document");
}

#[test]
fn a_proxy_of_the_environment_that_cannot_be_used_is_refused_and_not_passed_by() {
    for (variable, value) in [
        ("ALL_PROXY", "garbage://proxy"),
        ("http_proxy", "http://bad host:1"),
        ("all_proxy", "socks5://127.0.0.1:1"),
        ("http_proxy", "http://127.0.0.1:1 "),
        ("http_proxy", "http://me:s3cret-ä@127.0.0.1:1"),
        ("HTTP_PROXY", "http://me:s3cret@169.254.169.254:80"),
    ] {
        let url = ["http://api.invalid/".to_owned()];
        let mut command = fetch_command(&[], &url);
        command.env(variable, value);
        let ran = run(command);
        assert_eq!(ran.code, Some(78), "{variable}: {}", ran.stdout);
        assert!(ran.stderr.contains(variable) && !ran.stderr.contains("s3cret"), "{}", ran.stderr);
        for no_proxy in ["*", "other.example, invalid"] {
            let mut command = fetch_command(&[], &url);
            command.env(variable, value).env("NO_PROXY", no_proxy);
            assert_eq!(run(command).code, Some(0), "nothing goes through it");
        }
    }
}

#[test]
fn a_proxy_that_is_named_behind_an_empty_variable_is_neither_taken_nor_passed_by() {
    for (empty, named) in [("HTTP_PROXY", "http_proxy"), ("ALL_PROXY", "all_proxy")] {
        let mut command = fetch_command(&[], &["http://api.invalid/".to_owned()]);
        command.env(empty, "").env(named, "http://127.0.0.1:1");
        let ran = run(command);
        assert_eq!(ran.code, Some(78), "{named}: {}", ran.stdout);
        assert!(
            ran.stderr.contains(named) && ran.stderr.contains(&format!("{empty} is set too, and empty")),
            "{}",
            ran.stderr
        );
    }
}

#[test]
fn a_healthy_endpoint_of_a_server_that_closes_its_connections_without_a_word_succeeds_each_time() {
    let api = sample_api();
    let urls: Vec<String> = (0..2_000)
        .map(|number| match number % 4 {
            0 => api.url("/close"),
            1 => api.url("/ok-then-close"),
            _ => api.url("/healthy"),
        })
        .collect();
    let ran = fetch(&["--retries", "0", "--workers", "16"], &urls);
    let vector = ran.array();
    let healthy = vector.iter().enumerate().filter(|(number, _)| number % 4 > 1);
    let lost: Vec<usize> = healthy.filter(|(_, document)| document.is_null()).map(|(number, _)| number).collect();
    assert_eq!((vector.len(), lost), (2_000, vec![]));
}
