//! Reads lists page by page.

use serde_json::Value;

use super::{body, get, start};

fn document(answer: &str) -> Value {
    serde_json::from_str(body(answer)).unwrap()
}

fn ids(document: &Value) -> Vec<u64> {
    let items = document["data"].as_array().unwrap();
    items.iter().map(|item| item["id"].as_u64().unwrap()).collect()
}

/// The Link headers of an answer.
fn links(answer: &str) -> Vec<&str> {
    let head = answer.split_once("\r\n\r\n").unwrap().0;
    head.lines().filter_map(|line| line.strip_prefix("Link: ").or_else(|| line.strip_prefix("link: "))).collect()
}

#[test]
fn items_have_a_number_that_no_float_holds() {
    let answer = get(&start(), "/pages-counter?page=2");
    assert!(body(&answer).starts_with(r#"{"page":2,"data":[{"id":4,"amount":12345678901234567890.10},{"id":5,"#));
}

#[test]
fn links_are_spelt_differently_on_each_page_and_lead_on_to_the_last() {
    let api = start();
    let page = |query: &str| get(&api, &format!("/pages-link{query}"));
    let first = page("");
    let expected = concat!(
        r#"</pages-link?page=1>; rel="first", <?page=2>; title="more, or \"next\"; go on"; rel="next", "#,
        r#"</pages-link?page=4>; rel="last""#,
    );
    assert_eq!((links(&first), ids(&document(&first))), (vec![expected], vec![1, 2, 3]));
    let second = page("?page=2");
    assert_eq!(links(&second), ["</pages-link?page=1>;rel=first", "<pages-link?page=3>;REL=next"]);
    let third = r#"</pages-link?page=4>; title="rel=next"; rel="last" ,, </pages-link?page=4> ; rel="section Next""#;
    assert_eq!(links(&page("?page=3")), [third]);
    let last = page("?page=4");
    assert_eq!((links(&last), ids(&document(&last))), (vec![r#"</pages-link?page=1>; rel="first""#], vec![10, 11, 12]));
}

#[test]
fn urls_lead_from_page_to_page_and_keep_what_was_asked_for() {
    let api = start();
    let origin = "http://test";
    let mut path = "/pages-url/x?pages=3&items=2".to_owned();
    let mut found = Vec::new();
    loop {
        let page = document(&get(&api, &path));
        found.extend(ids(&page));
        let Some(next) = page["next"].as_str() else { break };
        next.strip_prefix(origin).unwrap().clone_into(&mut path);
    }
    assert_eq!(found, [1, 2, 3, 4, 5, 6]);
    assert_eq!(path, "/pages-url/x?page=3&pages=3&items=2");
    assert_eq!(api.requests_to("/pages-url/x"), 3);
}

#[test]
fn cursors_have_to_be_escaped_and_end_in_one_of_three_ways() {
    let api = start();
    let page = |path: &str| document(&get(&api, path));
    assert_eq!(page("/pages-cursor")["meta"]["next_cursor"], "2+/=");
    assert_eq!(ids(&page("/pages-cursor?cursor=2%2B%2F%3D")), [4, 5, 6]);
    assert!(get(&api, "/pages-cursor?cursor=2+/=").starts_with("HTTP/1.1 400 "));
    let end = |argument: &str| page(&format!("/pages-cursor{argument}?cursor=4%2B/="))["meta"].to_string();
    let ends = [end(""), end("/absent"), end("/null")];
    assert_eq!(ends, [r#"{"next_cursor":""}"#, "{}", r#"{"next_cursor":null}"#]);
}

#[test]
fn counters_and_offsets_end_where_there_are_no_items() {
    let api = start();
    let page = |path: &str| ids(&document(&get(&api, path)));
    assert_eq!(page("/pages-counter?page=4"), [10, 11, 12]);
    assert!(page("/pages-counter?page=5").is_empty());
    assert_eq!(page("/pages-offset"), [1, 2, 3]);
    assert_eq!(page("/pages-offset?offset=10"), [11, 12]);
    assert!(page("/pages-offset?offset=12").is_empty());
    for wrong in ["/pages-counter?page=0", "/pages-counter?page=-1", "/pages-offset?offset=x"] {
        assert!(get(&api, wrong).starts_with("HTTP/1.1 400 "), "{wrong}");
    }
}

#[test]
fn lists_that_go_wrong_do_so_in_every_style() {
    let api = start();
    let page = |path: &str| document(&get(&api, path));
    let broken = page("/pages-broken?page=2");
    assert_eq!(
        (&broken["next"], &broken["meta"]["next_cursor"]),
        (&"http://test/pages-broken?page=3".into(), &"3+/=".into())
    );
    for third in ["?page=3", "?cursor=3%2B/=", "?offset=6"] {
        assert!(get(&api, &format!("/pages-broken{third}")).starts_with("HTTP/1.1 500 "), "{third}");
    }
    assert_eq!(page("/pages-loop?page=1")["next"], "http://test/pages-loop?page=1");
    assert_eq!(page("/pages-loop?cursor=1%2B/=")["meta"]["next_cursor"], "1+/=");
    let endless = page("/pages-endless?page=1000");
    assert_eq!(
        (ids(&endless), &endless["next"]),
        (vec![2998, 2999, 3000], &"http://test/pages-endless?page=1001".into())
    );
    let away = get(&api, "/pages-away?url=http://a.test/b%3Fc=d%26e");
    assert_eq!(document(&away)["next"], "http://a.test/b?c=d&e");
    assert_eq!(links(&away), [r#"<http://a.test/b?c=d&e>; rel="next""#]);
}

#[test]
fn no_number_in_a_query_is_too_large() {
    let api = start();
    let most = u64::MAX;
    for path in ["pages-link", "pages-url", "pages-counter", "pages-broken", "pages-loop", "pages-endless"] {
        let answer = get(&api, &format!("/{path}?page={most}&pages={most}"));
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
    let answer = get(&api, &format!("/pages-offset?offset={most}&pages={most}&items={most}"));
    assert!(ids(&document(&answer)).is_empty());
}
