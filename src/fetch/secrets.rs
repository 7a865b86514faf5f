//! What is secret in the parts of a request and of a token endpoint's answer, going by the names that stand there.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use percent_encoding::percent_decode_str;
use reqwest::Url;

use super::json::MAX_DEPTH;
use crate::config::names_a_secret;
use crate::model::{elements, members};

/// The shortest part of a header, or name in a URL, that is a secret by itself, in bytes: words of syntax are shorter.
pub const SHORTEST_PART: usize = 8;
/// The shortest number that is a secret, in digits: shorter ones, as in `max_tokens`, stand in many texts by chance.
const SHORTEST_NUMBER: usize = 6;

/// The values of parameters that are named like a secret.
pub fn secret_parameters(url: &Url) -> impl Iterator<Item = String> {
    url.query_pairs().filter(|(name, _)| names_a_secret(name)).map(|(_, value)| value.into_owned())
}

/// What may stand before credentials in an `Authorization` header, and is none: schemes of the registry (RFC 9110, section
/// 16.4.1), and those that APIs have made up.
const SCHEMES: [&str; 18] = [
    "api-key",
    "apikey",
    "aws4-hmac-sha256",
    "basic",
    "bearer",
    "bot",
    "digest",
    "dpop",
    "geniekey",
    "hawk",
    "hmac",
    "jwt",
    "key",
    "negotiate",
    "ntlm",
    "oauth",
    "ssws",
    "token",
];

/// The scheme that credentials begin with, and what stands behind it.
pub fn scheme(value: &str) -> Option<(&str, &str)> {
    value.split_once(' ').filter(|(scheme, _)| SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known)))
}

/// What of the value of a secret header is to be hidden: all of it, what stands behind a scheme, and each longer part,
/// as of a list, of cookies, or of JSON; also as it is decoded.
pub fn header_secrets(value: &str, secrets: &mut Vec<String>) {
    let found = scheme(value);
    let credentials = found.map_or(value, |(_, credentials)| credentials);
    let parts = credentials.split([',', ';', ' ']).flat_map(|part| [Some(part), part.split_once('=').map(|it| it.1)]);
    for part in parts.flatten().map(|part| part.trim_matches('"')).filter(|part| part.len() >= SHORTEST_PART) {
        secrets.push(part.to_owned());
        secrets.extend(percent_decode_str(part).decode_utf8().ok().filter(|it| it != part).map(Cow::into_owned));
    }
    if found.is_some_and(|(scheme, _)| scheme.eq_ignore_ascii_case("basic"))
        && let Ok(pair) = BASE64_STANDARD.decode(credentials.trim())
        && let Ok(pair) = String::from_utf8(pair)
    {
        // Some APIs take a key as the user's name, and no password.
        let secret =
            |(user, password): (&str, &str)| if password.is_empty() { user.to_owned() } else { password.to_owned() };
        secrets.extend(pair.split_once(':').map(secret));
        secrets.push(pair);
    }
    json_secrets(value, true, secrets);
    // Behind a scheme that is not known as well.
    secrets.extend(value.split_once(' ').map(|(_, behind)| behind.to_owned()));
    secrets.push(value.to_owned());
}

/// The texts and longer numbers of `json` in members that are named like a secret, at any depth; all of them, if `json`
/// itself is `named` so.
pub fn json_secrets(json: &str, named: bool, secrets: &mut Vec<String>) {
    let mut left = vec![(json.trim_ascii(), named, 0)];
    while let Some((text, named, depth)) = left.pop() {
        match text.as_bytes().first() {
            // What is deeper is no document of ours.
            Some(b'{' | b'[') if depth == MAX_DEPTH => {}
            Some(b'{') => {
                let members = members(text).into_iter().flatten();
                left.extend(members.map(|(name, value)| (value, named || names_a_secret(&name), depth + 1)));
            }
            Some(b'[') => left.extend(elements(text).into_iter().flatten().map(|element| (element, named, depth + 1))),
            Some(b'"') if named => secrets.extend(serde_json::from_str::<String>(text)),
            Some(b'0'..=b'9' | b'-') if named && text.len() >= SHORTEST_NUMBER => secrets.push(text.to_owned()),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_json_are_texts_and_longer_numbers_also_in_lists() {
        let mut secrets = Vec::new();
        let json = r#"{"api_keys": ["first\u002fkey", {"value": 12345678901234567890.10}, true, null], "pin": 123456,
            "auth": {"password": 987654321, "max_tokens": 4096}, "list": [{"token": -1234567}], "name": "shown"}"#;
        json_secrets(json, false, &mut secrets);
        secrets.sort();
        assert_eq!(secrets, ["-1234567", "12345678901234567890.10", "987654321", "first/key"]);
    }

    #[test]
    fn secrets_in_a_header_are_all_of_it_and_its_longer_parts() {
        let of = |value| {
            let mut secrets = Vec::new();
            header_secrets(value, &mut secrets);
            secrets
        };
        let holds = |value, secret: &str| of(value).iter().any(|found| found == secret);
        assert!(holds("Bearer s3cret", "s3cret") && holds("Bearer s3cret", "Bearer s3cret"));
        assert!(!holds("Bearer s3cret", "Bearer"));
        assert!(holds("lang=de; session=0123456789", "0123456789") && !holds("lang=de; session=0123456789", "de"));
        assert!(holds("first-key, other-key", "other-key") && holds("first-key other-key", "first-key"));
        assert!(holds("apikey=first-word, app=1", "first-word") && holds("Made-Up s3cret", "s3cret"));
        assert!(holds("Basic bWU6czNjcmV0", "s3cret") && holds("Basic bWU6czNjcmV0", "me:s3cret"));
        assert!(holds("Basic czNjcmV0LWtleTo=", "s3cret-key"));
        assert!(holds("session=a%2Fb%3D-c%3D%3D", "a/b=-c=="));
        assert!(holds(r#"{"keys": ["s3cret", 123456]}"#, "s3cret") && holds(r#"{"keys": [123456]}"#, "123456"));
    }
}
