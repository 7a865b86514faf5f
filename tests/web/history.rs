//! An endpoint's history and its uptime.

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::web::Web;
use crate::support::{OFTEN, YEARLY};
use crate::{EXACT, job, once, upstream};

#[test]
fn the_history_of_an_endpoint_is_answered_slot_by_slot_and_page_by_page() {
    let server = upstream();
    let endpoints = [("exact", server.url("/exact")), ("a/b ä", server.url("/fails"))];
    let web = Web::start("", &job("fast", OFTEN, &endpoints));
    web.daemon.wait_for_rounds("fast", 5);
    let history = "/api/v1/jobs/fast/endpoints/exact/history";
    let whole = web.get(&format!("{history}?limit=1")).text().expect("text");
    assert!(whole.contains("\"outcome\":\"ok\"") && whole.contains(&format!("\"value\":{EXACT}}}")), "{whole}");
    let (mut rounds, mut next) = (Vec::new(), Some(format!("{history}?field=%2Fbig&limit=2&since=1d")));
    while let Some(path) = next.filter(|_| rounds.len() < 5) {
        let text = web.get(&path).text().expect("text");
        assert!(text.contains("\"value\":1e400"), "{text}");
        // What serde_json does not hold as a number is left out of what is parsed.
        let page: Value = serde_json::from_str(&text.replace("1e400", "0")).expect("JSON");
        rounds.extend(page["observations"].as_array().expect("a list").iter().map(|one| one["round_id"].as_i64()));
        next = page["next"].as_str().map(str::to_owned);
    }
    assert!(rounds.len() >= 5 && rounds.is_sorted_by(|older, newer| older < newer), "{rounds:?}");
    let failed = web.json("/api/v1/jobs/fast/endpoints/a%2Fb%20%C3%A4/history?limit=1000");
    for observation in failed["observations"].as_array().expect("a list") {
        let elapsed = observation["elapsed_ms"].to_string();
        assert!(elapsed.split_once('.').is_none_or(|(_, digits)| digits.len() <= 3), "whole microseconds: {elapsed}");
    }
    let failed = &failed["observations"][0];
    assert_eq!(
        (&failed["outcome"], &failed["http_status"], &failed["value"]),
        (&json!("http_status"), &json!(500), &json!(null))
    );
    for (path, status, told) in [
        ("/api/v1/jobs/fast/endpoints/nobody/history", 404, "no endpoint"),
        ("/api/v1/jobs/nobody/endpoints/exact/history", 404, "no job"),
        ("/api/v1/jobs/fast/endpoints/exact/history?since=yesterday", 400, "is not a moment"),
        ("/api/v1/jobs/fast/endpoints/exact/history?after=1", 400, "`after`"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=100ms", 400, "at least 1s"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1h&agg=mean", 400, "one of avg"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1h&timezone=Mars", 400, "`timezone`"),
        ("/api/v1/jobs/fast/endpoints/exact/history?every=1s&since=2020-01-01", 413, "10000 stretches"),
    ] {
        let (found, detail) = web.problem(Method::GET, path);
        assert!(found == status && detail.contains(told), "{path}: {found} {detail}");
    }
    web.daemon.stop();
}

#[test]
fn the_history_of_an_endpoint_is_put_together_by_stretches_of_time() {
    let server = upstream();
    server.mock(|when, then| {
        when.path("/number");
        then.status(200).body(r#"{"users": 7}"#);
    });
    let endpoints = [("number", server.url("/number")), ("fails", server.url("/fails"))];
    let web = Web::start("", &job("fast", OFTEN, &endpoints));
    web.daemon.wait_for_rounds("fast", 5);
    let of = |endpoint: &str, more: &str| {
        let path = format!("/api/v1/jobs/fast/endpoints/{endpoint}/history?field=/users&every=1d&{more}");
        web.json(&path)["buckets"].as_array().expect("a list").clone()
    };
    let days = of("number", "agg=avg&since=2d&timezone=Europe/Berlin");
    // Whenever that is, today and yesterday may both have rounds.
    let slots: u64 = days.iter().filter_map(|day| day["slots"].as_u64()).sum();
    assert!(days.len() == 3 && slots >= 5, "{days:?}");
    assert_eq!((&days[0]["value"], &days[0]["slots"]), (&json!(null), &json!(0)));
    assert!(days.iter().any(|day| day["value"].as_f64() == Some(7.0)), "{days:?}");
    let path = "/api/v1/jobs/fast/endpoints/number/history?field=/users&agg=max&since=2d&limit=2";
    let first = web.json(path);
    let second = web.json(first["next"].as_str().expect("a next page"));
    let pages = [&first, &second].map(|page| page["buckets"].as_array().expect("a list"));
    assert_eq!((pages.map(Vec::len), &second["next"]), ([2, 1], &json!(null)));
    assert!(pages.into_iter().flatten().any(|bucket| bucket["value"] == 7), "{first} {second}");
    let days = of("fails", "agg=count");
    assert!(days[0]["value"] == 0 && days[0]["slots"] == days[0]["failed"], "{days:?}");
    assert_eq!(of("fails", "fill=none"), Vec::<Value>::new());
    for (endpoint, more) in [
        ("number", "every=1d"),
        ("number", "every=1d&agg=count"),
        ("number", "every=1d&agg=avg"),
        ("fails", "timezone=UTC"),
    ] {
        let days = web.json(&format!("/api/v1/jobs/fast/endpoints/{endpoint}/history?{more}"));
        for day in days["buckets"].as_array().expect("a list") {
            let documents = day["slots"].as_u64().zip(day["failed"].as_u64()).map(|(slots, failed)| slots - failed);
            assert_eq!((day["value"].as_u64(), day["values"].as_u64()), (documents, documents), "{more}: {day}");
        }
    }
    assert_eq!(web.json("/api/v1/jobs/fast/endpoints/number/history?since=1h&until=2h")["observations"], json!([]));
    web.daemon.stop();
}

#[test]
fn a_page_of_stretches_goes_on_with_the_value_that_the_last_one_ended_with() {
    let server = upstream();
    server.mock(|when, then| {
        when.path("/number");
        then.status(200).body("7.10");
    });
    let cadence = format!("{YEARLY}\nrun_on_start = true");
    let web = Web::start("", &job("once", &cadence, &[("number", server.url("/number"))]));
    let due = web.daemon.wait_for_rounds("once", 1)[0]["due"].as_str().expect("a due").to_owned();
    let day = &due[..10];
    let history = "/api/v1/jobs/once/endpoints/number/history";
    let path = format!("{history}?field=&every=1h&agg=last&fill=last&since={day}&until={day}T23:59:59Z&limit=6");
    let (mut values, mut next) = (Vec::new(), Some(path));
    while let Some(path) = next {
        let page = web.json(&path);
        values.extend(page["buckets"].as_array().expect("a list").iter().map(|bucket| bucket["value"].as_f64()));
        next = page["next"].as_str().map(str::to_owned);
    }
    let hour: usize = due[11..13].parse().expect("an hour");
    let expected: Vec<Option<f64>> = (0..24).map(|at| (at >= hour).then_some(7.1)).collect();
    assert_eq!(values, expected);
    let later = "since=2100-01-01&until=2100-01-03&limit=1";
    let first = web.json(&format!("{history}?field=&every=1d&fill=last&{later}"));
    let second = web.json(first["next"].as_str().expect("a next page"));
    let values = [&first, &second].map(|page| page["buckets"][0]["value"].as_f64());
    assert_eq!(values, [Some(7.1), Some(7.1)], "also from before the beginning");
    let wrong = web.problem(Method::GET, &format!("{history}?fill=last&carry=%5B1%5D"));
    assert!(wrong.0 == 400 && wrong.1.contains("`carry`"), "{wrong:?}");
    web.daemon.stop();
}

#[test]
fn uptime_says_what_share_of_each_endpoint_is_ok_and_why_the_rest_is_not() {
    let server = upstream();
    let web = Web::start("", &once(&server));
    web.daemon.wait_for_rounds("figures", 1);
    let uptime = web.json("/api/v1/uptime?job=figures&since=1h");
    let (well, ill) = (&uptime["endpoints"][0], &uptime["endpoints"][1]);
    assert_eq!(
        (&well["endpoint"], &well["share_ok"], &well["longest_outage"]),
        (&json!("exact"), &json!(1.0), &json!(null))
    );
    assert_eq!((&ill["share_ok"], &ill["outcomes"]), (&json!(0.0), &json!({"http_status": 1})));
    assert_eq!(ill["longest_outage"]["goes_on"], json!(true));
    assert_eq!(web.problem(Method::GET, "/api/v1/uptime?job=nobody").0, 404);
    assert_eq!(web.json("/api/v1/uptime?since=1h&until=2h")["endpoints"], json!([]));
    web.daemon.stop();
}
