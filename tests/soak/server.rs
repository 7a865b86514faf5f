//! The test's own server, and what it keeps of each answer: whom it was for, in which round, when, and how it was
//! meant.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Builder;

/// What an answer is to be taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meant {
    Document,
    /// The outcome that it should be given.
    Failure(&'static str),
}

/// One answer.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    pub endpoint: u32,
    /// The round's due, in seconds since the epoch, by the daemon's clock.
    pub due: i64,
    /// By the server's clock.
    pub at: SystemTime,
    pub meant: Meant,
}

/// Everything that was sent; an answer's sequence number is its place here.
#[derive(Default)]
pub struct Ledger {
    sent: Mutex<Vec<Sent>>,
    seed: u64,
}

impl Ledger {
    pub fn sent(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The document of an answer, to the byte. Its nonce cannot be had but from here.
    pub fn document(&self, sequence: usize, sent: &Sent) -> String {
        let nonce = fastrand::Rng::with_seed(self.seed ^ (sequence as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).u64(..);
        let (endpoint, due) = (sent.endpoint, sent.due);
        format!("{{\"endpoint\":{endpoint},\"due\":{due},\"sequence\":{sequence},\"nonce\":\"{nonce:016x}\"}}")
    }

    /// Notes an answer before it is sent.
    fn note(&self, endpoint: u32, due: i64, plan: Plan) -> (usize, Sent) {
        let sent = Sent { endpoint, due, at: SystemTime::now(), meant: plan.meant() };
        let mut all = self.sent();
        all.push(sent);
        (all.len() - 1, sent)
    }
}

/// How an endpoint is answered this time.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Document,
    Late,
    Error,
    Page,
    Cut,
    Close,
    Hang,
}

impl Plan {
    /// One answer in ten is not as it should be.
    fn any() -> Self {
        match fastrand::u32(0..100) {
            0..2 => Self::Error,
            2..4 => Self::Page,
            4..6 => Self::Cut,
            6..8 => Self::Close,
            8 => Self::Hang,
            9..14 => Self::Late,
            _ => Self::Document,
        }
    }

    fn meant(self) -> Meant {
        match self {
            Self::Document | Self::Late => Meant::Document,
            Self::Error => Meant::Failure("http_status"),
            Self::Page => Meant::Failure("not_json"),
            Self::Cut => Meant::Failure("truncated"),
            Self::Close => Meant::Failure("reset"),
            Self::Hang => Meant::Failure("timeout"),
        }
    }
}

/// Serves until the process ends, and answers the address and the ledger.
pub fn serve(seed: u64) -> io::Result<(SocketAddr, Arc<Ledger>)> {
    let runtime = Builder::new_current_thread().enable_io().enable_time().build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let ledger = Arc::new(Ledger { seed, ..Ledger::default() });
    let kept = Arc::clone(&ledger);
    thread::Builder::new().name("ledger".to_owned()).spawn(move || {
        fastrand::seed(seed);
        runtime.block_on(async {
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        tokio::spawn(converse(stream, Arc::clone(&kept)));
                    }
                    Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        });
    })?;
    Ok((address, ledger))
}

/// Answers the requests of a connection until it is not to be used any more.
async fn converse(mut stream: TcpStream, ledger: Arc<Ledger>) {
    while let Some((endpoint, due)) = request(&mut stream).await {
        let plan = Plan::any();
        let (sequence, sent) = ledger.note(endpoint, due, plan);
        let document = ledger.document(sequence, &sent);
        let whole = |status, body: &str| {
            format!(
                "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
        };
        let (answer, stays) = match plan {
            Plan::Document => (whole("200 OK", &document), true),
            Plan::Late => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                (whole("200 OK", &document), true)
            }
            Plan::Error => (whole("500 Oops", &document), true),
            Plan::Page => (whole("200 OK", &format!("<html>{document}")), true),
            Plan::Cut => (whole("200 OK", &document)[..100].to_owned(), false),
            Plan::Close => (String::new(), false),
            Plan::Hang => {
                tokio::time::sleep(Duration::from_secs(2)).await;
                (String::new(), false)
            }
        };
        if stream.write_all(answer.as_bytes()).await.is_err() || !stays {
            return;
        }
    }
}

/// The endpoint and the due of the next request, `/e17?due=1795507200`; `None` at the end.
async fn request(stream: &mut TcpStream) -> Option<(u32, i64)> {
    let (mut head, mut part) = (Vec::new(), [0; 2048]);
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut part).await.ok().filter(|&count| count > 0)?;
        head.extend_from_slice(&part[..count]);
    }
    let head = String::from_utf8(head).ok()?;
    let path = head.strip_prefix("GET /e")?.split(' ').next()?;
    let (endpoint, due) = path.split_once("?due=")?;
    Some((endpoint.parse().ok()?, due.parse().ok()?))
}
