//! What a failed attempt leaves for people to look at: what was sent and what came back, without secrets.

use std::fmt;
use std::hash::Hasher;
use std::str::FromStr;

use siphasher::sip128::{Hasher128, SipHasher13};

/// What was sent, what came back, and what it looks like. Whoever makes one has masked every secret in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The request line and the headers, each on a line of its own.
    pub sent: String,
    /// What the server answered, if it did.
    pub answer: Option<Answer>,
    /// A plain guess at what kind of answer that is.
    pub guess: Option<Guess>,
}

/// The beginning of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: u16,
    /// Its headers as `name: value`, each on a line of its own.
    pub headers: String,
    /// The beginning of its body, at most 2 KiB; what is not UTF-8 is replaced.
    pub body: String,
    /// Whether the body went on.
    pub cut: bool,
}

impl Evidence {
    /// The same for requests of the endpoint with key `endpoint` that are equal but for numbers: such requests are kept
    /// once. SipHash-1-3 with a zero key, so it is the same after a restart.
    #[must_use]
    pub fn sent_fingerprint(&self, endpoint: i64) -> [u8; 16] {
        let mut hasher = SipHasher13::new();
        hasher.write_i64(endpoint);
        hash_steady(&mut hasher, &self.sent);
        hasher.finish128().as_bytes()
    }
}

impl Answer {
    /// The same for answers that are equal but for numbers, identifiers and headers that differ each time (dates,
    /// request ids, cookies): such answers are kept once.
    #[must_use]
    pub fn fingerprint(&self) -> [u8; 16] {
        let mut hasher = SipHasher13::new();
        hasher.write_u16(self.status);
        self.headers.lines().filter(|line| !is_volatile(line)).for_each(|line| hash_steady(&mut hasher, line));
        hash_steady(&mut hasher, &self.body);
        hasher.finish128().as_bytes()
    }
}

/// Whether a header line says something else each time.
fn is_volatile(line: &str) -> bool {
    const NAMES: [&str; 9] =
        ["date", "age", "expires", "etag", "last-modified", "set-cookie", "cf-ray", "nel", "report-to"];
    let name = line.split(':').next().unwrap_or_default().trim().to_ascii_lowercase();
    NAMES.contains(&name.as_str()) || name.ends_with("-id")
}

/// Hashes `text` with each word that has a digit in it as one sign.
fn hash_steady(hasher: &mut SipHasher13, text: &str) {
    for word in text.split_inclusive(|c: char| !c.is_alphanumeric()) {
        let end = word.trim_end_matches(|c: char| !c.is_alphanumeric());
        if end.bytes().any(|byte| byte.is_ascii_digit()) {
            hasher.write(b"#");
            hasher.write(&word.as_bytes()[end.len()..]);
        } else {
            hasher.write(word.as_bytes());
        }
    }
    hasher.write_u8(0xFF);
}

/// What an answer looks like to somebody who has seen many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guess {
    /// A challenge or refusal meant for scripts.
    BotWall,
    /// A page that asks for a login.
    LoginPage,
    /// A page that says that the service is down for a while.
    MaintenancePage,
    /// A document or page that says what is wrong.
    ErrorDocument,
    /// Too many requests.
    RateLimit,
}

impl Guess {
    /// Every guess.
    pub const ALL: [Self; 5] =
        [Self::BotWall, Self::LoginPage, Self::MaintenancePage, Self::ErrorDocument, Self::RateLimit];

    /// The words that people read and the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BotWall => "bot wall",
            Self::LoginPage => "login page",
            Self::MaintenancePage => "maintenance page",
            Self::ErrorDocument => "error document",
            Self::RateLimit => "rate limit",
        }
    }
}

impl fmt::Display for Guess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Guess {
    type Err = UnknownGuess;

    fn from_str(words: &str) -> Result<Self, UnknownGuess> {
        Self::ALL.into_iter().find(|guess| guess.as_str() == words).ok_or_else(|| UnknownGuess(words.to_owned()))
    }
}

/// Words that are no guess: the database was written by a newer gatherd.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a guess")]
pub struct UnknownGuess(String);

#[cfg(test)]
mod tests {
    use super::*;

    fn fingerprint(headers: &str, body: &str) -> [u8; 16] {
        Answer { status: 403, headers: headers.to_owned(), body: body.to_owned(), cut: false }.fingerprint()
    }

    #[test]
    fn answers_are_equal_but_for_numbers_identifiers_and_headers_of_the_moment() {
        let one = fingerprint("Date: Mon\nX-Request-Id: a\nServer: x", "blocked, ray 8f1e22, at 12:00");
        assert_eq!(one, fingerprint("Date: Tue\nX-Request-Id: b\nServer: x", "blocked, ray 77aa01, at 13:59"));
        assert_ne!(one, fingerprint("Date: Mon\nX-Request-Id: a\nServer: y", "blocked, ray 8f1e22, at 12:00"));
        assert_ne!(one, fingerprint("Date: Mon\nX-Request-Id: a\nServer: x", "allowed, ray 8f1e22, at 12:00"));
    }

    #[test]
    fn requests_are_equal_but_for_numbers_within_an_endpoint() {
        let sent = |sent: &str| Evidence { sent: sent.to_owned(), answer: None, guess: None };
        let (one, two) = (sent("GET https://a.example/1?from=12:00"), sent("GET https://a.example/2?from=13:00"));
        assert_eq!(one.sent_fingerprint(1), two.sent_fingerprint(1));
        assert_ne!(one.sent_fingerprint(1), two.sent_fingerprint(2));
    }

    #[test]
    fn every_guess_is_found_again_by_its_words() {
        for guess in Guess::ALL {
            assert_eq!(guess.as_str().parse::<Guess>().ok(), Some(guess));
        }
    }
}
