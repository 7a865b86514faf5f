//! What each fault of the far side is called, and that it harms nobody beside it.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::Path;

use gatherd::fetch::json;
use gatherd::model::Outcome;
use gatherd::sample_api::{Certificate, MODES, SampleApi};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::fetch_command;
use crate::support::canned::{self, always};
use crate::support::{ClosedPort, gatherd, run, sample_api, write};

/// Fetches `urls` with `args` and `--why`.
fn why(args: &[&str], urls: &[String]) -> Vec<Value> {
    let mut command = gatherd(["fetch", "--why"]);
    command.args(args).args(urls);
    let ran = run(command);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    // Numbers beyond f64 are fine documents, but not for this test's reader.
    let entries: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(&ran.stdout).expect("an array of objects");
    let readable = |(key, raw): (String, Box<RawValue>)| {
        let value = serde_json::from_str(raw.get()).unwrap_or_else(|_| Value::from(raw.get()));
        (key, value)
    };
    entries.into_iter().map(|entry| entry.into_iter().map(readable).collect()).collect()
}

fn outcomes(args: &[&str], urls: &[String]) -> Vec<String> {
    let word = |entry: &Value| entry["outcome"].as_str().expect("a word").to_owned();
    why(args, urls).iter().map(word).collect()
}

fn paths(api: &SampleApi, paths: &[&str]) -> Vec<String> {
    paths.iter().map(|path| api.url(path)).collect()
}

#[test]
fn every_mode_of_the_sample_api_gets_its_outcome_and_its_neighbours_are_fine() {
    let api = sample_api();
    let urls: Vec<String> = MODES
        .iter()
        .flat_map(|mode| ["/healthy/before", mode.path, "/healthy/after"].map(|path| api.url(path)))
        .collect();
    let entries = why(&["--timeout", "2s", "--retries", "0"], &urls);
    assert_eq!(entries.len(), 3 * MODES.len());
    let mut wrong = Vec::new();
    for (mode, entries) in MODES.iter().zip(entries.chunks(3)) {
        let [before, entry, after] = entries else { panic!("three each") };
        let expected = mode.outcome.parse::<Outcome>().expect("the table's words are outcomes");
        let ok = expected.is_ok();
        let text = entry["detail"].as_str();
        let as_it_should = entry["outcome"] == mode.outcome
            && entry["attempts"] == 1
            && before["outcome"] == "ok"
            && after["outcome"] == "ok"
            && text.is_none() == ok
            && text.is_none_or(|text| !text.is_empty() && text.len() <= 200)
            && (ok || entry["body"].is_null())
            && (!ok || entry["http_status"] == 200)
            && entry["elapsed_ms"].as_f64().is_some_and(|elapsed| elapsed < 3_000.0);
        if !as_it_should {
            wrong.push(format!("{} should be {}: {entry}, beside {before} and {after}", mode.path, mode.outcome));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_of_modes_covers_what_a_server_can_do_wrong() {
    let of_our_side_or_the_network =
        ["dns", "connect", "tls", "blocked_address", "cancelled", "backoff", "panic", "resource"];
    for outcome in Outcome::ALL {
        let shown = MODES.iter().any(|mode| mode.outcome == outcome.as_str());
        assert_ne!(shown, of_our_side_or_the_network.contains(&outcome.as_str()), "{outcome}");
    }
}

#[test]
fn what_may_pass_is_tried_again_and_nothing_else() {
    let api = sample_api();
    let mut cases: Vec<(&str, bool)> = MODES
        .iter()
        // Whether their statuses are tried again is said below.
        .filter(|mode| mode.outcome != "http_status")
        .map(|mode| (mode.path, ["timeout", "reset", "truncated"].contains(&mode.outcome)))
        .collect();
    cases.extend(["408", "425", "429", "500", "502", "503", "504"].map(|status| (status, true)));
    cases.extend(["304", "400", "401", "403", "404", "410", "418", "422", "501", "505"].map(|status| (status, false)));
    let path = |path: &str| if path.starts_with('/') { path.to_owned() } else { format!("/status/{path}") };
    let urls: Vec<String> = cases.iter().map(|case| api.url(&path(case.0))).collect();
    let entries = why(&["--timeout", "2s", "--retries", "1", "--workers", "100"], &urls);
    let wrong: Vec<String> = cases
        .iter()
        .zip(&entries)
        .filter(|&(&(_, again), entry)| entry["attempts"] != if again { 2 } else { 1 })
        .map(|((path, again), entry)| format!("{path} tried again? {again}: {entry}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_port_where_nobody_listens_is_a_connect_failure_and_plain_http_is_no_tls() {
    let api = sample_api();
    let closed = ClosedPort::new();
    let urls = [closed.url("/"), api.url("/healthy").replace("http:", "https:"), api.url("/healthy")];
    assert_eq!(outcomes(&[], &urls), ["connect", "tls", "ok"]);
}

#[test]
fn a_machine_without_authorities_fetches_http_and_says_why_https_fails() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tls = SampleApi::start_tls(([127, 0, 0, 1], 0).into(), Certificate::Good).expect("a free port");
    let ran = |url: String| {
        let mut fetch = fetch_command(&["--why", "--retries", "0"], &[url]);
        fetch.env("SSL_CERT_FILE", write(folder.path(), "none.pem", "")).env("SSL_CERT_DIR", "");
        run(fetch)
    };
    let fine = ran(sample_api().url("/healthy"));
    assert!(fine.stdout.contains(r#""outcome":"ok""#), "{}", fine.stdout);
    let failed = ran(tls.url("/healthy"));
    assert!(failed.stdout.contains(r#""outcome":"tls""#), "{}", failed.stdout);
    assert!(failed.stdout.contains("No CA certificates were loaded from the system"), "{}", failed.stdout);
}

#[test]
fn a_name_that_does_not_exist_is_a_dns_failure_or_a_timeout_where_the_resolver_is_silent() {
    // The domain `invalid` is reserved for this (RFC 6761).
    let entry = &why(&["--timeout", "2s"], &["http://nowhere.invalid/".to_owned()])[0];
    assert!(["dns", "timeout"].contains(&entry["outcome"].as_str().unwrap()), "{entry}");
    assert!(entry["elapsed_ms"].as_f64().unwrap() < 3_000.0, "{entry}");
}

#[test]
fn headers_up_to_100_lines_and_400_kib_are_fine_and_more_are_a_breach_of_protocol() {
    let api = sample_api();
    let urls = paths(&api, &["/header/102000", "/header/300000", "/header/500000", "/headers/90", "/headers/110"]);
    assert_eq!(outcomes(&[], &urls), ["ok", "ok", "protocol", "ok", "protocol"]);
    // Whether a much larger head meets the client's own bound depends on the pieces that it is read in.
    let urls = vec![api.url("/headers-400k"); 50];
    assert_eq!(outcomes(&["--workers", "10"], &urls), ["protocol"; 50]);
}

/// `text` as one member of a gzip file, stored.
fn gzip(text: &str) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::none());
    encoder.write_all(text.as_bytes()).expect("memory");
    encoder.finish().expect("memory")
}

#[test]
fn a_content_coding_is_one_in_whatever_case_and_decodes_to_its_last_byte() {
    let answer = |headers: &str, body: &[u8]| always(canned::answer("200 OK", headers, body)).url("/");
    let (one, two) = (gzip("{\"a\":1}"), [gzip("{\"a\":"), gzip("1}")].concat());
    let urls = [
        answer("Content-Encoding: GZIP\r\n", &one),
        answer("Content-Encoding: gzip\r\n", &two),
        answer("Content-Encoding: gzip\r\n", &[one.as_slice(), b"garbage"].concat()),
        answer("Content-Encoding: gzip\r\nContent-Encoding: br\r\n", &one),
        answer("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", &one),
        answer("Content-Encoding: identity\r\n", b"{\"a\":1}"),
        answer("Content-Encoding: s3cret\r\n", b"{\"a\":1}"),
        answer("Content-Encoding:\r\n", b"{\"a\":1}"),
        answer("Content-Encoding: none\r\n", b"{\"a\":1}"),
        answer("Content-Encoding: UTF-8\r\n", b"{\"a\":1}"),
        answer("Content-Encoding: utf-8, gzip\r\n", &one),
        answer("Content-Encoding: utf-8\r\n", &one),
    ];
    let entries = why(&[], &urls);
    let outcomes: Vec<&str> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes[..7], ["ok", "ok", "encoding", "encoding", "encoding", "ok", "encoding"], "{entries:#?}");
    assert_eq!(outcomes[7..], ["ok", "ok", "ok", "ok", "invalid_utf8"], "mistaken for a coding: {entries:#?}");
    assert_eq!(entries[1]["body"]["a"], 1);
    assert!(!entries[6].to_string().contains("s3cret"));
}

#[test]
fn a_broken_body_is_named_by_how_it_broke_also_when_its_prefix_is_json() {
    let api = sample_api();
    let urls = paths(&api, &["/truncated", "/truncated-chunked", "/gzip-truncated", "/reset-body", "/trailing-nul"]);
    assert_eq!(outcomes(&[], &urls), ["truncated", "truncated", "encoding", "reset", "not_json"]);
}

#[test]
fn a_document_nested_a_million_levels_deep_is_too_deep_and_nothing_worse() {
    let api = sample_api();
    assert_eq!(outcomes(&["--max-body", "4MiB"], &paths(&api, &["/deep/1000000", "/null"])), ["too_deep", "ok"]);
}

#[test]
fn a_status_counts_more_than_what_its_body_looks_like() {
    let api = sample_api();
    let urls = paths(&api, &["/status/203", "/status/205", "/status/304", "/status/404", "/status/999"]);
    let entries = why(&[], &urls);
    let ended: Vec<String> =
        entries.iter().map(|entry| format!("{} {}", entry["outcome"], entry["http_status"])).collect();
    let expected =
        [r#""ok" 203"#, r#""empty_body" 205"#, r#""http_status" 304"#, r#""http_status" 404"#, r#""http_status" 999"#];
    assert_eq!(ended, expected);
}

/// What `bytes` are found to be.
fn found(bytes: &[u8]) -> Outcome {
    match json::document(bytes) {
        Ok(document) => {
            assert_eq!(document.text().as_bytes(), bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes));
            Outcome::Ok
        }
        Err((outcome, _)) => outcome,
    }
}

/// The files of a folder whose names begin with `prefix`, in order.
fn files(folder: &Path, prefix: &str) -> BTreeMap<String, Vec<u8>> {
    let entries = folder.read_dir().expect("the corpus is a folder");
    let named = entries.map(|entry| {
        let path = entry.expect("the folder can be listed").path();
        (path.file_name().expect("a name").to_string_lossy().into_owned(), path)
    });
    let wanted = named.filter(|(name, _)| name.starts_with(prefix));
    wanted.map(|(name, path)| (name, std::fs::read(path).expect("the corpus can be read"))).collect()
}

#[test]
fn the_json_corpus_is_judged_as_it_says() {
    let Some(folder) = std::env::var_os("GATHERD_JSON_CORPUS") else {
        eprintln!("not tested: GATHERD_JSON_CORPUS names no folder (the one called test_parsing in nst/JSONTestSuite)");
        return;
    };
    let folder = Path::new(&folder);
    let (accepted, refused, free) = (files(folder, "y_"), files(folder, "n_"), files(folder, "i_"));
    assert!(accepted.len() > 90 && refused.len() > 180, "this is not the whole corpus");
    for (name, bytes) in &accepted {
        assert_eq!(found(bytes), Outcome::Ok, "{name}");
    }
    for (name, bytes) in &refused {
        assert_ne!(found(bytes), Outcome::Ok, "{name}");
    }
    let ours: Vec<String> = free.iter().map(|(name, bytes)| format!("{name} → {}", found(bytes))).collect();
    insta::assert_snapshot!(ours.join("\n"), @r"
    i_number_double_huge_neg_exp.json → ok
    i_number_huge_exp.json → ok
    i_number_neg_int_huge_exp.json → ok
    i_number_pos_double_huge_exp.json → ok
    i_number_real_neg_overflow.json → ok
    i_number_real_pos_overflow.json → ok
    i_number_real_underflow.json → ok
    i_number_too_big_neg_int.json → ok
    i_number_too_big_pos_int.json → ok
    i_number_very_big_negative_int.json → ok
    i_object_key_lone_2nd_surrogate.json → not_json
    i_string_1st_surrogate_but_2nd_missing.json → not_json
    i_string_1st_valid_surrogate_2nd_invalid.json → not_json
    i_string_UTF-16LE_with_BOM.json → invalid_utf8
    i_string_UTF-8_invalid_sequence.json → invalid_utf8
    i_string_UTF8_surrogate_U+D800.json → invalid_utf8
    i_string_incomplete_surrogate_and_escape_valid.json → not_json
    i_string_incomplete_surrogate_pair.json → not_json
    i_string_incomplete_surrogates_escape_valid.json → not_json
    i_string_invalid_lonely_surrogate.json → not_json
    i_string_invalid_surrogate.json → not_json
    i_string_invalid_utf-8.json → invalid_utf8
    i_string_inverted_surrogates_U+1D11E.json → not_json
    i_string_iso_latin_1.json → invalid_utf8
    i_string_lone_second_surrogate.json → not_json
    i_string_lone_utf8_continuation_byte.json → invalid_utf8
    i_string_not_in_unicode_range.json → invalid_utf8
    i_string_overlong_sequence_2_bytes.json → invalid_utf8
    i_string_overlong_sequence_6_bytes.json → invalid_utf8
    i_string_overlong_sequence_6_bytes_null.json → invalid_utf8
    i_string_truncated-utf-8.json → invalid_utf8
    i_string_utf16BE_no_BOM.json → invalid_utf8
    i_string_utf16LE_no_BOM.json → invalid_utf8
    i_structure_500_nested_arrays.json → too_deep
    i_structure_UTF-8_BOM_empty_object.json → ok
    ");
}
