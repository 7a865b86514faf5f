//! What is remembered from one round to the next, and over a restart.

use std::sync::Arc;

use super::{Document, Timestamp};

/// What is remembered of one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// The due of the last round in which it succeeded; known only where a request asks for it.
    pub last_ok: Option<Timestamp>,
    /// The last document that came with validators.
    pub remembered: Option<Remembered>,
}

/// A document that a server may say is still the same (RFC 9110, section 13).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// What the server is asked by.
    pub validators: Arc<Validators>,
    /// What it sent then.
    pub document: Document,
}

/// What a server names a version of a document by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Validators {
    /// A fingerprint of the request that they belong to: they say nothing about another one.
    pub request: u64,
    /// The `ETag` header, as sent.
    pub etag: Option<String>,
    /// The `Last-Modified` header, as sent.
    pub last_modified: Option<String>,
}

/// A host that asked to be left alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostPause {
    /// The host with its port, such as `api.example.com:443`.
    pub host: String,
    /// Until then.
    pub until: Timestamp,
}
