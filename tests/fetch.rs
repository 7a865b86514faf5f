//! `gatherd fetch` and the library's face, against real sockets.

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gatherd::sample_api::{SAMPLE_TOKEN, SampleApi};
use gatherd::{fetch_all, fetch_one};
use httpmock::Method::GET;
use httpmock::MockServer;
use serde_json::{Value, json};

use support::{PATIENCE, Ran, gatherd, run, run_with, sample_api, until, write};

/// The body of `/healthy`.
const HEALTHY: &str = concat!(
    r#"{"users":148210,"sessions":1893,"revenue":1129834.55,"currency":"EUR","#,
    r#""updated_at":"2026-01-15T09:30:00Z","regions":{"eu":812,"us":764,"apac":317}}"#,
);

fn fetch(args: &[&str], urls: &[String]) -> Ran {
    run(fetch_command(args, urls))
}

fn fetch_command(args: &[&str], urls: &[String]) -> Command {
    let mut command = gatherd(["fetch"]);
    command.args(args).args(urls);
    command
}

/// The array as it is printed: an entry a line.
fn printed(entries: &[&str]) -> String {
    format!("[\n{}\n]\n", entries.join(",\n"))
}

fn member(entries: &[Value], name: &str) -> Vec<Value> {
    entries.iter().map(|entry| entry[name].clone()).collect()
}

#[test]
fn all_endpoints_succeed() {
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
    let ran = fetch(&["--timeout", "500ms"], &urls);
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
    let server = MockServer::start();
    let urls = [("/last", 600), ("/second", 300), ("/first", 0)].map(|(path, delay)| {
        server.mock(|when, then| {
            when.path(path);
            then.status(200).body(format!("{path:?}")).delay(Duration::from_millis(delay));
        });
        server.url(path)
    });
    let entries = fetch(&["--why"], &urls).array();
    assert_eq!(member(&entries, "body"), ["/last", "/second", "/first"]);
    assert_eq!(member(&entries, "url"), urls);
    let elapsed: Vec<f64> = entries.iter().map(|entry| entry["elapsed_ms"].as_f64().unwrap()).collect();
    assert!(elapsed.is_sorted_by(|earlier, later| earlier > later), "{elapsed:?}");
}

#[test]
fn a_url_listed_twice_is_fetched_twice() {
    let api = sample_api();
    let url = api.url("/echo");
    assert_eq!(fetch(&[], &[url.clone(), url]).array().len(), 2);
    assert_eq!(api.requests_to("/echo"), 2);
}

#[test]
fn an_empty_list_gives_an_empty_array() {
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "urls", "# nothing yet\n\n");
    for args in [&[][..], &["--urls", &file], &["--urls", "-"], &["--why", "--fail"]] {
        let ran = fetch(args, &[]);
        assert_eq!((ran.stdout.as_str(), ran.code), ("[]\n", Some(0)), "{args:?}");
    }
}

#[test]
fn a_file_has_a_url_a_line_between_comments_and_blank_lines_and_the_arguments_follow() {
    let api = sample_api();
    let list = format!(
        "\u{feff}{}\r\n\n   \t\n# {}\n  {}  \n{}",
        api.url("/echo/1"),
        api.url("/echo/never"),
        api.url("/echo/2"),
        api.url("/echo/3#not-a-comment"),
    );
    let folder = tempfile::tempdir().unwrap();
    let file = write(folder.path(), "urls", &list);
    let behind = [api.url("/echo/4")];
    let from_file = fetch(&["--urls", &file], &behind);
    let from_input = run_with(fetch_command(&["--urls", "-"], &behind), list.as_bytes());
    for ran in [from_file, from_input] {
        assert_eq!(member(&ran.array(), "path"), ["/echo/1", "/echo/2", "/echo/3", "/echo/4"], "{}", ran.stderr);
    }
    assert_eq!(api.requests(), 8);
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
fn with_fail_a_null_is_exit_code_1_and_without_it_0() {
    let api = sample_api();
    let (good, bad) = (api.url("/null"), api.url("/html-200"));
    let code = |args, urls: &[&String]| fetch(args, &urls.iter().map(|&url| url.clone()).collect::<Vec<_>>()).code;
    assert_eq!(code(&["--fail"], &[&good, &bad]), Some(1));
    assert_eq!(code(&["--fail", "--why"], &[&bad]), Some(1));
    assert_eq!(code(&[], &[&good, &bad]), Some(0));
    // The document null is no failure.
    assert_eq!(code(&["--fail"], &[&good]), Some(0));
}

#[test]
fn a_wrong_command_line_is_exit_code_64_with_a_reason_and_nothing_is_fetched() {
    let api = sample_api();
    let folder = tempfile::tempdir().unwrap();
    let empty = write(folder.path(), "empty", "\n");
    let two_lines = write(folder.path(), "two-lines", "a\nb\n");
    let latin1 = write(folder.path(), "latin1", b"http://caf\xe9/\n");
    let wrong: [(&[&str], &str); 17] = [
        (&["--nope"], "--nope"),
        (&["--token-env", "HOME", "--token-file", &empty], "--token-file"),
        (&["--token-env", "GATHERD_NOT_SET"], "GATHERD_NOT_SET is not set"),
        (&["--token-file", &empty], "empty"),
        (&["--token-file", &two_lines], "control character"),
        (&["--token-file", "/not/there"], "/not/there: No such file"),
        (&["--urls", "/not/there"], "/not/there: No such file"),
        (&["--urls", &latin1], "UTF-8"),
        (&["--timeout", "0s"], "1ms"),
        (&["--timeout", "1us"], "1ms"),
        (&["--timeout", "10"], "10s"),
        (&["--max-body", "0"], "one byte"),
        (&["--max-body", "much"], "1MiB"),
        (&["--workers", "0"], "8192"),
        (&["--workers", "9000"], "8192"),
        (&["--retries", "21"], "20"),
        (&["--user-agent", "a\nb"], "--user-agent"),
    ];
    for (args, reason) in wrong {
        let ran = fetch(args, &[api.url("/healthy")]);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(64), ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(reason), "{args:?}: {}", ran.stderr);
    }
    assert_eq!(run(gatherd(["fecth"])).code, Some(64));
    assert_eq!(run(gatherd::<&str>([])).code, Some(64));
    assert_eq!(api.requests(), 0);
}

/// Starts `gatherd fetch`, interrupts it when `reached`, and answers how it ended, which it does at once.
fn interrupted(args: &[&str], urls: &[String], reached: impl FnMut() -> bool) -> Ran {
    let mut command = fetch_command(&["--timeout", "1m"], urls);
    let child = command.args(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gatherd starts");
    until("the requests that are to be interrupted", reached);
    let begun = Instant::now();
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill runs");
    assert!(killed.success());
    let ran = Ran::new(child.wait_with_output().expect("gatherd ends"));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    ran
}

#[test]
fn an_interrupt_prints_what_is_there_and_the_rest_as_cancelled() {
    let api = sample_api();
    let urls = ["/healthy/1", "/hang/1", "/hang/2", "/healthy/2"].map(|path| api.url(path));
    // Of two workers, the one that is at the second hanging endpoint has brought the first document home.
    let ran = interrupted(&["--why", "--workers", "2"], &urls, || api.requests_to("/hang/2") == 1);
    assert_eq!(ran.code, Some(130), "{}", ran.stderr);
    let entries = ran.array();
    assert_eq!(member(&entries, "outcome"), ["ok", "cancelled", "cancelled", "cancelled"]);
    assert_eq!(member(&entries, "attempts"), [1, 1, 1, 0]);
    assert_eq!(entries[0]["body"]["users"], 148_210);
    assert_eq!(entries[3]["detail"], "stopped before it began");
    assert_eq!(api.requests_to("/healthy/2"), 0);
}

#[test]
fn an_interrupt_wins_over_fail_and_leaves_a_whole_array() {
    let api = sample_api();
    let ran = interrupted(&["--fail"], &[api.url("/hang")], || api.requests() == 1);
    assert_eq!((ran.stdout.as_str(), ran.code), ("[\nnull\n]\n", Some(130)));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let api = sample_api();
    let mut command = fetch_command(&["--max-body", "2MiB"], &[api.url("/delay/200"), api.url("/big/1000000")]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("gatherd starts");
    drop(child.stdout.take());
    let ran = Ran::new(child.wait_with_output().expect("gatherd ends"));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
}

#[test]
fn retries_try_again_what_may_pass_and_only_that() {
    let api = sample_api();
    let urls = ["/flaky/a", "/guarded", "/html-200"].map(|path| api.url(path));
    let entries = fetch(&["--why", "--retries", "2"], &urls).array();
    assert_eq!(member(&entries, "outcome"), ["ok", "http_status", "not_json"]);
    assert_eq!(member(&entries, "attempts"), [3, 1, 1]);
    assert_eq!(["/flaky/a", "/guarded", "/html-200"].map(|path| api.requests_to(path)), [3, 1, 1]);
}

#[test]
fn without_retries_there_is_one_attempt_each() {
    let api = sample_api();
    for (args, path) in [(&["--why"][..], "/flaky/b"), (&["--why", "--retries", "0"], "/flaky/c")] {
        let entries = fetch(args, &[api.url(path)]).array();
        assert_eq!((&entries[0]["outcome"], &entries[0]["http_status"]), (&json!("http_status"), &json!(503)));
        assert_eq!((&entries[0]["attempts"], api.requests_to(path)), (&json!(1), 1));
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_fine_and_one_byte_more_is_too_large() {
    let api = sample_api();
    let compressed = fetch(&[], &[api.url("/gzip")]).stdout;
    let unpacked = compressed.trim_start_matches("[\n").trim_end_matches("\n]\n").len();
    let outcomes = |limit: usize, paths: &[&str]| {
        let urls: Vec<String> = paths.iter().map(|path| api.url(path)).collect();
        let ran = fetch(&["--why", "--max-body", &limit.to_string()], &urls);
        ran.array().iter().map(|entry| entry["outcome"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(outcomes(1000, &["/big/999", "/big/1000", "/big/1001"]), ["ok", "ok", "too_large"]);
    assert_eq!(outcomes(1_048_577, &["/big/1048577", "/big/1048578"]), ["ok", "too_large"]);
    // No length is announced by chunks, and that of a compressed body is another.
    assert_eq!(outcomes(11, &["/chunked", "/http10"]), ["ok", "ok"]);
    assert_eq!(outcomes(10, &["/chunked", "/http10"]), ["too_large", "too_large"]);
    assert_eq!(outcomes(unpacked, &["/gzip", "/br", "/zstd", "/deflate"]), ["ok"; 4]);
    assert_eq!(outcomes(unpacked - 1, &["/gzip", "/br", "/zstd", "/deflate"]), ["too_large"; 4]);
}

#[test]
fn the_timeout_bounds_whatever_is_slow() {
    let api = sample_api();
    let urls = ["/hang", "/drip", "/drip-headers", "/endless-1xx"].map(|path| api.url(path));
    for entry in fetch(&["--why", "--timeout", "400ms"], &urls).array() {
        assert_eq!(entry["outcome"], "timeout", "{entry}");
        let elapsed = entry["elapsed_ms"].as_f64().unwrap();
        assert!((400.0..1_400.0).contains(&elapsed), "{entry}");
    }
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
fn of_two_hundred_hanging_urls_eight_workers_have_begun_eight() {
    let api = sample_api();
    let urls: Vec<String> = (0..200).map(|number| api.url(&format!("/hang/{number}"))).collect();
    let ran = interrupted(&["--why", "--workers", "8"], &urls, || api.requests() == 8);
    let entries = ran.array();
    let begun: Vec<usize> = (0..200).filter(|&position| entries[position]["attempts"] == 1).collect();
    assert_eq!(begun, (0..8).collect::<Vec<_>>());
    assert!(entries.iter().all(|entry| entry["outcome"] == "cancelled"));
    assert_eq!((api.requests(), ran.code), (8, Some(130)));
}

#[tokio::test]
async fn fetch_all_answers_in_order_in_any_runtime() {
    let api = sample_api();
    let urls = ["/guarded", "/html-500", "/huge-numbers", "/guarded", "not a URL"];
    let urls = urls.map(|path| if path.starts_with('/') { api.url(path) } else { path.to_owned() });
    // On another thread of the runtime's choosing, if it has several.
    let documents = tokio::spawn(fetch_all(urls, SAMPLE_TOKEN)).await.unwrap();
    assert_eq!(documents.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, true, false]);
    assert!(documents[2].as_ref().unwrap().text().contains("1e400"));
    assert_eq!(api.requests_to("/guarded"), 2);
    assert_eq!(fetch_all(Vec::<String>::new(), "").await, []);
}

#[test]
fn fetch_all_works_from_a_runtime_with_several_threads_and_many_times() {
    let api = sample_api();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let rounds: Vec<_> = (0..4).map(|_| runtime.spawn(fetch_all(vec![api.url("/echo"); 5], SAMPLE_TOKEN))).collect();
    for round in rounds {
        let documents = runtime.block_on(round).unwrap();
        assert!(documents.len() == 5 && documents.iter().all(Option::is_some));
    }
    assert_eq!(api.requests(), 20);
}

#[test]
fn fetch_one_works_in_code_that_is_not_async() {
    let api = sample_api();
    assert_eq!(fetch_one(&api.url("/healthy"), "").map(|document| document.to_string()).as_deref(), Some(HEALTHY));
    for (path, token) in [("/guarded", "wrong"), ("/html-200", SAMPLE_TOKEN), ("/truncated", ""), ("/flaky", "")] {
        assert_eq!(fetch_one(&api.url(path), token), None, "{path}");
    }
    assert_eq!(api.requests_to("/flaky"), 1);
    assert_eq!(fetch_one("not a URL", SAMPLE_TOKEN), None);
}

#[tokio::test]
async fn fetch_one_works_inside_async_code() {
    let api = sample_api();
    let figures: Value = fetch_one(&api.url("/guarded"), SAMPLE_TOKEN).unwrap().parse().unwrap();
    assert!(figures["users"].is_number());
}

#[tokio::test]
async fn a_token_that_no_header_can_carry_makes_every_entry_none_and_is_not_sent() {
    let api = sample_api();
    let urls = || [api.url("/echo/1"), api.url("/echo/2")];
    for token in ["two\nlines", "nul\0", "bell\u{7}"] {
        assert_eq!(fetch_all(urls(), token).await, [None, None], "{token:?}");
        assert_eq!(fetch_one(&urls()[0], token), None, "{token:?}");
    }
    assert_eq!(api.requests(), 0);
}

/// Polls `round` until `reached`, then drops it.
async fn dropped_when<T>(round: impl Future<Output = T>, mut reached: impl FnMut() -> bool) {
    let reached = async {
        let begun = Instant::now();
        while !reached() {
            assert!(begun.elapsed() < PATIENCE, "the requests never arrived");
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        _ = round => panic!("the round ended first"),
        () = reached => {}
    }
}

#[tokio::test]
async fn a_dropped_fetch_all_does_not_begin_what_is_waiting() {
    let api = sample_api();
    let wide = u64::try_from(gatherd::DEFAULT_WORKERS).unwrap();
    let slow = (0..wide).map(|number| api.url(&format!("/delay/2000/{number}")));
    let waiting = (0..20).map(|number| api.url(&format!("/echo/{number}")));
    let urls: Vec<String> = slow.chain(waiting).collect();
    dropped_when(fetch_all(urls, SAMPLE_TOKEN), || api.requests() == wide).await;
    // The last of its clients is gone, and its connections with it.
    until("the connections end", || api.open_connections() == 0);
    assert_eq!(api.requests(), wide);
}

#[tokio::test]
async fn a_fetch_all_that_is_dropped_unpolled_fetches_nothing_and_the_next_one_works() {
    let api: SampleApi = sample_api();
    drop(fetch_all([api.url("/echo/1")], SAMPLE_TOKEN));
    assert!(fetch_all([api.url("/echo/2")], SAMPLE_TOKEN).await[0].is_some());
    assert_eq!(api.requests_to("/echo/1"), 0);
}

#[test]
fn a_proxy_of_the_environment_is_not_asked_for_what_listens_on_this_machine() {
    let api = sample_api();
    let by_name = format!("http://localhost:{}/null", api.addr().port());
    let mut command = Command::new(env!("CARGO_BIN_EXE_gatherd"));
    command.env("http_proxy", "http://127.0.0.1:1").env("HTTP_PROXY", "http://127.0.0.1:1").args(["fetch", "--fail"]);
    let output = command.arg(api.url("/healthy")).arg(by_name).output().expect("gatherd runs");
    assert!(output.status.success() && output.stdout.ends_with(b"null\n]\n"), "the API's null is a document");
    assert!(String::from_utf8_lossy(&output.stdout).contains("users"));
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
    let vector: Vec<Value> = serde_json::from_str(&ran.stdout).expect("an array");
    let healthy = vector.iter().enumerate().filter(|(number, _)| number % 4 > 1);
    let lost: Vec<usize> = healthy.filter(|(_, document)| document.is_null()).map(|(number, _)| number).collect();
    assert_eq!((vector.len(), lost), (2_000, vec![]));
}

#[test]
fn a_token_comes_from_a_pipe_too() {
    let api = sample_api();
    let command = fetch_command(&["--token-file", "/dev/stdin"], &[api.url("/guarded")]);
    let ran = run_with(command, format!("{SAMPLE_TOKEN}\n").as_bytes());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_ne!(ran.stdout, printed(&["null"]));
}
