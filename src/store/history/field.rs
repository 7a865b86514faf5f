//! One value of a document: by a JSON Pointer, or by a jq expression.

use std::borrow::Cow;

use super::jq::{Jq, JqError};
use crate::model::Pointer;

/// How a value is found, ready to be applied to many documents.
#[derive(Debug)]
pub enum Field {
    /// A JSON Pointer (RFC 6901): the value as sent, to the digit.
    Pointer(Pointer),
    /// A jq expression: its first output.
    Jq(Jq),
}

/// A text that is neither a pointer nor a jq expression.
#[derive(Debug, thiserror::Error)]
pub enum FieldError {
    /// It begins like a pointer.
    #[error("{0:?} is not a JSON Pointer: in it ~ stands as ~0 and / as ~1")]
    Pointer(String),
    /// It was taken for a jq expression.
    #[error("{0:?} is not a JSON Pointer such as /users/0/name, nor a jq expression: {1}")]
    Jq(String, JqError),
}

/// What was found in a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'t> {
    /// The JSON text of the value.
    Value(Cow<'t, str>),
    /// No such value; with a note where there is something to say.
    Nothing(Option<String>),
}

impl Field {
    /// The field that `text` means: empty or with a slash at its beginning a JSON Pointer, else a jq expression.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(text: &str) -> Result<Self, FieldError> {
        if text.is_empty() || text.starts_with('/') {
            return Pointer::parse(text).map(Self::Pointer).ok_or_else(|| FieldError::Pointer(text.to_owned()));
        }
        Jq::compile(text).map(Self::Jq).map_err(|error| FieldError::Jq(text.to_owned(), error))
    }

    /// What it is in `document`.
    #[must_use]
    pub fn find<'t>(&self, document: &'t str) -> Found<'t> {
        match self {
            Self::Pointer(pointer) => {
                pointer.find(document).map_or(Found::Nothing(None), |found| Found::Value(Cow::Borrowed(found)))
            }
            Self::Jq(jq) => match jq.first(document) {
                Ok(Some(found)) => Found::Value(Cow::Owned(found)),
                Ok(None) => Found::Nothing(Some("jq: no output".to_owned())),
                Err(error) => Found::Nothing(Some(format!("jq: {error}"))),
            },
        }
    }
}

impl Found<'_> {
    /// The JSON text of the value, if there is one.
    #[must_use]
    pub fn value(&self) -> Option<&str> {
        match self {
            Self::Value(value) => Some(value),
            Self::Nothing(_) => None,
        }
    }
}
