//! `[[notify]]`: who is told when endpoints fail and recover, and when the daemon itself is in trouble.

use std::collections::HashSet;
use std::time::Duration;

use toml::de::DeValue;

use super::mistake::meant;
use super::request_keys::{self, RequestKeys};
use super::rules::{Rules, free_name, names_a_user};
use super::section::{Located, Place, Section};
use super::settings::Job;
use super::value;
use super::webhook::{SecretUrl, Webhook, secret_url};
use crate::model::JobName;

/// The most `after`.
const MOST_ROUNDS: u32 = 1000;

/// One that is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notify {
    /// What it is called: the key of what is remembered of it.
    pub name: String,
    /// Where it is told.
    pub webhook: Webhook,
    /// In which form.
    pub kind: NotifyKind,
    /// So many rounds in a row have to fail before an endpoint is told, at least 1.
    pub after: u32,
    /// The least time between two messages that endpoints of one host fail.
    pub pause: Duration,
    /// The jobs that it is told about; `None` is all.
    pub jobs: Option<Vec<JobName>>,
}

/// The form of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotifyKind {
    /// A JSON object, which README.md documents.
    Json,
    /// `{"text": …}`, as Slack, Mattermost and Discord (with `/slack` behind its URL) take it.
    Slack,
    /// A text with the headers of ntfy.
    Ntfy,
}

impl NotifyKind {
    /// The word in the config.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Ntfy => "ntfy",
        }
    }
}

impl Notify {
    /// Whether it is told about this job.
    #[must_use]
    pub fn is_about(&self, job: &JobName) -> bool {
        self.jobs.as_ref().is_none_or(|jobs| jobs.contains(job))
    }
}

/// What is written, each value with its line.
#[derive(Debug)]
pub struct NotifyKeys {
    place: Place,
    name: Option<Located<String>>,
    url: Option<Located<SecretUrl>>,
    kind: Option<Located<NotifyKind>>,
    after: Option<Located<u32>>,
    pause: Option<Located<Duration>>,
    jobs: Option<Located<Vec<String>>>,
    request: RequestKeys,
}

/// Takes the keys of one.
pub fn keys(section: Section<'_, '_>) -> NotifyKeys {
    let url = section.take("url", secret_url);
    let with_user = |key: &&Located<SecretUrl>| matches!(&key.value, SecretUrl::Written(url) if names_a_user(url));
    let userinfo = url.as_ref().filter(with_user).map(|key| key.place.clone());
    let keys = NotifyKeys {
        place: section.place.clone(),
        name: section.take("name", value::text),
        url,
        kind: section.take("kind", kind),
        after: section.take("after", value::whole_number),
        pause: section.take("pause", value::duration),
        jobs: section.take("jobs", value::texts),
        request: RequestKeys { userinfo, ..request_keys::read_of_webhook(&section) },
    };
    section.finish();
    keys
}

fn kind(value: &DeValue<'_>) -> Result<NotifyKind, String> {
    let text = value::text(value)?;
    match text.as_str() {
        "json" => Ok(NotifyKind::Json),
        "slack" => Ok(NotifyKind::Slack),
        "ntfy" => Ok(NotifyKind::Ntfy),
        "mattermost" => Err(r#"Mattermost takes kind = "slack""#.to_owned()),
        "discord" => Err(r#"Discord takes kind = "slack" at its URL with /slack behind it"#.to_owned()),
        _ => Err(format!("{text:?} is not one of \"json\", \"slack\" and \"ntfy\"")),
    }
}

impl Rules<'_, '_> {
    /// Who is told about `jobs`. Of `defaults` counts how connections are made, not who asks: credentials are for APIs.
    pub(super) fn notify(&self, list: Vec<NotifyKeys>, defaults: &RequestKeys, jobs: &[Job]) -> Vec<Notify> {
        let mut names = HashSet::new();
        for name in list.iter().filter_map(|keys| keys.name.as_ref()) {
            self.name(&name.value, &name.place);
            if !names.insert(name.value.clone()) {
                self.text.mistake(&name.place, format!("another [[notify]] is called {:?}", name.value));
            }
        }
        let connection = defaults.connection();
        let mut told = Vec::new();
        for keys in list {
            let request = self.request(&[&keys.request, &connection]).into();
            let kind = keys.kind.map_or(NotifyKind::Json, |kind| kind.value);
            let after = self.within(" rounds", keys.after, 3, 1..=MOST_ROUNDS);
            let pause = self.span(keys.pause.as_ref(), Duration::ZERO).unwrap_or(Duration::from_hours(1));
            let jobs = keys.jobs.map(|wanted| self.known_jobs(&wanted, jobs));
            let name = keys.name.map_or_else(|| free_name(&mut names, kind.as_str()), |name| name.value);
            match keys.url {
                Some(url) => {
                    let webhook = Webhook { url: url.value, request };
                    told.push(Notify { name, webhook, kind, after, pause, jobs });
                }
                None => self.missing(&keys.place, "`url` is missing: who is told?"),
            }
        }
        told
    }

    fn known_jobs(&self, wanted: &Located<Vec<String>>, jobs: &[Job]) -> Vec<JobName> {
        let is_known = |name: &&String| jobs.iter().any(|job| job.name.as_str() == name.as_str());
        for name in wanted.value.iter().filter(|name| !is_known(name)) {
            let meant = meant(name, jobs.iter().map(|job| job.name.as_str()));
            let hint = meant.map(|job| format!("; did you mean {job:?}?")).unwrap_or_default();
            self.text.mistake(&wanted.place, format!("no job is called {name:?}{hint}"));
        }
        if wanted.value.is_empty() {
            self.text.mistake(&wanted.place, "at least one job; without `jobs` it is told about all");
        }
        wanted.value.iter().map(|name| JobName::new(name)).collect()
    }
}
