//! A server that says exactly what a test wants, byte by byte.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
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
pub fn answer(status: &str, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// The URL of a server that does with each connection, by its number, what `serve` says, on a thread of its own.
pub fn connections(serve: impl Fn(usize, TcpStream) + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for (number, stream) in listener.incoming().map_while(Result::ok).enumerate() {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(number, stream));
        }
    });
    format!("http://{address}/")
}

/// Reads the head of a request, or what comes of it.
pub fn head(stream: &mut impl Read) -> String {
    let (mut bytes, mut byte) = (Vec::new(), [0]);
    while !bytes.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|count| count > 0) {
        bytes.push(byte[0]);
    }
    String::from_utf8(bytes).expect("text")
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
    let head = head(stream);
    let names = head.to_ascii_lowercase();
    let length = names.lines().find_map(|line| line.strip_prefix("content-length:")).map_or("0", str::trim);
    let mut body = vec![0; length.parse().expect("a length")];
    let _ = stream.read_exact(&mut body);
    head + std::str::from_utf8(&body).expect("text")
}
