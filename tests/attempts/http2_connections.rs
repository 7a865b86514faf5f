//! HTTP/2 over several connections, and HTTP/1.1 in its place.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use gatherd::model::Outcome;
use gatherd::sample_api::SAMPLE_CA;
use h2::Reason;
use hyper::body::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;

use crate::http2::acceptor;
use crate::support::once::{round_by, slot, text};
use crate::support::write;

/// The port of a server that speaks one of these protocols, and does with each connection what `serve` says.
fn server<S>(protocols: &'static [&str], serve: impl Fn(TlsStream<TcpStream>) -> S + Send + 'static) -> u16
where
    S: Future<Output = ()> + Send + 'static,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        runtime.block_on(async {
            let acceptor = acceptor(protocols);
            while let Ok((stream, _)) = listener.accept().await {
                if let Ok(stream) = acceptor.accept(stream).await {
                    tokio::spawn(serve(stream));
                }
            }
        });
    });
    port
}

#[test]
fn more_requests_than_a_server_takes_over_one_connection_go_over_several() {
    const LIMIT: u32 = 100;
    const AT_ONCE: usize = 2 * LIMIT as usize + 50;
    // Nobody gets more than a head before all have asked.
    let (asked, all) = (Arc::new(AtomicUsize::new(0)), Arc::new(Semaphore::new(0)));
    let port = server(&["h2"], move |stream| {
        let (asked, all) = (Arc::clone(&asked), Arc::clone(&all));
        async move {
            let mut server = h2::server::Builder::new();
            let Ok(mut connection) = server.max_concurrent_streams(LIMIT).handshake::<_, Bytes>(stream).await else {
                return;
            };
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if asked.fetch_add(1, Ordering::Relaxed) + 1 == AT_ONCE {
                    all.add_permits(AT_ONCE);
                }
                let all = Arc::clone(&all);
                tokio::spawn(async move {
                    let Ok(mut body) = respond.send_response(http::Response::new(()), false) else { return };
                    let _ = all.acquire().await;
                    let _ = body.send_data("{}".into(), true);
                });
            }
        }
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = format!("ca_file = {:?}\nretries = 0\ntimeout = \"20s\"", write(folder.path(), "ca.pem", SAMPLE_CA));
    let urls: Vec<String> = (0..AT_ONCE).map(|number| format!("https://localhost:{port}/{number}")).collect();
    let slots = round_by(AT_ONCE, &format!("{keys}\nendpoints = {urls:?}"));
    let failed: Vec<_> = slots.iter().filter(|slot| slot.outcome != Outcome::Ok).collect();
    assert!(failed.is_empty(), "{} of {AT_ONCE}: {:?}", failed.len(), failed[0]);
}

#[test]
fn a_server_that_wants_http_1_gets_it_at_once_the_next_time() {
    let refused = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&refused);
    let port = server(&["h2", "http/1.1"], move |mut stream| {
        let refused = Arc::clone(&counted);
        async move {
            if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                let Ok(mut connection) = h2::server::handshake(stream).await else { return };
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    refused.fetch_add(1, Ordering::Relaxed);
                    respond.send_reset(Reason::HTTP_1_1_REQUIRED);
                }
                return;
            }
            let mut request = Vec::new();
            while stream.read_buf(&mut request).await.is_ok_and(|count| count > 0) {
                if request.ends_with(b"\r\n\r\n") {
                    let is_first = request.windows(4).any(|part| part == b" /1 ");
                    let body = if is_first { r#"{"next":"/2"}"# } else { "{}" };
                    let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                    let _ = stream.write_all(answer.as_bytes()).await;
                    request.clear();
                }
            }
            pending::<()>().await;
        }
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ca_file = write(folder.path(), "ca.pem", SAMPLE_CA);
    for method in ["GET", "POST"] {
        let keys = format!("ca_file = {ca_file:?}\nretries = 0\nmethod = {method:?}\npages = {{ url = \"/next\" }}");
        let slot = slot(&keys, &format!("https://localhost:{port}/1"));
        assert_eq!((slot.outcome, slot.attempts), (Outcome::Ok, 2), "{slot:?}");
        assert_eq!(text(&slot), r#"[{"next":"/2"},{}]"#);
    }
    assert_eq!(refused.load(Ordering::Relaxed), 2, "once in each round, which has clients of its own here");
}
