//! Asks for tokens and uses them.

use super::super::SampleApi;
use super::{body, exchange, get, get_with, start};

const IN_BODY: &str = "grant_type=client_credentials&client_id=sample-client&client_secret=sample-client-secret";
/// `sample-client:sample-client-secret`
const BASIC: &str = "Authorization: Basic c2FtcGxlLWNsaWVudDpzYW1wbGUtY2xpZW50LXNlY3JldA==\r\n";
/// The same with `%2D` for `-`, as a client may code it.
const CODED: &str = "Authorization: basic c2FtcGxlJTJEY2xpZW50OnNhbXBsZSUyRGNsaWVudCUyRHNlY3JldA==\r\n";

fn post(api: &SampleApi, path: &str, headers: &str, form: &str) -> String {
    let request = format!(
        "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{form}",
        form.len()
    );
    String::from_utf8(exchange(api, request.as_bytes())).unwrap()
}

fn guarded(api: &SampleApi, token: &str) -> String {
    get_with(api, "/oauth-guarded", &format!("Authorization: Bearer {token}\r\n"))
}

#[test]
fn credentials_in_the_body_or_in_basic_get_a_new_token_each_time() {
    let api = start();
    let grant = "grant_type=client_credentials&scope=read";
    let answers = [
        post(&api, "/oauth-token", "", IN_BODY),
        post(&api, "/oauth-token", BASIC, grant),
        post(&api, "/oauth-token", CODED, grant),
    ];
    let tokens = api.tokens();
    assert_eq!(tokens.len(), 3);
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2]);
    for (answer, token) in answers.iter().zip(&tokens) {
        let expected = format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":3600}}"#);
        assert_eq!(body(answer), expected);
    }
}

#[test]
fn how_long_a_token_lasts_is_what_the_query_says() {
    let api = start();
    assert!(post(&api, "/oauth-token?expires=5", "", IN_BODY).ends_with(r#","expires_in":5}"#));
    assert!(post(&api, "/oauth-token?expires=", "", IN_BODY).ends_with(r#""token_type":"Bearer"}"#));
}

#[test]
fn what_is_wrong_with_a_token_request_is_said_as_the_standard_says() {
    let api = start();
    let refused = |headers: &str, form: &str| {
        let answer = post(&api, "/oauth-token", headers, form);
        (answer[9..12].to_owned(), body(&answer).to_owned())
    };
    let because = |status: &str, error: &str| (status.to_owned(), format!(r#"{{"error":"{error}"}}"#));
    assert_eq!(refused("", &IN_BODY.replace("secret=s", "secret=S")), because("401", "invalid_client"));
    assert_eq!(refused("", &IN_BODY.replace("id=s", "id=S")), because("401", "invalid_client"));
    let grant = "grant_type=client_credentials";
    assert_eq!(refused("", grant), because("401", "invalid_client"));
    assert_eq!(refused("Authorization: Basic bm8=\r\n", grant), because("401", "invalid_client"));
    assert_eq!(refused(BASIC, IN_BODY), because("400", "invalid_request"));
    assert_eq!(refused(BASIC, ""), because("400", "invalid_request"));
    assert_eq!(refused(BASIC, "grant_type=password"), because("400", "unsupported_grant_type"));
    assert!(get(&api, "/oauth-token").starts_with("HTTP/1.1 405 "));
    assert!(api.tokens().is_empty());
}

#[test]
fn only_a_token_that_was_issued_and_not_revoked_is_let_in() {
    let api = start();
    let nobody = get(&api, "/oauth-guarded");
    assert!(nobody.starts_with("HTTP/1.1 401 "), "{nobody}");
    assert!(nobody.contains("\r\nWWW-Authenticate: Bearer realm=\"sample\"\r\n"), "{nobody}");
    assert!(guarded(&api, "made-up").contains("Bearer realm=\"sample\", error=\"invalid_token\"\r\n"));
    post(&api, "/oauth-token", "", IN_BODY);
    let first = api.tokens().remove(0);
    assert!(guarded(&api, &first).starts_with("HTTP/1.1 200 "));
    get(&api, "/oauth-revoke");
    assert!(guarded(&api, &first).starts_with("HTTP/1.1 401 "));
    post(&api, "/oauth-token", "", IN_BODY);
    let second = api.tokens().remove(1);
    assert!(guarded(&api, &second).starts_with("HTTP/1.1 200 "));
    api.revoke_tokens();
    assert!(guarded(&api, &second).starts_with("HTTP/1.1 401 "));
}
