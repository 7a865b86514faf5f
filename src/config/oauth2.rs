//! `oauth2`: access tokens by client credentials (RFC 6749, section 4.4).

use url::Url;

use super::request_keys::secret;
use super::rules::http_url;
use super::secret::SecretSource;
use super::section::{Located, Section};
use super::value;

/// Where access tokens come from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OAuth2 {
    /// The token endpoint.
    pub token_url: Url,
    /// Who asks.
    pub client_id: String,
    /// Where the client's secret is found.
    pub client_secret: SecretSource,
    /// What is asked for.
    pub scopes: Vec<String>,
    /// Further parameters, such as `audience`.
    pub parameters: Vec<(String, String)>,
    /// Whether the client's id and secret are sent in the body instead of an `Authorization` header.
    pub in_body: bool,
}

/// What would be right.
pub const EXAMPLE: &str = "{ token_url = \"https://…\", client_id = \"…\", client_secret = { env = \"NAME\" } }";

/// The access tokens that `section` says.
pub fn read(section: Section<'_, '_>) -> Option<OAuth2> {
    let token_url = section.take("token_url", |url| {
        http_url(&value::text(url)?)
            .map_err(|problem| format!("{problem}; right would be \"https://host/oauth/token\""))
    });
    let client_id = section.take("client_id", value::text);
    let client_secret = secret(&section, "client_secret");
    let scopes = section.take("scopes", value::texts).map(|key| key.value).unwrap_or_default();
    let credentials_in = section.take("credentials_in", value::text);
    let parameters = section.take_section("parameters").map(|section| {
        let pairs = section.entries().filter_map(|(place, name, text)| match value::scalar(text) {
            Ok(_) if ["grant_type", "client_id", "client_secret"].contains(&name) => {
                section.mistake_at(&place, "gatherd sends this parameter itself");
                None
            }
            Ok(text) => Some((name.to_owned(), text)),
            Err(problem) => {
                section.mistake_at(&place, problem);
                None
            }
        });
        pairs.collect()
    });
    for (key, there) in [
        ("token_url", section.has("token_url")),
        ("client_id", section.has("client_id")),
        ("client_secret", section.has("client_secret")),
    ] {
        if !there {
            section.mistake(format!("`{key}` is missing"));
        }
    }
    let in_body = match &credentials_in {
        Some(Located { value, .. }) if value == "body" => true,
        Some(Located { value, place }) if value != "header" => {
            section.mistake_at(place, "expected \"header\" (HTTP Basic, the default) or \"body\"");
            false
        }
        _ => false,
    };
    section.finish();
    Some(OAuth2 {
        token_url: token_url?.value,
        client_id: client_id?.value,
        client_secret: client_secret?.value,
        scopes,
        parameters: parameters.unwrap_or_default(),
        in_body,
    })
}
