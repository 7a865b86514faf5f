//! What a server sends → an outcome. A server on a loopback socket answers with the bytes as they are; the first byte
//! says how its connection ends, the second how the attempt looks for a next page.

#![no_main]

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use gatherd::config::{Secret, Settings};
use gatherd::fetch::{Ask, Attempt, Clients, Request, attempt, json};
use gatherd::model::{Outcome, Phase};
use libfuzzer_sys::{Corpus, fuzz_target};
use percent_encoding::percent_decode_str;
use socket2::SockRef;

const TIMEOUT: Duration = Duration::from_millis(300);
/// The same where the server holds the connection, which costs all of it.
const TIMEOUT_HELD: Duration = Duration::from_millis(50);
/// What an attempt may take beyond its timeout.
const GRACE: Duration = Duration::from_secs(1);
const MAX_BODY: usize = 4096;
const TOKEN: &str = "s3cret/Token+1";

/// How an attempt asks beside the plain one.
const WAYS: [&str; 4] = [
    "pages = { link = true, max_pages = 2 }",
    "pages = { url = \"/next\", items = \"/data\", max_pages = 2 }",
    "pages = { cursor = \"/meta/cursor\", parameter = \"c\", items = \"/data\", max_pages = 2 }",
    "pages = { counter = \"page\", items = \"\", max_pages = 2 }",
];

/// The answer, and how its connection ends.
static ANSWER: Mutex<(Vec<u8>, Ending)> = Mutex::new((Vec::new(), Ending::Close));

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Close,
    Reset,
    /// It stays open until the client has had enough.
    Hold,
}

/// Requests at the server: the plain one, and one for each way to look for pages.
static REQUESTS: LazyLock<(Request, Vec<Request>)> = LazyLock::new(|| {
    let server = serve();
    let request = |keys: &str, clients: &mut Clients| {
        let text = format!(
            "[[job]]\nname = \"fuzz\"\nevery = \"1m\"\nendpoints = [\"http://{server}/figures?from=1\"]\n\
             timeout = \"300ms\"\nmax_body = \"{MAX_BODY}B\"\nproxy = \"none\"\n{keys}\n"
        );
        let settings = Settings::parse(Path::new("config.toml"), &text).expect("a valid config");
        Request::new(&settings.jobs[0].endpoints[0], Path::new("."), clients).expect("a request")
    };
    let token = Secret::new(TOKEN).expect("a token");
    let plain = request("conditional = true", &mut Clients::default());
    let mut clients = Clients::with_token(Some(&token));
    let with_pages = WAYS.map(|way| {
        let keys = format!("{way}\nredirects = 1\nerror_if = {{ pointer = \"/error\" }}");
        request(&keys, &mut clients)
    });
    (plain, with_pages.into())
});

fuzz_target!(|bytes: &[u8]| -> Corpus {
    let [ending, way, answer @ ..] = bytes else { return Corpus::Reject };
    let ending = match ending {
        b'R' => Ending::Reset,
        b'H' => Ending::Hold,
        _ => Ending::Close,
    };
    *ANSWER.lock().unwrap_or_else(PoisonError::into_inner) = (answer.to_vec(), ending);
    let (plain, with_pages) = &*REQUESTS;
    let timeout = if ending == Ending::Hold { TIMEOUT_HELD } else { TIMEOUT };
    check(plain, Ask::once(timeout));
    let request = &with_pages[usize::from(*way) % with_pages.len()];
    let first = check(request, Ask::once(timeout));
    if first.is_to_be_continued() {
        check(request, Ask { gathered: first.gathered, ..Ask::once(timeout) });
    }
    Corpus::Keep
});

fn check(request: &Request, ask: Ask) -> Attempt {
    let (began, timeout) = (Instant::now(), ask.timeout);
    let attempt = attempt(request, ask);
    let elapsed = began.elapsed();
    assert!(elapsed < timeout + GRACE, "took {elapsed:?}: {attempt:?}");
    let further = attempt.gathered.is_some() && attempt.outcome.is_ok();
    assert_eq!(attempt.body.is_some(), attempt.outcome.is_ok() && !further, "{attempt:?}");
    assert!(attempt.http_status.is_none_or(|status| (100..=999).contains(&status)), "{attempt:?}");
    assert!(attempt.retry_after.is_none_or(|pause| !pause.is_zero() && pause <= Duration::from_hours(1)));
    let detail = attempt.detail.as_ref().map_or("", |detail| detail.as_str());
    assert!(detail.len() <= 200, "{attempt:?}");
    without_token(detail, &attempt);
    if let Some(body) = &attempt.body {
        assert!(body.text().len() <= MAX_BODY + "[]".len(), "{attempt:?}");
        json::document(body.text().as_bytes()).expect("a body is a document");
    }
    if attempt.outcome.is_ok() {
        assert!(attempt.phases.is_none() && attempt.evidence.is_none(), "{attempt:?}");
    } else {
        failed(&attempt);
    }
    attempt
}

fn failed(attempt: &Attempt) {
    // No name is looked up, no handshake made, and nothing is short here.
    let impossible = [Outcome::Dns, Outcome::Tls, Outcome::BlockedAddress, Outcome::Resource, Outcome::Panic];
    assert!(!impossible.contains(&attempt.outcome), "{attempt:?}");
    assert!(attempt.detail.is_some(), "{attempt:?}");
    let phases = attempt.phases.as_ref().expect("a failure has phases");
    assert!(matches!(phases.reached, Phase::Connect | Phase::Headers | Phase::Body), "{attempt:?}");
    let evidence = attempt.evidence.as_ref().expect("a failure has evidence");
    without_token(&evidence.sent, attempt);
    if let Some(answer) = &evidence.answer {
        assert_eq!(Some(answer.status), attempt.http_status);
        assert!(answer.body.len() <= 2048, "{attempt:?}");
        assert!(answer.headers.len() <= 8 * 1024 + "…".len(), "{attempt:?}");
        if evidence.sent.contains("authorization: ") {
            without_token(&answer.headers, attempt);
            without_token(&answer.body, attempt);
        }
    }
}

/// The token is in `text` neither as it is nor percent-encoded.
fn without_token(text: &str, attempt: &Attempt) {
    let decoded = percent_decode_str(text).decode_utf8_lossy();
    for text in [text, decoded.as_ref()] {
        let text = text.to_ascii_lowercase();
        assert!(!text.contains(&TOKEN.to_ascii_lowercase()), "a token is shown: {attempt:?}");
    }
}

/// A server that answers each connection with [`ANSWER`].
fn serve() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let address = listener.local_addr().expect("an address");
    let accept = move || {
        for stream in listener.incoming().flatten() {
            // A connection that the client keeps in reserve must not keep others waiting.
            thread::spawn(move || answer(stream));
        }
    };
    thread::spawn(accept);
    address
}

/// Answers one request. The client may be gone at any time.
fn answer(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(TIMEOUT + GRACE));
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut buffer) {
            Ok(count @ 1..) => head.extend_from_slice(&buffer[..count]),
            Ok(0) | Err(_) => return,
        }
    }
    let (bytes, ending) = ANSWER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let _ = stream.write_all(&bytes);
    match ending {
        Ending::Close => {}
        // Closed without a wait for what was sent.
        Ending::Reset => drop(SockRef::from(&stream).set_linger(Some(Duration::ZERO))),
        Ending::Hold => while matches!(stream.read(&mut buffer), Ok(1..)) {},
    }
}
