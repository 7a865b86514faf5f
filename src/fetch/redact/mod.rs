//! Hides secrets in text that a server sent: servers echo what they were asked with.
//!
//! A secret is looked for at each place of the text, sign by sign, and each sign in every form that [`forms`] knows. So
//! it is found however its signs are escaped, in whatever mixture, which no list of its possible encodings would do.

mod forms;
mod needle;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;

use self::forms::Readings;
use self::needle::{Needle, Places};
use crate::config::names_a_secret;

/// What stands in the place of a secret.
const HIDDEN: &str = "***";

/// The shortest secret that is hidden, and the shortest beginning of one at the end of a text that was cut, in bytes.
/// Whatever is shorter stands in any text by chance.
const SHORTEST: usize = 4;

/// Hides secrets of at least 4 bytes; shorter ones would blank whatever they happen to stand in. Each is found
///
/// - as it is, in small or capital letters, on one line or over several, and without blanks around it;
/// - in pieces of 8 bytes that look random, if it has 16 or more: servers show the beginning of a token, or most of it;
/// - with any of its signs percent-encoded (RFC 3986), escaped as in JSON (RFC 8259), HTML, or byte by byte as in C and
///   Python, also one within another;
/// - inside of longer base64 text (RFC 4648, both alphabets), also of several lines (RFC 2045), also of base64;
/// - in hexadecimal digits, small or capital, with or without something between its bytes, and as a list of decimal bytes;
/// - in UTF-16 of either byte order.
///
/// It holds the secrets in the clear: it should live no longer than what needs it.
pub struct Redactor {
    needles: Vec<Needle>,
    /// The needles that may begin with each byte.
    by_first: Vec<Vec<usize>>,
}

impl Redactor {
    /// Hides each of `secrets`.
    pub fn new(secrets: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        let mut needles = Vec::new();
        let mut known = BTreeSet::new();
        for secret in secrets {
            // Servers leave out the blanks around it.
            for secret in [secret.as_ref(), secret.as_ref().trim()] {
                if secret.len() >= SHORTEST && known.insert(secret.to_owned()) {
                    needles.extend(Needle::all_of(secret));
                }
            }
        }
        let beginning_with = |byte| (0..needles.len()).filter(|&index| needles[index].begins(byte)).collect();
        let by_first = (0..=u8::MAX).map(beginning_with).collect();
        Self { needles, by_first }
    }

    /// `bytes` as text, each secret in it as `***`; what is not UTF-8 is replaced.
    #[must_use]
    pub fn redact(&self, bytes: &[u8]) -> String {
        self.hide(bytes, false)
    }

    /// The same for a text that broke off anywhere: a beginning of a secret at its very end, of at least 4 bytes, is
    /// hidden too.
    #[must_use]
    pub fn redact_cut(&self, bytes: &[u8]) -> String {
        self.hide(bytes, true)
    }

    /// The first `most` of `bytes` at most, as one of the two above.
    #[must_use]
    pub fn redact_beginning(&self, bytes: &[u8], most: usize) -> String {
        if bytes.len() > most { self.redact_cut(&bytes[..most]) } else { self.redact(bytes) }
    }

    /// A header's value, whole or cut: hidden entirely when its name says that it carries a secret, as `Set-Cookie` does.
    #[must_use]
    pub fn redact_header(&self, name: &str, value: &[u8]) -> String {
        const SECRET: [&str; 4] = ["cookie", "set-cookie", "set-cookie2", "authentication-info"];
        let is_secret = SECRET.iter().any(|secret| name.eq_ignore_ascii_case(secret));
        // These speak of access in another sense.
        let speaks_of_origins = name.to_ascii_lowercase().starts_with("access-control-");
        if is_secret || (names_a_secret(name) && !speaks_of_origins) {
            HIDDEN.to_owned()
        } else {
            self.redact_cut(value)
        }
    }

    fn hide(&self, text: &[u8], cut: bool) -> String {
        let mut hidden = String::with_capacity(text.len());
        let mut shown = 0;
        for range in self.secrets_in(text, cut) {
            hidden.push_str(&String::from_utf8_lossy(&text[shown..range.start]));
            hidden.push_str(HIDDEN);
            shown = range.end;
        }
        hidden.push_str(&String::from_utf8_lossy(&text[shown..]));
        hidden
    }

    /// Where secrets are, in order, those that touch as one.
    fn secrets_in(&self, text: &[u8], cut: bool) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        let (readings, mut places) = (Readings::of(text), Places::default());
        for (start, &first) in text.iter().enumerate() {
            for needle in self.by_first[usize::from(first)].iter().map(|&index| &self.needles[index]) {
                let Some(mut range) = needle.range_from(start, &readings, cut, &mut places) else { continue };
                while let Some(last) = found.pop_if(|last| last.end >= range.start) {
                    range = last.start.min(range.start)..last.end.max(range.end);
                }
                found.push(range);
            }
        }
        found
    }
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Redactor([secrets])")
    }
}
