//! A part of a request that is either fixed or filled in for each round.

use std::borrow::Cow;

use super::template::{Escape, Moments, Template};

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field {
    /// The same each time.
    Fixed(String),
    /// With blocks that are filled in.
    Changing(Template),
}

impl Field {
    /// The field that `text` says.
    ///
    /// # Errors
    /// What is wrong with a block in it.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        Ok(Template::parse(text)?.map_or_else(|| Self::Fixed(text.to_owned()), Self::Changing))
    }

    /// The JSON text of `value`, with the blocks in its strings.
    ///
    /// # Errors
    /// What is wrong with a block in it.
    pub(super) fn from_json(value: &serde_json::Value) -> Result<Self, String> {
        Ok(Template::from_json(value)?.map_or_else(|| Self::Fixed(value.to_string()), Self::Changing))
    }

    /// What it may look like when it is filled in.
    pub(super) fn samples(&self, escape: Escape) -> Result<Vec<String>, String> {
        match self {
            Self::Fixed(text) => Ok(vec![text.clone()]),
            Self::Changing(template) => template.samples(escape),
        }
    }

    /// The text, if it is the same each time.
    #[must_use]
    pub fn fixed(&self) -> Option<&str> {
        match self {
            Self::Fixed(text) => Some(text),
            Self::Changing(_) => None,
        }
    }

    /// Whether a block in it uses `last_ok`.
    #[must_use]
    pub fn asks_for_last_ok(&self) -> bool {
        matches!(self, Self::Changing(template) if template.asks_for_last_ok())
    }

    /// The text at these moments.
    ///
    /// # Errors
    /// The block that has no value at these moments.
    pub fn filled(&self, moments: &Moments, escape: Escape) -> Result<Cow<'_, str>, String> {
        match self {
            Self::Fixed(text) => Ok(Cow::Borrowed(text)),
            Self::Changing(template) => template.render(moments, escape).map(Cow::Owned),
        }
    }
}
