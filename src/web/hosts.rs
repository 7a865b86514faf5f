//! Which `Host` headers are ours. A page of another site can make a browser resolve its own name to this machine (DNS
//! rebinding); the name in the header is then the other site's.

use std::net::{IpAddr, SocketAddr};

use actix_web::http::uri::Authority;

/// The names and addresses by which this server may be called.
#[derive(Clone, Debug)]
pub struct Hosts {
    listen: IpAddr,
    names: Vec<String>,
}

impl Hosts {
    /// Those of a server that listens at `listen`, and `names`, which are in lower case.
    #[must_use]
    pub fn new(listen: SocketAddr, names: Vec<String>) -> Self {
        Self { listen: listen.ip(), names }
    }

    /// Whether a `Host` header or the authority of a request target is ours. The port may be any: a tunnel changes it.
    #[must_use]
    pub fn has(&self, host: &str) -> bool {
        let Ok(authority) = host.parse::<Authority>() else { return false };
        if host.contains('@') {
            return false;
        }
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        if self.names.contains(&name) {
            return true;
        }
        // No name resolves to a literal address, so one is never somebody else's.
        if let Ok(ip) = name.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>() {
            return self.listen.is_unspecified()
                || ip == self.listen
                || (ip.is_loopback() && self.listen.is_loopback());
        }
        name == "localhost" && (self.listen.is_loopback() || self.listen.is_unspecified())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts(listen: &str) -> Hosts {
        Hosts::new(listen.parse().expect("an address"), vec!["gatherd.example.com".to_owned()])
    }

    #[test]
    fn on_loopback_it_is_called_localhost_its_address_or_what_the_config_says() {
        let hosts = hosts("127.0.0.1:8787");
        for ours in [
            "127.0.0.1:8787",
            "localhost:8787",
            "LocalHost",
            "localhost.",
            "localhost:9999",
            "[::1]:8787",
            "127.0.0.1",
            "gatherd.example.com",
            "Gatherd.Example.com:443",
        ] {
            assert!(hosts.has(ours), "{ours}");
        }
        for theirs in [
            "evil.example",
            "evil.example:8787",
            "localhost.evil.example",
            "192.168.0.7:8787",
            "",
            " ",
            "a@localhost",
            "localhost@evil.example",
            "[::1",
            "http://localhost",
            "localhost/x",
            "gatherd.example.com.evil.example",
        ] {
            assert!(!hosts.has(theirs), "{theirs}");
        }
    }

    #[test]
    fn on_every_address_any_literal_one_is_ours_and_no_foreign_name() {
        let hosts = hosts("0.0.0.0:8787");
        assert!(hosts.has("192.168.0.7:8787") && hosts.has("localhost") && hosts.has("[fe80::1]:8787"));
        assert!(!hosts.has("evil.example"));
    }
}
