//! What connections go through: the proxy that a config names, or the environment's.

use std::env;

use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;

use super::client::ClientError;
use super::common::{is_here, is_tls};
use super::credentials::basic_secrets;
use super::redirect::blocked_literal;
use super::request::without_userinfo;
use crate::config::{Proxy, RequestSettings};

/// Where a proxy for servers without TLS, one for servers with TLS, and one for all of them are named; of each the first that
/// is set counts.
const HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
const HTTPS: [&str; 2] = ["HTTPS_PROXY", "https_proxy"];
const ALL: [&str; 2] = ["ALL_PROXY", "all_proxy"];
/// Where the hosts are named that are asked directly.
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// What `url` is asked through where the settings say `proxy`. The environment's proxies are for the world outside: what
/// listens on this machine is asked directly.
pub fn way_to(url: &Url, proxy: &Proxy) -> Proxy {
    match proxy {
        // The library takes the star for all names, but for no address.
        Proxy::Environment if is_here(url) || set(&NO_PROXY).is_some_and(|(_, no)| no.trim() == "*") => Proxy::None,
        proxy => proxy.clone(),
    }
}

/// The proxy that `url` is asked through, unless the environment says that it is not for this host.
///
/// # Errors
/// When the library would pass over what the environment names, and send the request and its credentials past the proxy; or
/// when it is an address that is never connected to.
pub fn on_the_way_to(url: &Url, proxy: &Proxy) -> Result<Option<Url>, ClientError> {
    let (named, found) = match way_to(url, proxy) {
        Proxy::None => return Ok(None),
        Proxy::Through(url) => ("proxy", url),
        // The library takes these variables for headers then, as a server that runs CGI scripts makes them.
        Proxy::Environment if env::var_os("REQUEST_METHOD").is_some() => return Ok(None),
        Proxy::Environment => {
            let own = if is_tls(url) { &HTTPS } else { &HTTP };
            let pair = if set(own).is_some_and(|(_, text)| !text.is_empty()) { own } else { &ALL };
            if let Some(hidden) = [own, pair].into_iter().find_map(hidden) {
                return Err(hidden);
            }
            let named = set(pair).filter(|(_, text)| !text.is_empty());
            let Some((name, text)) = named.filter(|_| !is_exempt(url)) else { return Ok(None) };
            let is_http = |url: &Url| matches!(url.scheme(), "http" | "https") && url.has_host();
            let usable = parsed(&text).filter(|url| is_http(url) && is_understood(&text));
            let why =
                "it is not the URL of an HTTP proxy, as http://host:port is; correct it, unset it, or set `proxy`";
            (name, usable.ok_or_else(|| ClientError::Proxy { named: name, why: why.to_owned() })?)
        }
    };
    match blocked_literal(&found, false) {
        Some(blocked) => Err(ClientError::Proxy { named, why: blocked.to_string() }),
        None => Ok(Some(found)),
    }
}

/// Why the proxy that `settings` name cannot be used, if so.
#[must_use]
pub fn wrong_proxy(settings: &RequestSettings) -> Option<ClientError> {
    let Proxy::Through(url) = &settings.proxy else { return None };
    on_the_way_to(url, &settings.proxy).err()
}

/// What proxies are told, and might show in a page of theirs.
pub fn secrets(proxy: &Proxy) -> Vec<String> {
    let all = match proxy {
        Proxy::None => Vec::new(),
        Proxy::Through(url) => vec![url.clone()],
        Proxy::Environment => {
            [HTTP, HTTPS, ALL].iter().flatten().filter_map(|name| parsed(&env::var(name).ok()?)).collect()
        }
    };
    let userinfo = all.iter().filter_map(|url| without_userinfo(url).1);
    userinfo.flat_map(|(user, password)| basic_secrets(&user, &password)).collect()
}

/// Whether the environment says that `url` is asked directly. By the library's own rules, so that both agree.
fn is_exempt(url: &Url) -> bool {
    let no_proxy = set(&NO_PROXY).map(|(_, no_proxy)| no_proxy).unwrap_or_default();
    let any = Matcher::builder().all("http://proxy.invalid").no(no_proxy).build();
    url.as_str().parse().is_ok_and(|uri| any.intercept(&uri).is_none())
}

/// Whether the library can go through a proxy that is written so; it understands less than is allowed in a URL.
fn is_understood(text: &str) -> bool {
    let uri = "http://api.invalid/".parse().ok();
    uri.is_some_and(|uri| Matcher::builder().all(text).build().intercept(&uri).is_some())
}

/// The mistake of a variable that would count if the one before it were not set, and empty: curl takes it, the library does
/// not, and nobody can tell what was meant.
fn hidden([first, second]: &[&'static str; 2]) -> Option<ClientError> {
    let is_hidden =
        env::var(first).is_ok_and(|text| text.is_empty()) && env::var(second).is_ok_and(|it| !it.is_empty());
    let why = || format!("{first} is set too, and empty: unset one of them");
    is_hidden.then(|| ClientError::Proxy { named: second, why: why() })
}

/// The first of these variables that is set, and its value.
fn set(names: &[&'static str]) -> Option<(&'static str, String)> {
    names.iter().find_map(|name| Some((*name, env::var(name).ok()?)))
}

/// A proxy as the environment names it, which may be without a scheme: `me:password@proxy.example:3128`.
fn parsed(text: &str) -> Option<Url> {
    if text.contains("://") { Url::parse(text).ok() } else { Url::parse(&format!("http://{text}")).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_a_proxy_is_known_with_and_without_a_scheme_before_it() {
        for text in ["http://me:s3cret%2F@proxy.example:3128", "me:s3cret%2F@proxy.example:3128"] {
            let userinfo = parsed(text).and_then(|url| without_userinfo(&url).1);
            assert_eq!(userinfo, Some(("me".to_owned(), "s3cret/".to_owned())), "{text}");
        }
    }

    #[test]
    fn a_proxy_at_an_address_that_is_never_connected_to_is_refused_however_it_is_spelt() {
        let api = Url::parse("https://api.example/").expect("a URL");
        for text in ["http://169.254.169.254:80", "http://2852039166", "http://[::ffff:169.254.169.254]:3128"] {
            let refused = on_the_way_to(&api, &Proxy::Through(Url::parse(text).expect("a URL")));
            assert!(refused.is_err_and(|error| error.to_string().contains("never connected to")), "{text}");
        }
        let private = Proxy::Through(Url::parse("http://10.0.0.1:3128").expect("a URL"));
        assert!(on_the_way_to(&api, &private).is_ok_and(|proxy| proxy.is_some()));
    }
}
