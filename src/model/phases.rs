//! How far an attempt came, and how long each part of it took.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A part of an attempt, in the order in which they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// The name is looked up.
    Dns,
    /// A TCP connection is made.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The request is sent and the head of the answer awaited.
    Headers,
    /// The body is read.
    Body,
}

impl Phase {
    /// The word that people read and the database keeps.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::Tls => "tls",
            Self::Headers => "headers",
            Self::Body => "body",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The phases of one attempt. A time is there when the phase was observed; one that is missing before `reached` was
/// not needed (a connection was kept alive, an address stood in the URL) or not observable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phases {
    /// The phase in which the attempt ended.
    pub reached: Phase,
    /// Looking up the name.
    #[serde(rename = "dns_us", with = "micros", default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<Duration>,
    /// Connecting.
    #[serde(rename = "connect_us", with = "micros", default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Duration>,
    /// The TLS handshake.
    #[serde(rename = "tls_us", with = "micros", default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Duration>,
    /// From there to the end of the answer's head.
    #[serde(rename = "headers_us", with = "micros", default, skip_serializing_if = "Option::is_none")]
    pub headers: Option<Duration>,
    /// From there to the end of the body, or to where it broke off.
    #[serde(rename = "body_us", with = "micros", default, skip_serializing_if = "Option::is_none")]
    pub body: Option<Duration>,
}

impl Phases {
    /// Ended in `reached`, with no times observed.
    #[must_use]
    pub const fn until(reached: Phase) -> Self {
        Self { reached, dns: None, connect: None, tls: None, headers: None, body: None }
    }

    /// Each phase up to the one that was reached, with its time where it was observed.
    pub fn times(&self) -> impl Iterator<Item = (Phase, Option<Duration>)> {
        let all = [
            (Phase::Dns, self.dns),
            (Phase::Connect, self.connect),
            (Phase::Tls, self.tls),
            (Phase::Headers, self.headers),
            (Phase::Body, self.body),
        ];
        let reached = self.reached;
        all.into_iter().filter(move |&(phase, _)| phase <= reached)
    }
}

/// Durations as whole microseconds.
mod micros {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub(super) fn serialize<S: Serializer>(span: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        span.map(|span| u64::try_from(span.as_micros()).unwrap_or(u64::MAX)).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(Option::<u64>::deserialize(deserializer)?.map(Duration::from_micros))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_are_kept_as_json_of_whole_microseconds_and_found_again() {
        let phases = Phases { dns: Some(Duration::from_micros(1_500)), ..Phases::until(Phase::Headers) };
        let text = serde_json::to_string(&phases).expect("JSON");
        assert_eq!(text, r#"{"reached":"headers","dns_us":1500}"#);
        assert_eq!(serde_json::from_str::<Phases>(&text).expect("phases"), phases);
    }
}
