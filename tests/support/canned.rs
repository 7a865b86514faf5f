//! A server that says exactly what a test wants, byte by byte.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

/// Answers each request with the bytes that the test makes of it, and closes the connection.
pub struct Canned {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

/// A server that answers a request, which is given with its body, as `answer` says.
pub fn canned(answer: impl Fn(&str) -> Vec<u8> + Send + 'static) -> Canned {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let origin = format!("http://{}", listener.local_addr().expect("an address"));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    std::thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let request = request(&mut stream);
            let answer = answer(&request);
            seen.lock().expect("the requests").push(request);
            let _ = stream.write_all(&answer);
        }
    });
    Canned { origin, requests }
}

/// A server that answers every request with `answer`.
pub fn always(answer: impl Into<Vec<u8>>) -> Canned {
    let answer = answer.into();
    canned(move |_| answer.clone())
}

/// A whole answer: the status line's end, header lines and the body.
pub fn answer(status: &str, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len()).into()
}

impl Canned {
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.origin)
    }

    /// The requests so far, each with its body.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the requests").clone()
    }
}

fn request(stream: &mut impl Read) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        bytes.push(byte[0]);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
    let mut body = vec![0; length.parse().expect("a length")];
    let _ = stream.read_exact(&mut body);
    bytes.extend(body);
    String::from_utf8(bytes).expect("text")
}
