//! Who asks, and where that is said in a request.

use http::{HeaderName, HeaderValue};

use super::oauth2::OAuth2;
use super::secret::SecretSource;

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Auth {
    /// A token.
    Token {
        /// Where the token is found.
        source: SecretSource,
        /// Where it goes.
        place: TokenPlace,
    },
    /// Basic authentication (RFC 7617).
    Basic {
        /// The user's name.
        user: String,
        /// Where the password is found.
        password: SecretSource,
    },
    /// An access token, as `Authorization: Bearer`.
    OAuth2(OAuth2),
}

/// Where a token goes in a request.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TokenPlace {
    /// Into a header, behind a scheme unless that is empty.
    Header {
        /// `Authorization`, or the API's own.
        name: HeaderName,
        /// `Bearer` (RFC 6750), another, or nothing.
        scheme: HeaderValue,
    },
    /// Into the URL, as the parameter of this name.
    Parameter(String),
}

impl Auth {
    /// The secret that it needs.
    #[must_use]
    pub fn secret(&self) -> &SecretSource {
        match self {
            Self::Token { source, .. } => source,
            Self::Basic { password, .. } => password,
            Self::OAuth2(oauth2) => &oauth2.client_secret,
        }
    }
}
