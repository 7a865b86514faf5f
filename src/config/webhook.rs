//! Somebody who is told by HTTP, at a URL that is a secret itself: whoever knows it may speak there.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use toml::de::DeValue;
use url::Url;

use super::request_keys::secret_source;
use super::rules::http_url;
use super::secret::{SecretError, SecretSource};
use super::settings::RequestSettings;

/// Where a request goes, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Webhook {
    /// Where.
    pub url: SecretUrl,
    /// How: its headers, token, times and proxy.
    pub request: Arc<RequestSettings>,
}

/// A URL that is shown as `https://host/***`, also by Debug.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretUrl {
    /// It stands in the config: http or https.
    Written(Url),
    /// It is found elsewhere.
    Named(SecretSource),
}

impl SecretUrl {
    /// The URL; a relative file is looked for in `folder`.
    ///
    /// # Errors
    /// When it cannot be read, or is no http or https URL.
    pub fn read(&self, folder: &Path) -> Result<Url, SecretError> {
        match self {
            Self::Written(url) => Ok(url.clone()),
            Self::Named(source) => {
                http_url(source.read(folder)?.expose()).map_err(|_| SecretError::NotAUrl(source.clone()))
            }
        }
    }
}

impl fmt::Display for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Written(url) => write!(f, "{}/***", url.origin().ascii_serialization()),
            Self::Named(source) => write!(f, "the URL in {source}"),
        }
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `"https://…"`, or where it is found.
pub fn secret_url(value: &DeValue<'_>) -> Result<SecretUrl, String> {
    match value {
        DeValue::String(text) => http_url(text).map(SecretUrl::Written),
        DeValue::Table(_) => secret_source(value).map(SecretUrl::Named),
        _ => Err(r#"expected "https://…", or where it is found: { env = "NAME" }, { file = "PATH" }"#.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_url_shows_its_host_at_most() {
        let url = SecretUrl::Written(Url::parse("https://me:pw@hooks.example.com:8443/T0/s3cret?t=1").expect("a URL"));
        assert_eq!(format!("{url} {url:?}"), "https://hooks.example.com:8443/*** https://hooks.example.com:8443/***");
        let url = SecretUrl::Named(SecretSource::Env("HOOK".to_owned()));
        assert_eq!(url.to_string(), "the URL in the environment variable HOOK");
    }

    #[test]
    fn a_secret_that_is_no_url_is_refused_without_being_shown() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        std::fs::write(folder.path().join("hook"), "ftp://s3cret.example.com/").expect("written");
        let error = SecretUrl::Named(SecretSource::File("hook".into())).read(folder.path()).expect_err("refused");
        assert_eq!(error.to_string(), "the file hook holds no http or https URL");
    }
}
