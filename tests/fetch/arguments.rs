//! The command line: where URLs and the token come from, limits, and exit codes.

use gatherd::sample_api::SAMPLE_TOKEN;
use serde_json::json;

use crate::support::{gatherd, run, run_with, sample_api, write};
use crate::{fetch, fetch_command, member, printed};

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
fn a_host_that_asks_for_an_hour_delays_nobody() {
    let api = sample_api();
    let urls = ["/rate-limited?after=Wed,%2021%20Oct%202099%2007:28:00%20GMT", "/healthy"].map(|path| api.url(path));
    let entries = fetch(&["--why", "--retries", "3"], &urls).array();
    assert_eq!(
        (member(&entries, "outcome"), member(&entries, "attempts")),
        (vec![json!("http_status"), json!("ok")], vec![json!(1); 2])
    );
    let detail = entries[0]["detail"].as_str().unwrap();
    assert!(detail.ends_with("; the host asks for a pause of 1h or more"), "{detail}");
}

#[test]
fn by_the_deadline_all_has_ended_and_what_is_there_is_printed() {
    let api = sample_api();
    let urls = ["/hang", "/healthy", "/rate-limited?after=40"].map(|path| api.url(path));
    let entries = fetch(&["--why", "--retries", "2", "--deadline", "2s"], &urls).array();
    assert_eq!(member(&entries, "outcome"), ["timeout", "ok", "http_status"]);
    let slowest = entries.iter().filter_map(|entry| entry["elapsed_ms"].as_f64()).fold(0.0, f64::max);
    assert!(slowest < 10_000.0, "{entries:?}");
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
fn a_token_comes_from_a_pipe_too() {
    let api = sample_api();
    let command = fetch_command(&["--token-file", "/dev/stdin"], &[api.url("/guarded")]);
    let ran = run_with(command, format!("{SAMPLE_TOKEN}\n").as_bytes());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_ne!(ran.stdout, printed(&["null"]));
}

#[test]
fn more_workers_than_files_may_be_open_are_warned_of() {
    let api = sample_api();
    let urls: Vec<String> = (0..100).map(|number| api.url(&format!("/healthy/{number}"))).collect();
    let ran = |workers: &str, urls: &[String]| {
        let given = fetch_command(&["--workers", workers], urls);
        let mut command = std::process::Command::new("sh");
        command.args(["-c", "ulimit -n 100; exec \"$@\"", "sh"]).arg(given.get_program()).args(given.get_args());
        run(command)
    };
    let warned = ran("100", &urls);
    assert_eq!(warned.code, Some(0), "{}", warned.stderr);
    assert!(warned.stderr.contains("fewer files may be open than connections may be needed"), "{}", warned.stderr);
    assert!(warned.stderr.contains("ulimit -n"), "{}", warned.stderr);
    assert_eq!(ran("100", &urls[..50]).stderr, "", "50 URLs need no more than 50");
    assert_eq!(ran("16", &urls).stderr, "");
}
