//! A URL as it may be shown: in logs, tables, errors and the database.

use std::borrow::Cow;

use url::{Url, form_urlencoded};

/// Words that make a parameter's name the name of a secret, alone or as part of a compound.
const SECRET_WORDS: [&str; 30] = [
    "cookie",
    "cookies",
    "key",
    "keys",
    "token",
    "tokens",
    "secret",
    "password",
    "passwd",
    "passphrase",
    "pass",
    "pwd",
    "auth",
    "authorization",
    "sig",
    "signature",
    "access",
    "credential",
    "credentials",
    "jwt",
    "sid",
    "appid",
    "authentication",
    "bearer",
    "hmac",
    "otp",
    "psk",
    "csrf",
    "xsrf",
    "userpass",
];

/// No name of a secret is shorter, in bytes.
const SHORTEST_SECRET: usize = 3;

/// Endings that do the same where a compound is written without a break, as in `apikey`.
const SECRET_ENDINGS: [&str; 9] =
    ["key", "token", "secret", "password", "passwd", "signature", "credential", "sessionid", "sessid"];

/// Words that do so before `id`, as in `app_id`: what is sent for a key, or for a login. A `client_id` is public (RFC
/// 6749, section 2.2).
const SECRET_IDS: [&str; 2] = ["app", "session"];

/// `url` without userinfo and fragment, and with the values of parameters that are named like a secret masked.
#[must_use]
pub fn shown_url(url: &Url) -> String {
    let mut shown = url.clone();
    // Neither can fail: an http URL has a host.
    let _ = shown.set_username("");
    let _ = shown.set_password(None);
    shown.set_fragment(None);
    // Setting a query parses it anew, which most need not.
    if let Some(query) = url.query().filter(|query| query.split('&').any(|parameter| masked(parameter).is_some())) {
        let masked = query.split('&').map(|parameter| masked(parameter).map_or(parameter.into(), Cow::from));
        shown.set_query(Some(&masked.collect::<Vec<_>>().join("&")));
    }
    shown.into()
}

/// A parameter without its value, where that is a secret.
fn masked(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    (!value.is_empty() && is_secret(name)).then(|| format!("{name}=***"))
}

/// Whether this is the name of a secret, as a URL has it.
fn is_secret(name: &str) -> bool {
    form_urlencoded::parse(name.as_bytes()).next().is_some_and(|(decoded, _)| names_a_secret(&decoded))
}

/// What may stand before a parameter in a URL, also where that is written in HTML, in JSON or in another URL.
const BEFORE_PARAMETERS: [&str; 13] =
    ["?", "&", "#", "&amp;", "&#38;", "&#x26;", "\\u0026", "\\u003f", "%3F", "%3f", "%26", "%23", "&#x3f;"];
/// What may stand between a parameter and its value.
const BEFORE_VALUES: [&str; 5] = ["=", "\\u003d", "\\u003D", "%3D", "%3d"];

/// `text`, with the values of parameters that are named like a secret masked in all URLs that stand in it.
#[must_use]
pub fn shown_urls(text: &str) -> Cow<'_, str> {
    let is_sign = |sign: char| sign.is_ascii_alphanumeric() || "-_.~[]".contains(sign);
    let (mut shown, mut from) = (String::new(), 0);
    for (at, _) in text.match_indices(['=', '\\', '%']) {
        let Some(mark) = BEFORE_VALUES.iter().find(|mark| at >= from && text[at..].starts_with(**mark)) else {
            continue;
        };
        let before = &text[from..at];
        let name = &before[before.trim_end_matches(is_sign).len()..];
        let is_parameter = |mark: &&str| {
            // What ends an escape could begin a name.
            let escape = mark.trim_start_matches(['\\', '%']);
            let of_escape = if escape.len() < mark.len() { escape } else { "" };
            let name = name.strip_prefix(of_escape);
            name.is_some_and(|name| before[..before.len() - name.len()].ends_with(*mark) && is_secret(name))
        };
        if !BEFORE_PARAMETERS.iter().any(is_parameter) {
            continue;
        }
        let value = at + mark.len();
        let length = value_length(&text[value..]);
        if length > 0 {
            shown.push_str(&text[from..value]);
            shown.push_str("***");
            from = value + length;
        }
    }
    if from == 0 { text.into() } else { (shown + &text[from..]).into() }
}

/// How far a parameter's value goes in what begins with it. A slash may be escaped, as PHP does it in JSON.
fn value_length(text: &str) -> usize {
    let ends = |sign: char| sign.is_whitespace() || sign.is_control() || "&#;\"'<>`|".contains(sign);
    let is_end = |(at, sign): &(usize, char)| ends(*sign) || (*sign == '\\' && !text[at + 1..].starts_with('/'));
    text.char_indices().find(is_end).map_or(text.len(), |(at, _)| at)
}

/// Whether a parameter or header of this name carries a secret, going by its words: `api_key`, `accessToken`,
/// `X-Amz-Signature`, `apikey`; not `keyword`, `author` or `design`.
#[must_use]
pub fn names_a_secret(name: &str) -> bool {
    if name.len() < SHORTEST_SECRET {
        return false;
    }
    let mut words = String::with_capacity(name.len() + 4);
    let mut after_small = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && after_small) {
            words.push(' ');
        }
        words.extend(c.to_lowercase().filter(|c| c.is_alphanumeric()));
        after_small = c.is_lowercase();
    }
    let is_secret =
        |word: &str| SECRET_WORDS.contains(&word) || SECRET_ENDINGS.iter().any(|ending| word.ends_with(ending));
    let words = || words.split(' ');
    words().any(is_secret)
        || words().zip(words().skip(1)).any(|(word, next)| SECRET_IDS.contains(&word) && next == "id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn userinfo_and_fragment_go_and_secret_parameters_are_masked() {
        let url = Url::parse("https://me:pw@api.example.com/v1?api_key=1&from=2&accessToken=3&apikey=4&keyword=5#x");
        let shown = shown_url(&url.expect("a URL"));
        assert_eq!(shown, "https://api.example.com/v1?api_key=***&from=2&accessToken=***&apikey=***&keyword=5");
    }

    #[test]
    fn secret_parameters_are_masked_in_all_urls_of_a_text() {
        for (text, shown) in [
            ("/k?a=1&X-Amz-Signature=dead%20beef&b=2#x", "/k?a=1&X-Amz-Signature=***&b=2#x"),
            (
                "<https://a.example/?api_key=1&page=2>; rel=\"next\"",
                "<https://a.example/?api_key=***&page=2>; rel=\"next\"",
            ),
            ("0; url=/in#access_token=1", "0; url=/in#access_token=***"),
            ("<a href=\"/?a=1&amp;token=x\">token=y</a>", "<a href=\"/?a=1&amp;token=***\">token=y</a>"),
            (r#"{"url": "/?a=1\u0026token=x", "token": "y"}"#, r#"{"url": "/?a=1\u0026token=***", "token": "y"}"#),
            ("?token=&key=1=2&é=?sig=3", "?token=&key=***&é=?sig=***"),
            ("a=b ?keyword=x", "a=b ?keyword=x"),
            (r#"{"u":"https:\/\/x\/?token=a\/b","n":1}"#, r#"{"u":"https:\/\/x\/?token=***","n":1}"#),
            (r"?a=1\u0026token\u003dx\u0026b=2", r"?a=1\u0026token\u003d***\u0026b=2"),
            ("/login?next=%2Fcb%3Faccess_token%3Dx", "/login?next=%2Fcb%3Faccess_token%3D***"),
            ("?sig=a,b&#38;token=c&#x26;key=d", "?sig=***&#38;token=***&#x26;key=***"),
            ("?26token=x&%key=y&u0026key=z", "?26token=***&%key=y&u0026key=***"),
            ("?token=***", "?token=***"),
        ] {
            assert_eq!(shown_urls(text), shown, "{text}");
        }
    }

    #[test]
    fn a_name_is_a_secret_by_its_words() {
        assert!(SECRET_WORDS.iter().chain(&SECRET_ENDINGS).all(|word| word.len() >= SHORTEST_SECRET));
        for name in [
            "key",
            "X-Amz-Signature",
            "client_secret",
            "AUTH",
            "sig",
            "Authorization",
            "authtoken",
            "x-api-key",
            "sid",
            "appid",
            "APPID",
            "app_id",
            "appId",
            "X-App-Id",
            "app_key",
            "session_id",
            "sessionId",
            "PHPSESSID",
            "Authentication",
        ] {
            assert!(names_a_secret(name), "{name}");
        }
        for name in [
            "from",
            "keyword",
            "author",
            "design",
            "accessibility",
            "client_id",
            "id",
            "app",
            "side",
            "happid",
            "session",
            "",
        ] {
            assert!(!names_a_secret(name), "{name}");
        }
    }
}
