//! `gatherd check`: is the config right, and what will it do?

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{self, IsTerminal, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;

use super::exit::CONFIG;
use super::output::{moment, plain_text};
use super::plan::{beyond_rates, following, strictest_rates};
use crate::config::{Endpoint, Job, Notify, RequestSettings, SecretError, SecretSource, SecretUrl, Settings, Webhook};
use crate::fetch::{wrong_files, wrong_proxy};
use crate::model::{JobName, Timestamp};

/// How many dues of each job are shown.
const DUES: usize = 3;

/// `gatherd check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The config file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Show times in UTC instead of local ones
    #[arg(long)]
    pub utc: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let now = Timestamp::from(Utc::now());
    let wrong = wrong(&settings);
    let secrets: Vec<_> = secrets(&settings).into_iter().map(|named| (named.error(settings.folder()), named)).collect();
    let proxies: BTreeSet<String> = requests(&settings).filter_map(wrong_proxy).map(with_causes).collect();
    // What is missing may be there for the service.
    let unusable = secrets.iter().filter_map(|(error, _)| error.as_ref().filter(|error| !error.is_missing()));
    let mut problems: Vec<String> = unusable.map(with_causes).collect();
    problems.extend(wrong.values().chain(&proxies).cloned());
    let is_right = problems.is_empty();
    let mut out = stdout().lock();
    let verdict = if is_right { "right" } else { "right, but not what it names, see WRONG below" };
    writeln!(out, "{}: {verdict}", args.config.display())?;
    let database = std::path::absolute(&settings.database)?;
    writeln!(out, "database  {}", database.display())?;
    if let Some(folder) = database.parent().filter(|folder| !folder.is_dir()) {
        writeln!(out, "  MISSING  the folder {}; gatherd run would refuse", folder.display())?;
    }
    writeln!(out, "workers   {}", settings.workers)?;
    let rates = strictest_rates(&settings);
    for job in &settings.jobs {
        describe(job, now, args.utc, &mut out)?;
        for problem in beyond_rates(&rates, job, now) {
            writeln!(out, "  TOO SLOW  {}", plain_text(problem))?;
        }
    }
    told(&settings, &mut out)?;
    found_secrets(secrets, &mut out)?;
    found_files(&settings, &wrong, &mut out)?;
    for problem in &proxies {
        writeln!(out, "\n  WRONG    {problem}; gatherd run would refuse")?;
    }
    if !out.is_terminal() {
        // A unit's ExecReload has no other way to say why it refuses.
        problems.iter().try_for_each(|problem| writeln!(stderr(), "gatherd: {problem}"))?;
    }
    Ok(if is_right { ExitCode::SUCCESS } else { CONFIG.into() })
}

/// When it is due, and whom it asks.
fn describe(job: &Job, now: Timestamp, utc: bool, out: &mut impl Write) -> io::Result<()> {
    let dues: Vec<String> = following(job, now).take(DUES).map(|due| moment(due, utc)).collect();
    writeln!(out, "\njob {:?}  {}, {}", job.name.as_str(), job.cadence_text, counted(job.endpoints.len()))?;
    writeln!(out, "  due  {}", dues.join(", "))?;
    if let Some(ping) = &job.ping {
        writeln!(out, "  ping {}", plain_text(ping.url.to_string()))?;
    }
    for (index, endpoint) in job.endpoints.iter().enumerate() {
        let (name, url) = (&endpoint.label.name, &endpoint.label.url);
        let shown = if name == url { url.clone() } else { format!("{name}  {url}") };
        writeln!(out, "  {:>3}  {}", index + 1, plain_text(shown))?;
    }
    Ok(())
}

fn found_secrets(secrets: Vec<(Option<SecretError>, Named)>, out: &mut impl Write) -> io::Result<()> {
    if !secrets.is_empty() {
        writeln!(out, "\nsecrets")?;
    }
    for (error, Named { shown, users, .. }) in secrets {
        let Some(error) = error else {
            writeln!(out, "  found    {shown}")?;
            continue;
        };
        let word = if error.is_missing() { "MISSING" } else { "WRONG  " };
        writeln!(out, "  {word}  {} ({}); gatherd run would refuse", with_causes(&error), counted_users(&users))?;
    }
    Ok(())
}

fn found_files(settings: &Settings, wrong: &BTreeMap<PathBuf, String>, out: &mut impl Write) -> io::Result<()> {
    let files = files(settings);
    if !files.is_empty() {
        writeln!(out, "\nfiles")?;
    }
    for path in files {
        let there = settings.folder().join(path);
        match (std::fs::File::open(&there), wrong.get(&there)) {
            (Ok(_), None) => writeln!(out, "  found    {}", path.display())?,
            (Ok(_), Some(problem)) => writeln!(out, "  WRONG    {problem}; gatherd run would refuse")?,
            (Err(error), _) => writeln!(out, "  MISSING  {}: {error}; gatherd run would refuse", path.display())?,
        }
    }
    Ok(())
}

/// Who is told, their URLs masked.
fn told(settings: &Settings, out: &mut impl Write) -> io::Result<()> {
    if !settings.notify.is_empty() {
        writeln!(out, "\nnotify")?;
    }
    for Notify { name, webhook, kind, after, pause, jobs } in &settings.notify {
        let jobs = jobs.as_ref().map_or_else(
            || "all jobs".to_owned(),
            |jobs| jobs.iter().map(JobName::as_str).collect::<Vec<_>>().join(", "),
        );
        let rounds = if *after == 1 { "1 round".to_owned() } else { format!("{after} rounds in a row") };
        let pause = humantime::format_duration(*pause);
        let line = format!("{name}  {}  {}  after {rounds}, pause {pause}, {jobs}", kind.as_str(), webhook.url);
        writeln!(out, "  {}", plain_text(line))?;
    }
    Ok(())
}

/// Those who are told by HTTP, and what they are called.
fn webhooks(settings: &Settings) -> impl Iterator<Item = (&Webhook, String)> {
    let told = settings.notify.iter().map(|notify| (&notify.webhook, format!("[[notify]] {:?}", notify.name)));
    let pings = settings
        .jobs
        .iter()
        .filter_map(|job| Some((job.ping.as_ref()?, format!("the ping_url of job {:?}", job.name.as_str()))));
    told.chain(pings)
}

/// How everybody is asked and told.
fn requests(settings: &Settings) -> impl Iterator<Item = &RequestSettings> {
    let asked = settings.jobs.iter().flat_map(|job| &job.endpoints).map(|endpoint| &endpoint.request);
    asked.chain(webhooks(settings).map(|(webhook, _)| &webhook.request)).map(AsRef::as_ref)
}

/// What is wrong with certificates and keys that are there, by file.
fn wrong(settings: &Settings) -> BTreeMap<PathBuf, String> {
    let mut seen = HashSet::new();
    let different = requests(settings).filter(|request| seen.insert((&request.ca_file, &request.identity)));
    let errors = different.flat_map(|request| wrong_files(request, settings.folder()));
    let there = errors.filter_map(|error| {
        let path = error.path().filter(|path| path.exists())?.to_owned();
        Some((path, with_causes(error)))
    });
    there.collect()
}

/// Each certificate or key that the config names, once.
fn files(settings: &Settings) -> BTreeSet<&Path> {
    let named = requests(settings).flat_map(|request| {
        let identity = request.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        request.ca_file.iter().chain(identity)
    });
    named.map(PathBuf::as_path).collect()
}

/// An error with its causes.
fn with_causes(error: impl std::error::Error) -> String {
    let causes = std::iter::successors(Some(&error as &dyn std::error::Error), |error| error.source());
    plain_text(causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
}

fn counted(endpoints: usize) -> String {
    if endpoints == 1 { "1 endpoint".to_owned() } else { format!("{endpoints} endpoints") }
}

/// A secret that the config names, and what asks with it.
pub struct Named {
    shown: String,
    source: SecretSource,
    /// Whether it is the URL of a webhook.
    is_url: bool,
    users: Vec<String>,
}

impl Named {
    /// Why it cannot be used, if so; a relative file is looked for in `folder`.
    pub fn error(&self, folder: &Path) -> Option<SecretError> {
        match &self.source {
            source if self.is_url => SecretUrl::Named(source.clone()).read(folder).err(),
            source => source.read(folder).err(),
        }
    }
}

/// Each secret that the config names, once, by its text.
pub fn secrets(settings: &Settings) -> Vec<Named> {
    let mut all: Vec<Named> = Vec::new();
    let mut add = |source: &SecretSource, is_url: bool, user: String| {
        let shown = plain_text(source.to_string());
        match all.iter_mut().find(|named| named.shown == shown) {
            Some(named) => {
                named.users.push(user);
                named.is_url |= is_url;
            }
            None => all.push(Named { shown, source: source.clone(), is_url, users: vec![user] }),
        }
    };
    for job in &settings.jobs {
        let secret = |endpoint: &Endpoint| endpoint.request.auth.as_ref().map(|auth| auth.secret().clone());
        let first = job.endpoints.first().and_then(secret);
        let name = job.name.as_str();
        if let Some(first) =
            first.filter(|first| job.endpoints.iter().all(|other| secret(other).as_ref() == Some(first)))
        {
            add(&first, false, format!("job {name:?}"));
            continue;
        }
        for endpoint in &job.endpoints {
            if let Some(source) = secret(endpoint) {
                add(&source, false, format!("job {name:?}, endpoint {:?}", endpoint.label.name));
            }
        }
    }
    if let Some(source) = &settings.server.token {
        add(source, false, "[server]".to_owned());
    }
    for (webhook, user) in webhooks(settings) {
        if let SecretUrl::Named(source) = &webhook.url {
            add(source, true, user.clone());
        }
        if let Some(auth) = &webhook.request.auth {
            add(auth.secret(), false, user);
        }
    }
    all
}

/// The first of `users`, and how many more there are.
fn counted_users(users: &[String]) -> String {
    let first = users.first().map_or("", String::as_str);
    if users.len() > 1 { format!("{first}, and {} more", users.len() - 1) } else { first.to_owned() }
}
