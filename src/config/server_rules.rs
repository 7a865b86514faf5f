//! The rules of `[server]`: where the HTTP API listens, what callers show, which names it is called by.

use std::net::{Ipv4Addr, SocketAddr};

use super::file::ServerKeys;
use super::rules::Rules;
use super::section::{Located, Place};
use super::settings::{Listen, Server};

/// Where it listens when nothing else is said.
const DEFAULT: (Ipv4Addr, u16) = (Ipv4Addr::LOCALHOST, 8787);

impl Rules<'_, '_> {
    pub(super) fn server(&self, keys: ServerKeys) -> Server {
        let token = keys.token.map(|token| token.value);
        let listen = match keys.listen {
            None => Listen::Default(DEFAULT.into()),
            Some(Located { value: None, .. }) => Listen::Off,
            Some(Located { value: Some(text), place }) => self.listen(&text, &place, token.is_some()),
        };
        Server { listen, token, hosts: self.hosts(keys.hosts) }
    }

    fn listen(&self, text: &str, place: &Place, has_token: bool) -> Listen {
        let Ok(listen) = text.parse::<SocketAddr>() else {
            let example = "such as \"127.0.0.1:8787\"; `false` turns the API off";
            self.text.mistake(place, format!("{text:?} is not an address with a port, {example}"));
            return Listen::Default(DEFAULT.into());
        };
        if !listen.ip().is_loopback() && !has_token {
            self.text.mistake(place, "elsewhere than on loopback a `token` is required beside `listen`");
        }
        Listen::At(listen)
    }

    /// Names as they stand in a `Host` header, in lower case, without a dot at the end and the port, which may be any.
    fn hosts(&self, keys: Option<Located<Vec<String>>>) -> Vec<String> {
        let Some(Located { value, place }) = keys else { return Vec::new() };
        for host in value.iter().filter(|host| !is_host(host)) {
            self.text.mistake(
                &place,
                format!("{host:?} is not the name or address of a host, without scheme, port and *, such as \"gatherd.example.com\""),
            );
        }
        value.into_iter().map(|host| host.trim_end_matches('.').to_ascii_lowercase()).collect()
    }
}

/// Names are compared as they stand: a pattern would match nothing.
fn is_host(host: &str) -> bool {
    let authority = host.parse::<http::uri::Authority>();
    authority.is_ok_and(|authority| authority.host() == host && authority.port().is_none()) && !host.contains('*')
}
