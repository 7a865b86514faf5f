//! `gatherd health`: asks the daemon that runs here whether it stores rounds. The probe of a container or a monitor, which
//! needs neither a shell nor another program.

use std::io::{self, ErrorKind, Read, Write, stdout};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use super::exit::{CONFIG, DOWN, Failure, NO, usage};
use crate::config::{Listen, Settings};

/// A daemon that does not answer for so long is one that does not work.
const PATIENCE: Duration = Duration::from_secs(2);
/// More than any answer of ours has.
const LONGEST_ANSWER: u64 = 64 * 1024;
/// More headers than any answer of ours has.
const MOST_HEADERS: usize = 64;

/// `gatherd health`.
#[derive(Debug, clap::Args)]
pub struct HealthArgs {
    /// Where its HTTP API is [default: where the config says that it listens]
    #[arg(long, value_name = "http://ADDRESS:PORT")]
    pub url: Option<Url>,
    /// The config of the daemon
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with = "url")]
    pub config: PathBuf,
}

/// What a server answered.
struct Answer {
    status: u16,
    body: Vec<u8>,
}

pub fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let url = match &args.url {
        Some(url) => url.clone(),
        None => url_of(&Settings::load(&args.config)?.server.listen)?,
    };
    if url.scheme() != "http" {
        return Err(usage(format!("{url} is not plain HTTP, which is what gatherd speaks: http://ADDRESS:PORT")));
    }
    let shown = url.to_string();
    let answer = ask(url).map_err(|error| down(format!("nobody answers at {shown}: {error}")))?;
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    match (answer.status, document["status"].as_str(), document["detail"].as_str()) {
        (200, Some("ok"), _) => {
            writeln!(stdout(), "ready")?;
            Ok(ExitCode::SUCCESS)
        }
        (503, _, Some(why)) => Err(Failure { message: format!("not ready: {why}"), code: NO }.into()),
        (status, _, Some(why)) => Err(down(format!("{shown} answers {status}: {why}"))),
        (status, ..) => Err(down(format!("what answers {status} at {shown} is not gatherd"))),
    }
}

fn down(message: String) -> anyhow::Error {
    Failure { message, code: DOWN }.into()
}

/// Where a daemon is asked that listens so: one that does so on all addresses, on loopback.
fn url_of(listen: &Listen) -> anyhow::Result<Url> {
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

/// The answer to GET `/readyz` below `url`, within [`PATIENCE`] from the lookup of its name to the last byte.
fn ask(url: Url) -> io::Result<Answer> {
    let (sender, answer) = channel();
    // Where the name is never resolved or a byte comes each second, nobody waits for this thread.
    thread::Builder::new().spawn(move || sender.send(exchange(&url)))?;
    let late = |_| io::Error::new(ErrorKind::TimedOut, format!("no answer within {} s", PATIENCE.as_secs()));
    answer.recv_timeout(PATIENCE).map_err(late)?
}

/// One exchange in HTTP/1.0, which ends with the connection and has no chunks (RFC 1945).
fn exchange(url: &Url) -> io::Result<Answer> {
    let addresses = url.socket_addrs(|| None)?;
    let mut connection = TcpStream::connect(&*addresses)?;
    let path = url.path().trim_end_matches('/');
    let host = &url[url::Position::BeforeHost..url::Position::AfterPort];
    write!(connection, "GET {path}/readyz HTTP/1.0\r\nHost: {host}\r\nAccept: application/json\r\n\r\n")?;
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
    fn a_daemon_without_a_known_address_cannot_be_asked() {
        assert!(url_of(&Listen::Off).is_err());
        assert!(url_of(&Listen::At("127.0.0.1:0".parse().expect("an address"))).is_err());
    }
}
