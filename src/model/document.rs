//! A JSON document as its server sent it.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One JSON document (RFC 8259), kept as the text that was received: no number loses a digit, no key its order.
/// It was validated when it was made: UTF-8, at most 128 levels deep, no lone surrogate. Clones share the text.
#[derive(Clone, PartialEq, Eq)]
pub struct Document(Arc<str>);

impl Document {
    /// Takes text that has been validated (by `fetch::json`, or when it was stored).
    pub(crate) fn from_validated(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }

    /// The text, byte for byte as it was sent (one leading byte order mark was dropped).
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0
    }

    /// The document as a type of yours, for example [`serde_json::Value`].
    ///
    /// # Errors
    /// When it does not fit the type. `serde_json::Value` holds any document but one with a number
    /// beyond the range of `f64` (such as `1e400`) or with 128 levels, which only the text can carry.
    pub fn parse<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        serde_json::from_str(&self.0)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Document({})", self.0)
    }
}

/// Serialized by `serde_json`, a document is itself, as sent, not a string that holds it.
impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let raw: &RawValue = serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        raw.serialize(serializer)
    }
}
