//! What servers send instead of data.

use std::io::{ErrorKind, Read, Write};
use std::time::Duration;

use super::{body, connect, get, get_with, read_some, start};

#[test]
fn walls_and_notices_look_like_what_they_are() {
    let api = start();
    let wall = get(&api, "/bot-wall");
    assert!(wall.starts_with("HTTP/1.1 403 "));
    assert!(wall.contains("\r\nServer: cloudflare\r\ncf-mitigated: challenge\r\n"));
    assert!(wall.contains("<title>Just a moment...</title>"));
    assert!(get(&api, "/login-page").contains(r#"<input type="password""#));
    assert!(get(&api, "/maintenance").starts_with("HTTP/1.1 503 "));
    let problem = get(&api, "/error-document");
    assert!(problem.starts_with("HTTP/1.1 400 ") && problem.contains("\r\nContent-Type: application/json\r\n"));
    let documents = [body(&problem), body(&get(&api, "/error-200"))].map(serde_json::from_str::<serde_json::Value>);
    let [problem, error] = documents.map(Result::unwrap);
    assert_eq!((&problem["title"], &error["error"]["code"]), (&"Invalid range".into(), &"quota_exceeded".into()));
}

#[test]
fn all_that_was_sent_is_shown_in_each_spelling() {
    let api = start();
    let headers = "Authorization: Bearer s3/cret+\r\nX-Api-Key: k\"ey\r\n";
    let answer = get_with(&api, "/secret-echo-everywhere?key=q%2Fuery&b=c", headers);
    assert!(answer.starts_with("HTTP/1.1 500 "));
    let (head, page) = answer.split_once("\r\n\r\n").unwrap();
    let lines = ["X-Echo-Authorization: Bearer s3/cret+", "X-Echo-X-Api-Key: k\"ey", "X-Echo-Query: key=q%2Fuery&b=c"];
    for line in lines {
        assert!(head.lines().any(|sent| sent == line), "{line}: {head}");
    }
    let shown = [
        "Authorization: Bearer s3/cret+\n  QmVhcmVyIHMzL2NyZXQr\n  Bearer+s3%2Fcret%2B\n",
        "Authorization: s3/cret+\n  czMvY3JldCs=\n  s3%2Fcret%2B\n  \"s3\\/cret+\"\n  S3/CRET+\n",
        "X-Api-Key: k\"ey\n  ayJleQ==\n  k%22ey\n  \"k\\\"ey\"\n  K\"EY\n",
        "parameter: q/uery\n  cS91ZXJ5\n  q%2Fuery\n",
    ];
    for lines in shown {
        assert!(page.contains(lines), "{lines}: {page}");
    }
}

#[test]
fn a_refusal_stalls_behind_the_first_byte_of_its_body() {
    let api = start();
    let mut stream = connect(&api);
    stream.write_all(b"GET /stalled-refusal HTTP/1.1\r\n\r\n").unwrap();
    let expected = "HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 500\r\n\r\n<";
    assert_eq!(read_some(&mut stream, expected.len()), expected.as_bytes());
    stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap_err().kind(), ErrorKind::WouldBlock);
}
