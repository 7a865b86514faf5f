//! `fetch_one` and `fetch_all`, in code that is async and in code that is not.

use std::time::Instant;

use gatherd::sample_api::SAMPLE_TOKEN;
use gatherd::{fetch_all, fetch_one};
use serde_json::Value;

use crate::HEALTHY;
use crate::support::{PATIENCE, sample_api, until};

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
    let api = sample_api();
    drop(fetch_all([api.url("/echo/1")], SAMPLE_TOKEN));
    assert!(fetch_all([api.url("/echo/2")], SAMPLE_TOKEN).await[0].is_some());
    assert_eq!(api.requests_to("/echo/1"), 0);
}
