//! The rules of a config: defaults are filled in, ranges and combinations checked, the nearest key wins.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::file::{EndpointKeys, File, JobKeys};
use super::request_keys::RequestKeys;
use super::section::{Located, Place, Text};
use super::settings::{Endpoint, Job, RequestSettings, Settings};
use super::webhook::Webhook;
use crate::model::{JobName, MOST_ENDPOINTS, TimeZone};
use crate::schedule::{Cadence, jitter_of};

/// The shortest `every`.
const SHORTEST_PERIOD: Duration = Duration::from_millis(100);
/// The longest `every`, `timeout` and `deadline`: a year, far beyond use, near enough to keep arithmetic safe.
const LONGEST: Duration = Duration::from_hours(24 * 366);
/// The most threads that may be asked for.
const MOST_WORKERS: usize = 8192;
/// The rules, and where breaches are noted.
pub struct Rules<'a, 'i> {
    pub(super) text: &'a Text<'i>,
    folder: &'a Path,
    /// The keys that were not understood: what seems to be missing beside one may be what it was meant to be.
    not_read: Vec<String>,
}

impl<'a, 'i> Rules<'a, 'i> {
    /// The rules for the file that was read from `text`; relative paths refer to `folder`.
    pub fn new(text: &'a Text<'i>, folder: &'a Path) -> Self {
        Self { text, folder, not_read: text.mistaken_keys() }
    }

    /// The settings of `file`; each breach of a rule is noted, and a default stands in its place.
    pub fn settings(&self, path: &Path, file: File) -> Settings {
        let retain = self.retain(file.retain.as_ref(), None);
        // What each job overrides is wrong all the same. A certificate may have its key in a job.
        self.request(&[&RequestKeys { client_cert: None, client_key: None, ..file.defaults.clone() }]);
        let jobs = self.jobs(&file.defaults, retain, file.jobs);
        Settings {
            file: path.to_owned(),
            database: self.database(file.database),
            workers: self.within("", file.workers, 64, 1..=MOST_WORKERS),
            grace: self.span(file.grace.as_ref(), Duration::ZERO).unwrap_or(Duration::from_secs(10)),
            retain,
            server: self.server(file.server),
            maintenance: self.maintenance(file.maintenance),
            notify: self.notify(file.notify, &file.defaults, &jobs),
            jobs,
        }
    }

    pub(super) fn missing(&self, place: &Place, problem: &str) {
        if self.is_read(place) {
            self.text.mistake(place, problem);
        }
    }

    /// Whether all that stands in the section at `place` was understood.
    fn is_read(&self, place: &Place) -> bool {
        !self.not_read.iter().any(|key| key.is_empty() || key.starts_with(&place.key))
    }

    fn database(&self, key: Option<Located<String>>) -> PathBuf {
        let usual = || Located { value: "gatherd.db".to_owned(), place: Place::line(1) };
        let Located { value: name, place } = key.unwrap_or_else(usual);
        let path = self.beside_database(Path::new(&name));
        if name.is_empty() {
            self.missing(&place, "the path of a file is needed, such as \"gatherd.db\"");
        } else if path.is_dir() {
            let inside = Path::new(&name).join("gatherd.db");
            let problem = format!("{} is a folder; a file is needed, such as \"{}\"", path.display(), inside.display());
            self.text.mistake(&place, problem);
        }
        path
    }

    /// A path that is written to, where the database is by default.
    pub(super) fn beside_database(&self, name: &Path) -> PathBuf {
        // systemd's StateDirectory= is where a service may write; several are separated by colons.
        let state = std::env::var("STATE_DIRECTORY").ok();
        let state = state.as_deref().and_then(|list| list.split(':').next()).filter(|folder| !folder.is_empty());
        state.map_or(self.folder, Path::new).join(name)
    }

    pub(super) fn within<T: PartialOrd + std::fmt::Display + Copy>(
        &self,
        unit: &str,
        key: Option<Located<T>>,
        default: T,
        range: std::ops::RangeInclusive<T>,
    ) -> T {
        let Some(Located { value, place }) = key else { return default };
        if !range.contains(&value) {
            self.text.mistake(&place, format!("from {} to {}{unit}, not {value}", range.start(), range.end()));
        }
        value
    }

    /// A duration of at least `least` and at most a year.
    pub(super) fn span(&self, key: Option<&Located<Duration>>, least: Duration) -> Option<Duration> {
        let Located { value, place } = key?;
        if *value < least || *value > LONGEST {
            let least = humantime::format_duration(least);
            self.text.mistake(place, format!("from {least} to 366 days"));
        }
        Some(*value)
    }

    fn jobs(&self, defaults: &RequestKeys, retain: Option<Duration>, jobs: Vec<JobKeys>) -> Vec<Job> {
        if jobs.is_empty() {
            self.missing(&Place::line(1), "no [[job]]: at least one is needed");
        }
        let mut seen = HashMap::new();
        for name in jobs.iter().filter_map(|job| job.name.as_ref()) {
            if let Some(line) = seen.insert(name.value.as_str(), name.place.line) {
                self.text.mistake(&name.place, format!("a job of this name stands on line {line} already"));
            }
        }
        let pinging = Arc::new(self.request(&[&defaults.connection()]));
        jobs.into_iter().map(|job| self.job(defaults, &pinging, retain, job)).collect()
    }

    fn job(
        &self,
        defaults: &RequestKeys,
        pinging: &Arc<RequestSettings>,
        retain: Option<Duration>,
        keys: JobKeys,
    ) -> Job {
        let name = self.job_name(&keys);
        let (cadence, cadence_text) = self.cadence(&keys);
        let cadence = self.shifted(cadence, &keys, &name);
        let layers = [&keys.request, defaults];
        let shared = Arc::new(self.request(&layers));
        let endpoints = match keys.endpoints {
            Some(list) if list.value.is_empty() => {
                self.missing(&list.place, "at least one endpoint is needed");
                Vec::new()
            }
            Some(list) => self.endpoints(list.value, &layers, &shared),
            None => {
                self.missing(&keys.place, "`endpoints` is missing: endpoints = [\"https://…\"]");
                Vec::new()
            }
        };
        Job {
            cadence,
            name: JobName::new(&name),
            cadence_text,
            deadline: self.span(keys.deadline.as_ref(), Duration::from_millis(1)),
            run_on_start: keys.run_on_start.is_some_and(|key| key.value),
            ping: keys.ping_url.map(|key| Webhook { url: key.value, request: Arc::clone(pinging) }),
            retain: self.retain(keys.retain.as_ref(), retain),
            endpoints,
        }
    }

    fn job_name(&self, keys: &JobKeys) -> String {
        let Some(Located { value, place }) = &keys.name else {
            self.missing(&keys.place, "`name` is missing: its history is kept under it");
            return String::new();
        };
        self.name(value, place);
        value.clone()
    }

    pub(super) fn name(&self, name: &str, place: &Place) {
        if name.trim().is_empty() || name.len() > 200 || name.chars().any(char::is_control) {
            self.text.mistake(place, "a name is one line of 1 to 200 bytes");
        }
    }

    fn cadence(&self, keys: &JobKeys) -> (Cadence, String) {
        let fallback = (Cadence::every(Duration::from_mins(1)), String::new());
        match (&keys.every, &keys.cron) {
            (Some(every), None) => {
                if let Some(timezone) = &keys.timezone {
                    self.text.mistake(&timezone.place, "goes with `cron`; `every` is aligned to UTC");
                }
                self.span(Some(every), SHORTEST_PERIOD);
                (Cadence::every(every.value), format!("every {}", humantime::format_duration(every.value)))
            }
            (None, Some(cron)) => self.cron(cron, keys.timezone.as_ref()).unwrap_or(fallback),
            (Some(every), Some(cron)) => {
                self.text.mistake(&cron.place, "a job has `every` or `cron`, not both");
                self.span(Some(every), SHORTEST_PERIOD);
                self.cron(cron, keys.timezone.as_ref()).unwrap_or(fallback)
            }
            (None, None) => {
                self.missing(&keys.place, "when is it due? every = \"1m\", or cron = \"*/5 * * * *\"");
                fallback
            }
        }
    }

    fn cron(&self, cron: &Located<String>, timezone: Option<&Located<String>>) -> Option<(Cadence, String)> {
        let zone = timezone.map_or(Some(TimeZone::UTC), |timezone| {
            let zone = timezone.value.parse().ok();
            if zone.is_none() {
                self.text.mistake(&timezone.place, unknown_zone(&timezone.value));
            }
            zone
        });
        match Cadence::cron(&cron.value, zone.unwrap_or(TimeZone::UTC)) {
            Ok(cadence) => Some((cadence, format!("cron {} ({})", cron.value, zone?))),
            Err(error) => {
                self.text.mistake(
                    &cron.place,
                    format!("{}; right would be \"*/5 * * * *\"", error.to_string().trim_end_matches('.')),
                );
                None
            }
        }
    }

    fn shifted(&self, cadence: Cadence, keys: &JobKeys, name: &str) -> Cadence {
        let mut shift = Duration::ZERO;
        for (key, part) in [(&keys.offset, None), (&keys.jitter, Some(name))] {
            let Some(span) = self.span(key.as_ref(), Duration::ZERO) else { continue };
            if let (Some(key), Some(every)) = (key, &keys.every)
                && span >= every.value
            {
                self.text.mistake(&key.place, "has to be shorter than `every`");
            }
            shift += part.map_or(span, |name| jitter_of(name, span));
        }
        cadence.shifted(shift)
    }

    fn endpoints(&self, list: Vec<EndpointKeys>, job: &[&RequestKeys], shared: &Arc<RequestSettings>) -> Vec<Endpoint> {
        let mut names = HashSet::new();
        for name in list.iter().filter_map(|keys| keys.name.as_ref()) {
            self.name(&name.value, &name.place);
            if !names.insert(name.value.clone()) {
                self.text.mistake(&name.place, format!("another endpoint of this job is called {:?}", name.value));
            }
        }
        if let Some(one_too_many) = list.get(MOST_ENDPOINTS) {
            self.text.mistake(&one_too_many.url.place, format!("a job has at most {MOST_ENDPOINTS} endpoints"));
        }
        let mut endpoints = Vec::with_capacity(list.len());
        for EndpointKeys { name, url: Located { value, place }, request: mut own } in list {
            let found = Endpoint::changing(&value, Arc::clone(shared));
            own.userinfo = found.as_ref().ok().filter(|found| names_a_user(&found.url)).map(|_| place.clone());
            let request = if own.is_empty() {
                Arc::clone(shared)
            } else {
                let layers: Vec<&RequestKeys> = std::iter::once(&own).chain(job.iter().copied()).collect();
                Arc::new(self.request(&layers))
            };
            match found {
                Ok(mut endpoint) => {
                    endpoint.request = request;
                    endpoint.label.name = match name {
                        Some(name) => name.value,
                        None => free_name(&mut names, &endpoint.label.url),
                    };
                    endpoints.push(endpoint);
                }
                Err(problem) => self.text.mistake(&place, problem),
            }
        }
        endpoints
    }
}

fn unknown_zone(name: &str) -> String {
    let near = TimeZone::names().map(|zone| (strsim::damerau_levenshtein(name, &zone), zone));
    match near.min() {
        Some((distance, zone)) if distance <= 3 && distance < name.len() => {
            format!("{name:?} is not a time zone; did you mean {zone:?}?")
        }
        _ => format!("{name:?} is not a time zone of the IANA database, such as \"Europe/Berlin\""),
    }
}

/// `url`, or `url #2` and so on when an endpoint of that name is there already.
pub fn free_name(names: &mut HashSet<String>, url: &str) -> String {
    let mut name = url.to_owned();
    let mut number = 1;
    while !names.insert(name.clone()) {
        number += 1;
        name = format!("{url} #{number}");
    }
    name
}

/// Whether a user or a password stands in `url`.
pub fn names_a_user(url: &Url) -> bool {
    !url.username().is_empty() || url.password().is_some()
}

/// An absolute http or https URL, or what is wrong with it, without repeating it.
pub fn http_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text);
    if let Ok(url) = &url
        && url.has_host()
        && !matches!(url.scheme(), "http" | "https")
    {
        return Err(format!("the scheme `{}` is not http or https", url.scheme()));
    }
    // `localhost:80/x` would be a URL of the scheme `localhost`.
    let scheme = text.trim_start().split_once(':').map_or("", |(scheme, _)| scheme);
    if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        return Err("not a URL: it has to begin with http:// or https://".to_owned());
    }
    url.map_err(|error| format!("not a URL: {error}"))
}
