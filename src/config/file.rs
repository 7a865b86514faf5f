//! The mirror of `config.toml`: every key that may stand there, each optional, each value with its line.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::DeValue;

use super::mistake::Mistakes;
use super::notify::{self, NotifyKeys};
use super::request_keys::{self, RequestKeys, secret};
use super::secret::SecretSource;
use super::section::{Located, OrFalse, Place, Section, Text};
use super::value;
use super::webhook::{SecretUrl, secret_url};

/// How long rounds are kept; the inner `None` is for ever.
type Retain = Option<Located<Option<Duration>>>;

/// The file.
#[derive(Debug, Default)]
pub struct File {
    pub database: Option<Located<String>>,
    pub workers: Option<Located<usize>>,
    pub grace: Option<Located<Duration>>,
    pub retain: Retain,
    pub server: ServerKeys,
    pub maintenance: MaintenanceKeys,
    pub defaults: RequestKeys,
    pub jobs: Vec<JobKeys>,
    pub notify: Vec<NotifyKeys>,
}

/// `[server]`.
#[derive(Debug, Default)]
pub struct ServerKeys {
    pub listen: OrFalse<String>,
    pub token: Option<Located<SecretSource>>,
    pub hosts: Option<Located<Vec<String>>>,
}

/// `[maintenance]`.
#[derive(Debug, Default)]
pub struct MaintenanceKeys {
    pub at: Option<Located<String>>,
    pub backup: Option<BackupKeys>,
}

/// `backup` in it.
#[derive(Debug)]
pub struct BackupKeys {
    pub place: Place,
    pub folder: Option<Located<PathBuf>>,
    pub keep: Option<Located<usize>>,
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
    pub ping_url: Option<Located<SecretUrl>>,
    pub retain: Retain,
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

/// The text of the config at `path`.
///
/// # Errors
/// When it cannot be read, with what may help; or is not UTF-8.
pub fn text_of(path: &Path) -> Result<String, Mistakes> {
    let bytes = std::fs::read(path).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound => "gatherd init writes a new one, --config names another".to_owned(),
            ErrorKind::PermissionDenied => {
                format!("this is user {}; sudo, or a user who may read it", rustix::process::geteuid())
            }
            _ => "--config names another".to_owned(),
        };
        Mistakes::one(path, 0, format!("cannot read it: {error} ({hint})"))
    })?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = 1 + valid.iter().filter(|&&byte| byte == b'\n').count();
        Mistakes::one(path, line, "not UTF-8, as TOML has to be")
    })
}

/// Reads the file; what is wrong is noted in `text`.
pub fn read(text: &Text<'_>) -> File {
    let document = text.parse();
    let top = Section::top(text, &document);
    let file = File {
        database: top.take("database", value::text),
        workers: top.take("workers", value::whole_number),
        grace: top.take("grace", value::duration),
        retain: top.take("retain", value::retention),
        server: top.take_section("server").map(server).unwrap_or_default(),
        maintenance: top.take_section("maintenance").map(maintenance).unwrap_or_default(),
        defaults: top.take_section("defaults").map(defaults).unwrap_or_default(),
        jobs: top.take_named("job").into_iter().map(job).collect(),
        notify: top.take_named("notify").into_iter().map(notify::keys).collect(),
    };
    top.finish();
    file
}

fn server(section: Section<'_, '_>) -> ServerKeys {
    let keys = ServerKeys {
        listen: section.take("listen", value::text_or_false),
        token: secret(&section, "token"),
        hosts: section.take("hosts", value::texts),
    };
    section.finish();
    keys
}

fn maintenance(section: Section<'_, '_>) -> MaintenanceKeys {
    let backup = section.take_section("backup").map(|backup| {
        let keys = BackupKeys {
            place: backup.place.clone(),
            folder: backup.take("folder", value::path),
            keep: backup.take("keep", value::whole_number),
        };
        backup.finish();
        keys
    });
    let keys = MaintenanceKeys { at: section.take("at", value::text), backup };
    section.finish();
    keys
}

fn defaults(section: Section<'_, '_>) -> RequestKeys {
    let keys = request_keys::read(&section);
    section.finish();
    keys
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
        ping_url: section.take("ping_url", secret_url),
        retain: section.take("retain", value::retention),
        request: request_keys::read(&section),
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
    let request = request_keys::read(&section);
    if url.is_none() && value.get_ref().get("url").is_none() {
        section.mistake("an endpoint needs a `url`");
    }
    section.finish();
    Some(EndpointKeys { name, url: url?, request })
}
