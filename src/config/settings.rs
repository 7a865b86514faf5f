//! The validated configuration: what the rest of gatherd sees of it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};
use url::{Position, Url};

use super::auth::Auth;
use super::field::Field;
use super::file;
use super::mistake::Mistakes;
use super::notify::Notify;
use super::pages::Pages;
use super::rules::{Rules, http_url};
use super::secret::SecretSource;
use super::section::Text;
use super::shown_url::shown_url;
use super::template::{Escape, Template};
use super::webhook::Webhook;
use crate::model::{EndpointLabel, JobName, Layout, Pointer, Timestamp};
use crate::schedule::{Cadence, Entry};

const WEEK: Duration = Duration::from_hours(7 * 24);

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The file it was read from.
    pub file: PathBuf,
    /// The database file.
    pub database: PathBuf,
    /// Threads that make blocking requests: the most in flight.
    pub workers: usize,
    /// How long running rounds may go on after the first signal to stop.
    pub grace: Duration,
    /// How long rounds are kept that no job says otherwise of, those of former jobs too; `None` is for ever.
    pub retain: Option<Duration>,
    /// `[server]`.
    pub server: Server,
    /// `[maintenance]`.
    pub maintenance: Maintenance,
    /// At least one job; their names differ.
    pub jobs: Vec<Job>,
    /// Who is told when endpoints fail; their names differ.
    pub notify: Vec<Notify>,
}

/// The HTTP API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it listens; on loopback unless there is a token.
    pub listen: Listen,
    /// What callers have to show.
    pub token: Option<SecretSource>,
    /// Names that it is called by beside its address, in lower case, without a port.
    pub hosts: Vec<String>,
}

/// Where the HTTP API listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    Off,
    /// At the default address, which nobody asked for: where it is taken, the daemon goes on without the API.
    Default(SocketAddr),
    /// At the address that stands in the config, or not at all.
    At(SocketAddr),
}

/// When the file is looked after, and where its copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Maintenance {
    /// When: a cron pattern of six fields (second first), in UTC.
    pub at: String,
    /// The copies that are made of the file then.
    pub backup: Option<Backup>,
}

/// Copies of the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// The folder that they go to.
    pub folder: PathBuf,
    /// How many stay there, at least 1.
    pub keep: usize,
}

/// One job. Two are equal when a reload from one to the other changes nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its name.
    pub name: JobName,
    /// When it is due, `offset` and `jitter` included.
    pub cadence: Cadence,
    /// The cadence as it was written, for people.
    pub cadence_text: String,
    /// The longest a round may take; `None` is until shortly before the next due, at most 10 minutes.
    pub deadline: Option<Duration>,
    /// Whether a round starts at once when the daemon does.
    pub run_on_start: bool,
    /// Who is asked with GET after each round that is complete and stored: a dead man's switch.
    pub ping: Option<Webhook>,
    /// How long its rounds are kept; `None` is for ever.
    pub retain: Option<Duration>,
    /// At least one; their names differ.
    pub endpoints: Vec<Endpoint>,
}

/// One endpoint of a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What it is called and shown as.
    pub label: EndpointLabel,
    /// Where it is: http or https. Where the URL changes with each round, an example of it.
    pub url: Url,
    /// The URL as it is written, where it changes with each round.
    pub changing_url: Option<Template>,
    /// The host with its port, which limits are kept by.
    pub host: Arc<str>,
    /// How it is asked; shared by the endpoints that ask alike.
    pub request: Arc<RequestSettings>,
}

/// How an endpoint is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestSettings {
    /// The method; `POST` where there is a body and nothing else is said.
    pub method: Method,
    /// The JSON text that is sent as the body.
    pub json: Option<Field>,
    /// Parameters that are added to the URL's own.
    pub query: Vec<(String, Field)>,
    /// The `User-Agent` header.
    pub user_agent: HeaderValue,
    /// One attempt, from connect to the last byte.
    pub timeout: Duration,
    /// The part of it until a connection stands.
    pub connect_timeout: Duration,
    /// The largest body in bytes, after decompression.
    pub max_body: u64,
    /// Further attempts after the first, for outcomes that may pass.
    pub retries: u32,
    /// Redirects that are followed, within the URL's own origin. By the same method, but for a 303, and a 301 or 302 that
    /// answers POST: these are followed by GET without a body.
    pub redirects: u32,
    /// Who asks.
    pub auth: Option<Auth>,
    /// Further headers.
    pub headers: Vec<(HeaderName, Field)>,
    /// The statuses that carry data; `None` is any 2xx.
    pub success: Option<Vec<u16>>,
    /// What in a document means failure.
    pub error_if: Option<ErrorIf>,
    /// Certificates (PEM) of authorities that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// The certificate that is shown to the server.
    pub identity: Option<Identity>,
    /// What connections go through.
    pub proxy: Proxy,
    /// How the parts of an answer in pages are found.
    pub pages: Option<Pages>,
    /// Whether the server is asked if the last document is still the same.
    pub conditional: bool,
    /// The most requests in flight at its host; the smallest of all its endpoints counts.
    pub max_per_host: Option<usize>,
    /// The least time between two requests to its host; the longest of all its endpoints counts.
    pub rate: Option<Duration>,
}

/// A rule for APIs that say 200 and mean failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorIf {
    /// Where to look (RFC 6901).
    pub pointer: Pointer,
    /// The JSON that means failure there; `None` is anything but null and false.
    pub equals: Option<String>,
}

/// A client certificate and its key (PEM files).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// The certificate, with its chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// What connections go through.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Proxy {
    /// What `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy` say.
    Environment,
    /// Nothing.
    None,
    /// This one.
    Through(Url),
}

impl Default for RequestSettings {
    fn default() -> Self {
        Self {
            method: Method::GET,
            json: None,
            query: Vec::new(),
            user_agent: HeaderValue::from_static(concat!("gatherd/", env!("CARGO_PKG_VERSION"))),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(3),
            max_body: 1024 * 1024,
            retries: 2,
            redirects: 0,
            auth: None,
            headers: Vec::new(),
            success: None,
            error_if: None,
            ca_file: None,
            identity: None,
            proxy: Proxy::Environment,
            pages: None,
            conditional: true,
            max_per_host: None,
            rate: None,
        }
    }
}

impl Endpoint {
    /// An endpoint named after its URL, for rounds without a config.
    ///
    /// # Errors
    /// When `url` is not an absolute http or https URL; the message says why and shows no secret.
    pub fn unnamed(url: &str, request: Arc<RequestSettings>) -> Result<Self, String> {
        let url = http_url(url)?;
        let shown = shown_url(&url);
        let label = EndpointLabel { name: shown.clone(), url: shown };
        Ok(Self { label, host: host_of(&url), url, changing_url: None, request })
    }

    /// The same for a URL in which blocks such as `{{ due }}` are filled in for each round.
    pub(super) fn changing(url: &str, request: Arc<RequestSettings>) -> Result<Self, String> {
        let like = |problem: String| format!("{problem}; right would be \"https://host/path\"");
        let Some(template) = Template::parse(url)? else {
            if url.contains("}}") {
                return Err("there is a }} without a {{ before it".to_owned());
            }
            return Self::unnamed(url, request).map_err(like);
        };
        let placeholders = template.with_placeholders();
        let held = http_url(&placeholders.text).map_err(like)?;
        let before_path = "a block may stand in the path and in the parameters, not before them";
        if placeholders.restore(&held[..Position::BeforePath]) != held[..Position::BeforePath] {
            return Err(before_path.to_owned());
        }
        let samples = template.samples(Escape::Url)?;
        let example = http_url(samples.first().map_or(url, String::as_str)).map_err(like)?;
        let shown = placeholders.restore(&shown_url(&held));
        let label = EndpointLabel { name: shown.clone(), url: shown };
        Ok(Self { label, host: host_of(&example), url: example, changing_url: Some(template), request })
    }
}

/// What a URL's host is called wherever hosts are counted or paused: its name or address, with the port.
#[must_use]
pub fn host_of(url: &Url) -> Arc<str> {
    // `localhost.` is `localhost`, asked for without the search list.
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default().to_string();
    [host.strip_suffix('.').unwrap_or(host), ":", &port].concat().into()
}

impl Job {
    /// The job as the timetable knows it.
    #[must_use]
    pub fn entry(&self) -> Entry {
        Entry {
            job: self.name.clone(),
            cadence: self.cadence.clone(),
            deadline: self.deadline,
            run_on_start: self.run_on_start,
        }
    }

    /// How many dues the week after `from` has.
    #[must_use]
    pub fn dues_a_week(&self, from: Timestamp) -> u64 {
        self.cadence.dues_between(from, from.plus(WEEK)).map_or(0, |dues| dues.count)
    }

    /// The ordered endpoints, as the database keeps them.
    #[must_use]
    pub fn layout(&self) -> Layout {
        let endpoints = self.endpoints.iter().map(|endpoint| endpoint.label.clone()).collect();
        Layout { job: self.name.clone(), endpoints }
    }
}

impl Settings {
    /// Reads and validates the file at `path`.
    ///
    /// # Errors
    /// Every mistake in it, or that it cannot be read.
    pub fn load(path: &Path) -> Result<Self, Mistakes> {
        Self::parse(path, &file::text_of(path)?)
    }

    /// Reads the config file as far as it can be understood, with defaults in the place of the rest, and its mistakes. For
    /// those who ask a daemon that runs: it has read a config that was right.
    #[must_use]
    pub fn load_despite_mistakes(path: &Path) -> (Self, Option<Mistakes>) {
        match file::text_of(path) {
            Ok(text) => Self::understand(path, &text),
            Err(mistakes) => (Self::understand(path, "").0, Some(mistakes)),
        }
    }

    /// Validates the text of a config file that stands at `path`, to which its relative paths refer.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn parse(path: &Path, text: &str) -> Result<Self, Mistakes> {
        let (settings, mistakes) = Self::understand(path, text);
        mistakes.map_or(Ok(settings), Err)
    }

    fn understand(path: &Path, text: &str) -> (Self, Option<Mistakes>) {
        let text = Text::new(text);
        let file = file::read(&text);
        let settings = Rules::new(&text, folder_of(path)).settings(path, file);
        let list = text.into_mistakes();
        let mistakes = (!list.is_empty()).then(|| Mistakes { file: path.to_owned(), list });
        (settings, mistakes)
    }

    /// The folder that relative paths in the config refer to.
    #[must_use]
    pub fn folder(&self) -> &Path {
        folder_of(&self.file)
    }
}

fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}
