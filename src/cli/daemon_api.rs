//! Asking the daemon that runs here over its HTTP API.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use url::Url;

use super::exit::{CONFIG, Failure, usage};
use crate::config::{Listen, Secret};

/// As much as any answer of ours may have.
const LONGEST_ANSWER: u64 = 16 * 1024 * 1024;
/// More headers than any answer of ours has.
const MOST_HEADERS: usize = 64;

/// What a server answered.
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
}

/// Refuses a URL that is not of plain HTTP, or has more in it than where the API is: it is shown in messages, and what is a
/// secret in it would be as well.
pub fn plain_http(url: &Url) -> anyhow::Result<()> {
    if url.scheme() != "http" {
        let scheme = url.scheme();
        return Err(usage(format!(
            "--url: {scheme}: is not plain HTTP, which is what gatherd speaks: http://ADDRESS:PORT"
        )));
    }
    let has_user = !url.username().is_empty() || url.password().is_some();
    if has_user || url.query().is_some() || url.fragment().is_some() {
        let message = "--url: write it as http://ADDRESS:PORT, without a user, a password or parameters; what takes a token \
                       has --token-env and --token-file";
        return Err(usage(message));
    }
    Ok(())
}

/// Where a daemon is asked that listens so: one that does so on all addresses, on loopback.
pub fn url_of(listen: &Listen) -> anyhow::Result<Url> {
    let refuse = |message: &str| anyhow::Error::from(Failure { message: message.to_owned(), code: CONFIG });
    let (Listen::Default(address) | Listen::At(address)) = *listen else {
        return Err(refuse("the config turns the HTTP API off (listen = false), so nobody can be asked"));
    };
    if address.port() == 0 {
        return Err(refuse("the config leaves the port to the system (port 0): say where it is by --url"));
    }
    let address = match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
        other => other,
    };
    Ok(Url::parse(&format!("http://{address}"))?)
}

/// The answer to GET `path` below `url`, within `patience` from the lookup of its name to the last byte.
pub fn ask(url: &Url, path: &'static str, token: Option<&Secret>, patience: Duration) -> io::Result<Answer> {
    let (sender, answer) = channel();
    let (url, token) = (url.clone(), token.cloned());
    // Where the name is never resolved or a byte comes each second, nobody waits for this thread.
    thread::Builder::new().spawn(move || sender.send(exchange(&url, path, token.as_ref())))?;
    let late = |_| io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", patience.as_secs_f64()));
    answer.recv_timeout(patience).map_err(late)?
}

/// One exchange in HTTP/1.0, which ends with the connection and has no chunks (RFC 1945).
fn exchange(url: &Url, path: &str, token: Option<&Secret>) -> io::Result<Answer> {
    let addresses = url.socket_addrs(|| None)?;
    let mut connection = TcpStream::connect(&*addresses)?;
    let base = url.path().trim_end_matches('/');
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let token = token.map(|token| format!("Authorization: Bearer {}\r\n", token.expose())).unwrap_or_default();
    let head = format!("GET {base}{path} HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n{token}\r\n");
    connection.write_all(head.as_bytes())?;
    let mut bytes = Vec::new();
    connection.take(LONGEST_ANSWER).read_to_end(&mut bytes)?;
    parse(&bytes).ok_or_else(|| io::Error::new(ErrorKind::InvalidData, "the answer is not HTTP"))
}

fn parse(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = response.parse(bytes).ok()? else { return None };
    Some(Answer { status: response.code?, body: bytes[head..].to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(listen: &str) -> String {
        url_of(&Listen::At(listen.parse().expect("an address"))).expect("a URL").to_string()
    }

    #[test]
    fn a_daemon_that_listens_everywhere_is_asked_on_loopback() {
        assert_eq!(url("0.0.0.0:8787"), "http://127.0.0.1:8787/");
        assert_eq!(url("[::]:8787"), "http://[::1]:8787/");
        assert_eq!(url("192.0.2.7:80"), "http://192.0.2.7/");
    }

    #[test]
    fn a_secret_in_a_url_is_refused_and_not_repeated() {
        for wrong in
            ["http://me:s3cret@127.0.0.1:8787", "http://127.0.0.1/?token=s3cret", "https://me:s3cret@127.0.0.1/"]
        {
            let refused = plain_http(&Url::parse(wrong).expect("a URL")).expect_err("refused").to_string();
            assert!(!refused.contains("s3cret"), "{refused}");
        }
        assert!(plain_http(&Url::parse("http://127.0.0.1:8787/behind/a/proxy").expect("a URL")).is_ok());
    }

    #[test]
    fn a_daemon_without_a_known_address_cannot_be_asked() {
        assert!(url_of(&Listen::Off).is_err());
        assert!(url_of(&Listen::At("127.0.0.1:0".parse().expect("an address"))).is_err());
    }
}
