//! The mirror of `config.toml`: every key that may stand there, each optional, each value with its line.

use std::time::Duration;

use http::{HeaderName, HeaderValue};
use toml::Spanned;
use toml::de::DeValue;

use super::secret::SecretSource;
use super::section::{Located, Place, Section, Text};
use super::value;

/// The file.
#[derive(Debug, Default)]
pub struct File {
    pub database: Option<Located<String>>,
    pub workers: Option<Located<usize>>,
    pub grace: Option<Located<Duration>>,
    pub server: ServerKeys,
    pub defaults: RequestKeys,
    pub jobs: Vec<JobKeys>,
}

/// `[server]`.
#[derive(Debug, Default)]
pub struct ServerKeys {
    pub listen: Option<Located<String>>,
    pub token: Option<Located<SecretSource>>,
}

/// The keys that say how to ask: in `[defaults]`, in a job, or in an endpoint.
#[derive(Clone, Debug, Default)]
pub struct RequestKeys {
    pub user_agent: Option<Located<HeaderValue>>,
    pub timeout: Option<Located<Duration>>,
    pub connect_timeout: Option<Located<Duration>>,
    pub max_body: Option<Located<u64>>,
    pub retries: Option<Located<u32>>,
    pub redirects: Option<Located<u32>>,
    pub token: Option<Located<SecretSource>>,
    pub headers: Vec<Located<(HeaderName, HeaderValue)>>,
}

impl RequestKeys {
    /// Whether no key is set.
    pub fn is_empty(&self) -> bool {
        let Self { user_agent, timeout, connect_timeout, max_body, retries, redirects, token, headers } = self;
        user_agent.is_none()
            && timeout.is_none()
            && connect_timeout.is_none()
            && max_body.is_none()
            && retries.is_none()
            && redirects.is_none()
            && token.is_none()
            && headers.is_empty()
    }
}

/// `[[job]]`.
#[derive(Debug)]
pub struct JobKeys {
    pub place: Place,
    pub name: Option<Located<String>>,
    pub every: Option<Located<Duration>>,
    pub cron: Option<Located<String>>,
    pub timezone: Option<Located<String>>,
    pub offset: Option<Located<Duration>>,
    pub jitter: Option<Located<Duration>>,
    pub deadline: Option<Located<Duration>>,
    pub run_on_start: Option<Located<bool>>,
    pub request: RequestKeys,
    /// `None` when the key is missing or no list.
    pub endpoints: Option<Located<Vec<EndpointKeys>>>,
}

/// One entry of `endpoints`.
#[derive(Debug)]
pub struct EndpointKeys {
    pub name: Option<Located<String>>,
    pub url: Located<String>,
    pub request: RequestKeys,
}

/// Reads the file; what is wrong is noted in `text`.
pub fn read(text: &Text<'_>) -> File {
    let document = text.parse();
    let top = Section::top(text, &document);
    let file = File {
        database: top.take("database", value::text),
        workers: top.take("workers", value::whole_number),
        grace: top.take("grace", value::duration),
        server: top.take_section("server").map(server).unwrap_or_default(),
        defaults: top.take_section("defaults").map(defaults).unwrap_or_default(),
        jobs: jobs(&top),
    };
    top.finish();
    file
}

fn server(section: Section<'_, '_>) -> ServerKeys {
    let keys = ServerKeys { listen: section.take("listen", value::text), token: secret(&section, "token") };
    section.finish();
    keys
}

fn defaults(section: Section<'_, '_>) -> RequestKeys {
    let keys = request(&section);
    section.finish();
    keys
}

fn jobs(top: &Section<'_, '_>) -> Vec<JobKeys> {
    let Some(list) = top.take_list("job", "[[job]], with two brackets, before each job") else {
        return Vec::new();
    };
    let sections = list.value.iter().enumerate().filter_map(|(index, value)| {
        let mut place = top.place_in_list(&list.place, index, value);
        if let Some(name) = value.get_ref().get("name").and_then(|name| name.get_ref().as_str()) {
            place.key = format!("job {name:?}");
        }
        top.section(place, value)
    });
    sections.map(job).collect()
}

fn job(section: Section<'_, '_>) -> JobKeys {
    let keys = JobKeys {
        place: section.place.clone(),
        name: section.take("name", value::text),
        every: section.take("every", value::duration),
        cron: section.take("cron", value::text),
        timezone: section.take("timezone", value::text),
        offset: section.take("offset", value::duration),
        jitter: section.take("jitter", value::duration),
        deadline: section.take("deadline", value::duration),
        run_on_start: section.take("run_on_start", value::boolean),
        request: request(&section),
        endpoints: endpoints(&section),
    };
    section.finish();
    keys
}

fn endpoints(job: &Section<'_, '_>) -> Option<Located<Vec<EndpointKeys>>> {
    let list = job.take_list("endpoints", "a list of URLs, each in quotes or as { name = \"…\", url = \"…\" }")?;
    let read = |(index, value)| endpoint(job, job.place_in_list(&list.place, index, value), value);
    Some(Located { value: list.value.iter().enumerate().filter_map(read).collect(), place: list.place.clone() })
}

fn endpoint(job: &Section<'_, '_>, place: Place, value: &Spanned<DeValue<'_>>) -> Option<EndpointKeys> {
    if let Some(url) = value.get_ref().as_str() {
        let url = Located { value: url.to_owned(), place };
        return Some(EndpointKeys { name: None, url, request: RequestKeys::default() });
    }
    if value.get_ref().as_table().is_none() {
        job.mistake_at(&place, "expected a URL in quotes or { name = \"…\", url = \"…\" }");
        return None;
    }
    let section = job.section(place, value)?;
    let (name, url) = (section.take("name", value::text), section.take("url", value::text));
    let request = request(&section);
    if url.is_none() && value.get_ref().get("url").is_none() {
        section.mistake("an endpoint needs a `url`");
    }
    section.finish();
    Some(EndpointKeys { name, url: url?, request })
}

fn request(section: &Section<'_, '_>) -> RequestKeys {
    RequestKeys {
        user_agent: section.take("user_agent", value::header_value),
        timeout: section.take("timeout", value::duration),
        connect_timeout: section.take("connect_timeout", value::duration),
        max_body: section.take("max_body", value::size),
        retries: section.take("retries", value::whole_number),
        redirects: section.take("redirects", value::whole_number),
        token: secret(section, "token"),
        headers: section.take_section("headers").map(|headers| self::headers(&headers)).unwrap_or_default(),
    }
}

fn headers(section: &Section<'_, '_>) -> Vec<Located<(HeaderName, HeaderValue)>> {
    let mut headers = Vec::new();
    for (place, name, text) in section.entries() {
        let header = name.parse().map_err(|_| format!("{name:?} is not a header name"));
        match header.and_then(|name: HeaderName| Ok((name, value::header_value(text)?))) {
            Ok(value) => headers.push(Located { value, place }),
            Err(problem) => section.mistake_at(&place, problem),
        }
    }
    headers
}

/// `{ env = "…" }`, `{ file = "…" }` or `{ credential = "…" }`.
fn secret(section: &Section<'_, '_>, key: &'static str) -> Option<Located<SecretSource>> {
    let right =
        r#"a secret is not written here but named: { env = "NAME" }, { file = "PATH" } or { credential = "NAME" }"#;
    section.take(key, |value| {
        let table = value.as_table().filter(|table| table.len() == 1).ok_or(right)?;
        let (kind, place) = table.iter().next().ok_or(right)?;
        let name = place.get_ref().as_str().filter(|name| !name.is_empty()).ok_or(right)?;
        match kind.get_ref().as_ref() {
            "env" => Ok(SecretSource::Env(name.to_owned())),
            "file" => Ok(SecretSource::File(name.into())),
            "credential" if name.contains('/') => Err("a credential is a name, not a path".to_owned()),
            "credential" => Ok(SecretSource::Credential(name.to_owned())),
            _ => Err(right.to_owned()),
        }
    })
}
