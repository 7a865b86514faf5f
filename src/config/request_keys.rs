//! The keys that say how to ask: they may stand in `[defaults]`, in a job, or in an endpoint.

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use toml::de::{DeTable, DeValue};

use super::field::Field;
use super::mistake::meant;
use super::oauth2::{self, OAuth2};
use super::pages::{self, Pages};
use super::secret::SecretSource;
use super::section::{Located, OrFalse, Place, Section};
use super::template::Escape;
use super::value::{self, or_false};
use crate::model::Pointer;

/// Names and what is sent under them; `None` is `false`: an inherited one is not sent.
pub type Pairs<N> = Vec<Located<(N, Option<Field>)>>;

/// What is written, each value with its line.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RequestKeys {
    pub method: Option<Located<Method>>,
    pub json: OrFalse<Field>,
    pub query: Pairs<String>,
    pub headers: Pairs<HeaderName>,
    pub user_agent: Option<Located<HeaderValue>>,
    pub token: OrFalse<SecretSource>,
    pub token_header: Option<Located<HeaderName>>,
    pub token_scheme: Option<Located<HeaderValue>>,
    pub token_query: OrFalse<String>,
    pub basic: OrFalse<(String, SecretSource)>,
    pub oauth2: OrFalse<OAuth2>,
    pub timeout: Option<Located<Duration>>,
    pub connect_timeout: Option<Located<Duration>>,
    pub max_body: Option<Located<u64>>,
    pub retries: Option<Located<u32>>,
    pub redirects: Option<Located<u32>>,
    pub success: OrFalse<Vec<u16>>,
    pub error_if: OrFalse<ErrorIfKeys>,
    pub ca_file: OrFalse<PathBuf>,
    pub client_cert: OrFalse<PathBuf>,
    pub client_key: OrFalse<PathBuf>,
    pub proxy: Option<Located<String>>,
    pub pages: OrFalse<Pages>,
    pub conditional: Option<Located<bool>>,
    pub max_per_host: OrFalse<usize>,
    pub rate: OrFalse<Duration>,
    /// The place of the URL beside these keys, if a user or password stands in it: that is as near as they are.
    pub userinfo: Option<Place>,
}

/// `error_if`: where to look, and the JSON text that means failure; without one anything does that is not empty, false or 0.
#[derive(Clone, Debug, PartialEq)]
pub struct ErrorIfKeys {
    pub pointer: Pointer,
    pub equals: Option<String>,
}

impl RequestKeys {
    /// Whether it says where a token goes.
    pub fn places_a_token(&self) -> bool {
        self.token_header.is_some() || self.token_scheme.is_some() || self.token_query.is_some()
    }

    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What of these keys says how connections are made, and not who asks for what.
    pub fn connection(&self) -> Self {
        Self {
            user_agent: self.user_agent.clone(),
            timeout: self.timeout.clone(),
            connect_timeout: self.connect_timeout.clone(),
            ca_file: self.ca_file.clone(),
            proxy: self.proxy.clone(),
            ..Self::default()
        }
    }
}

/// Takes the request keys of `section`.
pub fn read(section: &Section<'_, '_>) -> RequestKeys {
    RequestKeys {
        method: section.take("method", method),
        json: section.take("json", or_false(json_body)),
        query: section.take_section("query").map(|query| pairs(&query)).unwrap_or_default(),
        headers: section.take_section("headers").map(|headers| self::headers(&headers)).unwrap_or_default(),
        user_agent: section.take("user_agent", value::header_value),
        token: section.take("token", or_false(secret_source)),
        token_header: section.take("token_header", value::header_name),
        token_scheme: section.take("token_scheme", value::header_value),
        token_query: section.take("token_query", or_false(parameter_name)),
        basic: section.take("basic", or_false(basic)),
        oauth2: section.take_section_or_false("oauth2", oauth2::EXAMPLE, oauth2::read),
        timeout: section.take("timeout", value::duration),
        connect_timeout: section.take("connect_timeout", value::duration),
        max_body: section.take("max_body", value::size),
        retries: section.take("retries", value::whole_number),
        redirects: section.take("redirects", value::whole_number),
        success: section.take("success", or_false(statuses)),
        error_if: section.take("error_if", or_false(error_if)),
        ca_file: section.take("ca_file", or_false(value::path)),
        client_cert: section.take("client_cert", or_false(value::path)),
        client_key: section.take("client_key", or_false(value::path)),
        proxy: section.take("proxy", value::text),
        pages: section.take_section_or_false("pages", pages::EXAMPLE, pages::read),
        conditional: section.take("conditional", value::boolean),
        max_per_host: section.take("max_per_host", or_false(value::whole_number)),
        rate: section.take("rate", or_false(value::rate)),
        userinfo: None,
    }
}

/// Takes the request keys that a webhook has.
pub fn read_of_webhook(section: &Section<'_, '_>) -> RequestKeys {
    let headers = section.take_section("headers").map(|headers| self::headers(&headers)).unwrap_or_default();
    let changes = |field: &Option<Field>| field.as_ref().is_some_and(|field| field.fixed().is_none());
    for Located { place, .. } in headers.iter().filter(|header| changes(&header.value.1)) {
        section.mistake_at(place, "it is the same in each message: no {{ }} here");
    }
    RequestKeys {
        headers,
        user_agent: section.take("user_agent", value::header_value),
        token: section.take("token", or_false(secret_source)),
        token_header: section.take("token_header", value::header_name),
        token_scheme: section.take("token_scheme", value::header_value),
        basic: section.take("basic", or_false(basic)),
        timeout: section.take("timeout", value::duration),
        connect_timeout: section.take("connect_timeout", value::duration),
        ca_file: section.take("ca_file", or_false(value::path)),
        proxy: section.take("proxy", value::text),
        ..RequestKeys::default()
    }
}

/// A secret that is named, not written.
pub fn secret(section: &Section<'_, '_>, key: &'static str) -> Option<Located<SecretSource>> {
    section.take(key, secret_source)
}

/// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
pub fn secret_source(value: &DeValue<'_>) -> Result<SecretSource, String> {
    let right =
        r#"a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }"#;
    let table = value.as_table().filter(|table| table.len() == 1).ok_or(right)?;
    let (kind, place) = table.iter().next().ok_or(right)?;
    let name = place.get_ref().as_str().filter(|name| !name.is_empty()).ok_or(right)?;
    match kind.get_ref().as_ref() {
        "env" => Ok(SecretSource::Env(name.to_owned())),
        "file" => Ok(SecretSource::File(name.into())),
        "credential" if name.contains('/') => Err("a credential is a name, not a path".to_owned()),
        "credential" => Ok(SecretSource::Credential(name.to_owned())),
        kind => {
            let meant = meant(kind, ["env", "file", "credential"]);
            let hint = meant.map(|known| format!("; did you mean `{known}`?")).unwrap_or_default();
            Err(format!("`{kind}` is none of `env`, `file` and `credential`{hint}"))
        }
    }
}

fn method(value: &DeValue<'_>) -> Result<Method, String> {
    let known = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE];
    let text = value::text(value)?;
    let found = known.iter().find(|method| method.as_str() == text);
    found.cloned().ok_or_else(|| format!("{text:?} is not one of GET, POST, PUT, PATCH, DELETE"))
}

/// A table or list is written as the JSON that is sent; a text has to be JSON, once its blocks are filled in, and is
/// sent as it is.
fn json_body(value: &DeValue<'_>) -> Result<Field, String> {
    if value.as_bool().is_some() {
        return Err("expected a table, a list, or a text that is JSON, such as \"true\"".to_owned());
    }
    let Some(text) = value.as_str() else { return Field::from_json(&value::json(value)?) };
    let body = Field::parse(text)?;
    for sample in body.samples(Escape::Json)? {
        let checked = serde_json::from_str::<&serde_json::value::RawValue>(&sample);
        checked.map_err(|error| format!("a text here has to be JSON: {error}"))?;
    }
    Ok(body)
}

fn pairs(section: &Section<'_, '_>) -> Pairs<String> {
    let mut pairs = Vec::new();
    for (place, name, value) in section.entries() {
        match or_false(parameter)(value) {
            Ok(field) => pairs.push(Located { value: (name.to_owned(), field), place }),
            Err(problem) => section.mistake_at(&place, problem),
        }
    }
    pairs
}

fn parameter_name(value: &DeValue<'_>) -> Result<String, String> {
    let name = value::text(value)?;
    if name.is_empty() { Err("the name of a parameter is needed, such as \"api_key\"".to_owned()) } else { Ok(name) }
}

fn parameter(value: &DeValue<'_>) -> Result<Field, String> {
    Field::parse(&value::scalar(value)?)
}

fn headers(section: &Section<'_, '_>) -> Pairs<HeaderName> {
    let mut headers: Pairs<HeaderName> = Vec::new();
    for (place, name, text) in section.entries() {
        let header = name.parse().map_err(|_| format!("{name:?} is not a header name"));
        match header.and_then(|name: HeaderName| Ok((name, or_false(header_field)(text)?))) {
            Ok((name, _)) if headers.iter().any(|header| header.value.0 == name) => {
                section.mistake_at(&place, "the same header stands here twice: case does not count in its name");
            }
            Ok(value) => headers.push(Located { value, place }),
            Err(problem) => section.mistake_at(&place, problem),
        }
    }
    headers
}

/// The value is not repeated in an error: it may be a secret.
fn header_field(value: &DeValue<'_>) -> Result<Field, String> {
    let text = value.as_str().ok_or("expected text in quotes")?;
    let field = Field::parse(text)?;
    let printable = field.samples(Escape::None)?.iter().all(|sample| HeaderValue::from_str(sample).is_ok());
    if printable { Ok(field) } else { Err("a header's value is one line of printable text".to_owned()) }
}

/// `{ user = "…", password = { env = "…" } }`.
fn basic(value: &DeValue<'_>) -> Result<(String, SecretSource), String> {
    let right = r#"expected { user = "NAME", password = { env = "NAME" } }"#;
    let table = only_keys(value, &["user", "password"]).ok_or(right)?;
    let user = table.get("user").and_then(|user| user.get_ref().as_str()).ok_or(right)?;
    if user.contains(':') || user.chars().any(char::is_control) {
        return Err("a user's name has no colon and no control character (RFC 7617)".to_owned());
    }
    let password = table.get("password").ok_or(right)?;
    Ok((user.to_owned(), secret_source(password.get_ref())?))
}

fn statuses(value: &DeValue<'_>) -> Result<Vec<u16>, String> {
    let right = "expected a list of statuses from 200 to 599, such as [200, 404]";
    let list = value.as_array().filter(|list| !list.is_empty()).ok_or(right)?;
    let status = |value: &toml::Spanned<DeValue<'_>>| value::whole_number(value.get_ref()).ok();
    let statuses = list.iter().map(|value| status(value).filter(|status| (200..600).contains(status)));
    statuses.collect::<Option<_>>().ok_or_else(|| right.to_owned())
}

/// `{ pointer = "/error" }` or `{ pointer = "/status", equals = "error" }`.
fn error_if(value: &DeValue<'_>) -> Result<ErrorIfKeys, String> {
    let right = r#"expected { pointer = "/error" }, perhaps with equals = …"#;
    let table = only_keys(value, &["pointer", "equals"]).ok_or(right)?;
    let pointer = value::pointer(table.get("pointer").ok_or(right)?.get_ref())?;
    let equals = table.get("equals").map(|equals| value::json(equals.get_ref())).transpose()?;
    Ok(ErrorIfKeys { pointer, equals: equals.map(|equals| equals.to_string()) })
}

fn only_keys<'v, 'i>(value: &'v DeValue<'i>, known: &[&str]) -> Option<&'v DeTable<'i>> {
    value.as_table().filter(|table| table.keys().all(|key| known.contains(&key.get_ref().as_ref())))
}
