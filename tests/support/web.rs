//! A daemon with its HTTP API, and clients of it: one that behaves, and bare sockets for those that do not.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use reqwest::blocking::{Client, RequestBuilder, Response};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::PATIENCE;
use super::daemon::{Daemon, Home};

/// The token of [`Web::with_token`].
pub const TOKEN: &str = "s3cret-of-the-api";

/// A daemon that serves its API on a free port.
pub struct Web {
    pub home: Home,
    pub daemon: Daemon,
    pub address: SocketAddr,
    client: Client,
}

impl Web {
    /// Without a token; `server` are further lines of `[server]`.
    pub fn start(server: &str, jobs: &str) -> Self {
        Self::at("127.0.0.1:0", server, jobs)
    }

    /// With [`TOKEN`].
    pub fn with_token(jobs: &str) -> Self {
        Self::start("token = { env = \"API_TOKEN\" }", jobs)
    }

    pub fn at(listen: &str, server: &str, jobs: &str) -> Self {
        let home = Home::new(&format!("[server]\nlisten = \"{listen}\"\n{server}\n{jobs}"));
        let mut command = home.command();
        command.env("API_TOKEN", TOKEN);
        let daemon = Daemon::of(command);
        let address = daemon.wait_for_address();
        let client = Client::builder().no_proxy().timeout(PATIENCE).build().expect("a client");
        Self { home, daemon, address, client }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    pub fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().expect("an answer")
    }

    /// The JSON at `path`, which is there.
    pub fn json(&self, path: &str) -> Value {
        let answer = self.get(path);
        let (status, text) = (answer.status(), answer.text().expect("text"));
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// The problem that asking for `path` is: its status and detail.
    pub fn problem(&self, method: Method, path: &str) -> (u16, String) {
        problem(self.request(method, path).send().expect("an answer"))
    }

    /// A bare connection.
    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a limit");
        stream
    }

    /// What comes back to `bytes` until the server closes the connection.
    pub fn raw(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect();
        // The server may close before it has read all.
        let _ = stream.write_all(bytes.as_ref());
        rest(&mut stream)
    }
}

/// What comes until the other side closes or breaks the connection.
pub fn rest(stream: &mut TcpStream) -> String {
    let (mut text, mut bytes) = (Vec::new(), [0; 4096]);
    while let Ok(count) = stream.read(&mut bytes) {
        if count == 0 {
            break;
        }
        text.extend_from_slice(&bytes[..count]);
    }
    String::from_utf8_lossy(&text).into_owned()
}

/// Reads from `stream` until `wanted` has come, and answers all that came.
pub fn read_until(stream: &mut TcpStream, wanted: &str) -> String {
    let (mut text, mut byte) = (Vec::new(), [0]);
    while stream.read(&mut byte).is_ok_and(|count| count > 0) {
        text.push(byte[0]);
        if text.ends_with(wanted.as_bytes()) {
            return String::from_utf8_lossy(&text).into_owned();
        }
    }
    panic!("{wanted:?} did not come: {}", String::from_utf8_lossy(&text));
}

/// The JSON of an answer.
pub fn parsed(answer: Response) -> Value {
    serde_json::from_str(&answer.text().expect("text")).expect("JSON")
}

/// The status and detail of a problem, which is one by all rules.
pub fn problem(answer: Response) -> (u16, String) {
    let status = answer.status().as_u16();
    assert_eq!(answer.headers()["content-type"], "application/problem+json");
    let body = parsed(answer);
    assert_eq!((&body["status"], &body["type"]), (&Value::from(status), &Value::from("about:blank")), "{body}");
    assert!(body["title"].is_string(), "{body}");
    (status, body["detail"].as_str().expect("a detail").to_owned())
}
