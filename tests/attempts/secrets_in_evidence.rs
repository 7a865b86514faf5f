//! What is kept of a failure is without the secrets of its request, also where a server says them in words of its own.

use std::io::Write;
use std::sync::Mutex;

use gatherd::model::{Outcome, Slot};

use crate::support::canned::{self, answer, connections, head};
use crate::support::once::slot;
use crate::support::write;

/// What is kept of a failed slot.
fn kept(slot: &Slot) -> String {
    let evidence = slot.evidence.as_ref().unwrap_or_else(|| panic!("no evidence: {slot:?}"));
    let answer = evidence.answer.as_ref().map(|answer| format!("{}\n\n{}", answer.headers, answer.body));
    format!("{}\n{}", evidence.sent, answer.unwrap_or_default())
}

#[test]
fn only_a_known_scheme_is_shown_before_hidden_credentials() {
    let api = canned::always(answer("403 No", "", "no"));
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", "first-w0rd other-w0rd");
    for (keys, shown) in [
        (format!("token = {{ file = {token:?} }}"), "authorization: Bearer ***\n"),
        (format!("token = {{ file = {token:?} }}\ntoken_scheme = \"\""), "authorization: ***\n"),
        ("headers = { Authorization = \"apikey=first-w0rd, app=1\" }".to_owned(), "authorization: ***\n"),
        ("headers = { Authorization = \"SSWS first-w0rd\" }".to_owned(), "authorization: SSWS ***\n"),
    ] {
        let kept = kept(&slot(&format!("retries = 0\n{keys}"), &api.url("/")));
        assert!(kept.contains(shown) && !kept.contains("w0rd"), "{keys}: {kept}");
    }
}

#[test]
fn credentials_are_hidden_in_parts_of_a_header_and_in_the_name_of_a_urls_user() {
    let api = canned::always(answer("403 No", "", "user me:b4sic-pw, key a/k3y=== of k3y-as-a-user"));
    let keys =
        "retries = 0\nheaders = { Authorization = \"Basic bWU6YjRzaWMtcHc=\", Cookie = \"session=a%2Fk3y%3D%3D%3D\" }";
    let shown = kept(&slot(keys, &api.url("/")));
    assert!(shown.ends_with("user ***, key *** of k3y-as-a-user"), "{shown}");
    let url = api.url("/").replace("http://", "http://k3y-as-a-user:X@");
    let shown = kept(&slot("retries = 0", &url));
    assert!(shown.ends_with("of ***"), "{shown}");
}

#[test]
fn what_a_server_signs_for_others_is_masked_as_our_own_parameters_are() {
    let location = "https://bucket.example/k?X-Amz-Signature=d3adbeef&part=1";
    let headers = format!("Location: {location}\r\nRefresh: 0; url=/in#access_token=d3adbeef\r\n");
    let api =
        canned::always(answer("302 Found", &headers, format!("<a href=\"{location}&amp;token=d3adbeef\">here</a>")));
    let shown = kept(&slot("retries = 0", &api.url("/")));
    assert!(shown.contains("location: https://bucket.example/k?X-Amz-Signature=***&part=1"), "{shown}");
    assert!(!shown.contains("d3adbeef"), "{shown}");
}

#[test]
fn a_token_that_was_sent_before_is_hidden_as_the_present_one_is() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = write(folder.path(), "token", "first-t0ken");
    let file = token.clone();
    let url = connections(move |number, mut stream| {
        head(&mut stream);
        let other = ["second-t0ken", "third-t0ken", "third-t0ken"][number.min(2)];
        std::fs::write(&file, other).expect("written");
        let _ = stream.write_all(&answer("503 Later", "", "first-t0ken, second-t0ken, third-t0ken"));
    });
    let slot = slot(&format!("retries = 2\ntoken = {{ file = {token:?} }}"), &url);
    assert_eq!(slot.attempts, 3);
    let shown = kept(&slot);
    assert!(shown.ends_with("***, ***, ***"), "{shown}");
}

#[test]
fn an_access_token_that_was_refused_is_hidden_where_its_successor_is_refused_too() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = write(folder.path(), "secret", "s3cret");
    let tokens = Mutex::new(["n3w-token", "0ld-token"].to_vec());
    let api = canned::canned(move |request| {
        if request.starts_with("POST") {
            let token = tokens.lock().expect("the tokens").pop().expect("two tokens");
            return answer("200 OK", "", format!(r#"{{"access_token":"{token}"}}"#));
        }
        let status = if request.contains("n3w-token") { "403 No" } else { "401 No" };
        answer(status, "", "0ld-token and n3w-token are revoked")
    });
    let oauth2 = format!(
        "{{ token_url = {:?}, client_id = \"me\", client_secret = {{ file = {secret:?} }} }}",
        api.url("/token")
    );
    let slot = slot(&format!("retries = 0\noauth2 = {oauth2}"), &api.url("/data"));
    assert_eq!((slot.outcome, slot.http_status), (Outcome::HttpStatus, Some(403)), "{slot:?}");
    let shown = kept(&slot);
    assert!(shown.ends_with("*** and *** are revoked"), "{shown}");
}

#[test]
fn the_password_of_a_proxy_is_hidden_in_what_it_says_for_a_token_endpoint() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let secret = write(folder.path(), "secret", "s3cret");
    let proxy = canned::always(answer("400 No", "", r#"{"error":"proxy password hunter2 is wrong"}"#));
    let through = proxy.url("").replace("http://", "http://me:hunter2@");
    let oauth2 = format!(
        "{{ token_url = \"http://login.invalid/\", client_id = \"me\", client_secret = {{ file = {secret:?} }} }}"
    );
    let slot = slot(&format!("retries = 0\nproxy = {through:?}\noauth2 = {oauth2}"), "http://api.invalid/");
    let shown = kept(&slot);
    assert!(shown.contains("proxy password *** is wrong"), "{shown}");
}
