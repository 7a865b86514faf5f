//! How a slot ended.

use std::fmt;
use std::str::FromStr;

macro_rules! outcomes {
    ($($(#[$doc:meta])+ $variant:ident = $word:literal,)+) => {
        /// How a slot ended: `ok`, or one reason out of a closed list. The word is at once the database value,
        /// the metric label and what people read.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Outcome { $($(#[$doc])+ $variant,)+ }

        impl Outcome {
            /// Every outcome, `ok` first.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// The word of this outcome.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl FromStr for Outcome {
            type Err = UnknownOutcome;

            fn from_str(word: &str) -> Result<Self, UnknownOutcome> {
                match word { $($word => Ok(Self::$variant),)+ _ => Err(UnknownOutcome(word.to_owned())) }
            }
        }
    };
}

outcomes! {
    /// A JSON document came; it may be `null`.
    Ok = "ok",
    /// The name did not resolve.
    Dns = "dns",
    /// No connection: refused or unreachable.
    Connect = "connect",
    /// The TLS handshake failed: expired, wrong host, unknown issuer.
    Tls = "tls",
    /// The attempt's or the round's time was over.
    Timeout = "timeout",
    /// The connection broke before the answer was complete.
    Reset = "reset",
    /// What came is not HTTP, or HTTP that contradicts itself.
    Protocol = "protocol",
    /// A status that does not carry data.
    HttpStatus = "http_status",
    /// A redirect that is not followed.
    Redirect = "redirect",
    /// An address that is never connected to, such as cloud metadata.
    BlockedAddress = "blocked_address",
    /// The body is larger than `max_body`.
    TooLarge = "too_large",
    /// The content coding is unknown, doubled or broken.
    Encoding = "encoding",
    /// The body ended before its announced length.
    Truncated = "truncated",
    /// An answer without a body.
    EmptyBody = "empty_body",
    /// The body is not UTF-8.
    InvalidUtf8 = "invalid_utf8",
    /// The body is not one JSON document.
    NotJson = "not_json",
    /// JSON nested over 128 levels.
    TooDeep = "too_deep",
    /// Not tried, or given up, because the daemon or the command was stopping.
    Cancelled = "cancelled",
    /// Not tried, because its host asked to be left alone.
    Backoff = "backoff",
    /// A defect in gatherd while this slot was handled.
    Panic = "panic",
    /// Out of descriptors, threads or memory on our side.
    Resource = "resource",
}

impl Outcome {
    /// Whether the slot has a document.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        matches!(self, Self::Ok)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that is no outcome: the database was written by something else, or by a newer gatherd.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an outcome")]
pub struct UnknownOutcome(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_is_found_again_by_its_word() {
        for &outcome in Outcome::ALL {
            assert_eq!(outcome.as_str().parse::<Outcome>().ok(), Some(outcome));
        }
        assert_eq!(Outcome::ALL.len(), 21);
        assert!("OK".parse::<Outcome>().is_err());
    }
}
