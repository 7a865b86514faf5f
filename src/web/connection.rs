//! What the connection of a client may take. The library has times for the head of the first request and for the silence
//! after an answer; it has none for further heads, for bodies, nor for answers that are read a byte now and then. With
//! those, as many clients as there may be connections would take the API away from everybody else.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::time::Duration;

use actix_web::dev::Extensions;
use actix_web::rt::net::TcpStream;
use actix_web::rt::task::JoinHandle;
use rustix::net::sockopt::{set_socket_keepalive, set_tcp_user_timeout};
use rustix::net::{Shutdown, shutdown};

/// From a request to the next one on the same connection. In that time the rest of the first and the head of the next have
/// to come, and the answer has to be read: the largest at 140 KiB a second.
const LONGEST_EXCHANGE: Duration = Duration::from_mins(2);
/// How long a client that was refused may go on sending. Closed at once, its connection would take the answer along.
const AFTER_REFUSAL: Duration = Duration::from_secs(1);
/// How long a client may leave what was sent to it lying, or be gone without a word.
const UNREAD: Duration = Duration::from_secs(30);

/// A connection that ends unless its client gets on in time.
pub struct Connection {
    socket: Rc<OwnedFd>,
    limit: Duration,
    is_refused: Cell<bool>,
    end: RefCell<Option<JoinHandle<()>>>,
}

impl Connection {
    /// Watches over `socket`, which is closed unless there is an exchange within each `limit`.
    fn new(socket: impl AsFd, limit: Duration) -> io::Result<Self> {
        let socket = Rc::new(socket.as_fd().try_clone_to_owned()?);
        let connection = Self { socket, limit, is_refused: Cell::default(), end: RefCell::default() };
        connection.exchange();
        Ok(connection)
    }

    /// A request is there, or an answer without end is over: the next request has to come in time.
    pub fn exchange(&self) {
        if !self.is_refused() {
            self.end_after(self.limit);
        }
    }

    /// A request is refused, and the connection ends with that. The library ends it when there is nothing more to read; a
    /// body without end it would read to no end, and answer the request behind it.
    pub fn refuse(&self) {
        self.is_refused.set(true);
        self.end_after(AFTER_REFUSAL);
    }

    /// Whether a request was refused: what follows it is not answered.
    pub fn is_refused(&self) -> bool {
        self.is_refused.get()
    }

    /// Waits until a refused client has had its time, and closes the connection.
    pub async fn close(&self) {
        tokio::time::sleep(AFTER_REFUSAL).await;
        // Nothing is lost when that fails: it is closed already.
        let _ = shutdown(&*self.socket, Shutdown::Both);
    }

    fn end_after(&self, limit: Duration) {
        self.forget_time();
        let socket = Rc::downgrade(&self.socket);
        let end = actix_web::rt::spawn(async move {
            tokio::time::sleep(limit).await;
            // The library sees it at once, and lets its own half go.
            let closed = socket.upgrade().map(|socket| shutdown(&*socket, Shutdown::Both));
            tracing::debug!(?closed, "a client did not get on, its connection is closed");
        });
        self.end.replace(Some(end));
    }

    /// An answer without end begins.
    pub fn forget_time(&self) {
        if let Some(end) = self.end.take() {
            end.abort();
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.forget_time();
    }
}

/// A client is there. Requests find their [`Connection`] in the connection's data.
pub fn opened(stream: &dyn Any, data: &mut Extensions) {
    let Some(stream) = stream.downcast_ref::<TcpStream>() else { return };
    if let Err(error) = limit_silence(stream) {
        tracing::debug!(%error, "a connection has no limit for what lies unread");
    }
    match Connection::new(stream, LONGEST_EXCHANGE) {
        Ok(connection) => drop(data.insert(Rc::new(connection))),
        Err(error) => {
            tracing::debug!(%error, "a connection cannot be watched over and is closed");
            // Nothing is lost when that fails: it is closed already.
            let _ = shutdown(stream, Shutdown::Both);
        }
    }
}

/// A client that is gone, or reads nothing of what it asked for, loses its connection: the system sees that, also while
/// nothing here looks at the connection (RFC 5482).
fn limit_silence(stream: &TcpStream) -> io::Result<()> {
    set_tcp_user_timeout(stream, u32::try_from(UNREAD.as_millis()).unwrap_or(u32::MAX))?;
    Ok(set_socket_keepalive(stream, true)?)
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::time::Instant;

    use super::*;

    /// Both ends of a connection.
    fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        client.set_read_timeout(Some(Duration::from_mins(1))).expect("a limit");
        (client, listener.accept().expect("a client").0)
    }

    /// Waits until the other side closes the connection.
    async fn end(mut client: TcpStream) {
        let read = actix_web::rt::task::spawn_blocking(move || client.read(&mut [0]));
        assert!(matches!(read.await.expect("a thread"), Ok(0)));
    }

    fn is_open(client: &TcpStream) -> bool {
        client.set_nonblocking(true).expect("set");
        let read = client.peek(&mut [0]);
        client.set_nonblocking(false).expect("set");
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }

    #[actix_web::test]
    async fn a_connection_lasts_as_long_as_requests_come_and_is_closed_then_whoever_still_holds_it() {
        let ((client, server), limit) = (pair(), Duration::from_millis(100));
        let connection = Connection::new(&server, limit).expect("watched over");
        let begun = Instant::now();
        while begun.elapsed() < limit * 3 {
            connection.exchange();
            actix_web::rt::task::yield_now().await;
        }
        assert!(is_open(&client));
        end(client).await;
        assert!(begun.elapsed() >= limit * 3, "{:?}", begun.elapsed());
        drop((connection, server));
    }

    #[actix_web::test]
    async fn an_answer_without_end_is_not_cut_and_what_follows_it_is() {
        let ((client, server), (other, other_server)) = (pair(), pair());
        let limit = Duration::from_millis(50);
        let connection = Connection::new(&server, limit).expect("watched over");
        connection.forget_time();
        let shorter = Connection::new(&other_server, limit).expect("watched over");
        end(other).await;
        assert!(is_open(&client));
        connection.exchange();
        end(client).await;
        drop((connection, shorter));
    }

    #[actix_web::test]
    async fn a_connection_that_the_library_lets_go_is_closed_at_once() {
        let (client, server) = pair();
        let connection = Connection::new(&server, Duration::from_hours(1)).expect("watched over");
        drop((connection, server));
        end(client).await;
    }
}
