//! A job's name and the ordered endpoints of its vectors.

use std::fmt;
use std::sync::Arc;

/// The name of a job: unique in a config, the key of its history.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(Arc<str>);

impl JobName {
    /// A job called `name`.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self(Arc::from(name))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What an endpoint is called and where it points, both fit to be shown and stored: the URL has no userinfo,
/// and the values of parameters named like a secret are masked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointLabel {
    /// The endpoint's identity in its job: history follows it.
    pub name: String,
    /// The URL without secrets.
    pub url: String,
}

/// The most endpoints that a job may have: the database keeps a position in 20 bits.
pub const MOST_ENDPOINTS: usize = 1 << 20;

/// The ordered endpoints that a config gave a job: position N of a vector is endpoint N of its layout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The job.
    pub job: JobName,
    /// Its endpoints in config order, at most [`MOST_ENDPOINTS`].
    pub endpoints: Vec<EndpointLabel>,
}
