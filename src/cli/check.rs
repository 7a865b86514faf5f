//! `gatherd check`: is the config right, and what will it do?

use std::collections::BTreeSet;
use std::io::{Write, stdout};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use chrono::Utc;

use super::args::CheckArgs;
use super::output::moment;
use crate::config::{Job, SecretSource, Settings};
use crate::model::Timestamp;

/// How many dues of each job are shown.
const DUES: usize = 3;

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let now = Timestamp::from(Utc::now());
    let mut out = stdout().lock();
    writeln!(out, "{}: right", args.config.display())?;
    writeln!(out, "database  {}", std::path::absolute(&settings.database)?.display())?;
    writeln!(out, "workers   {}", settings.workers)?;
    for job in &settings.jobs {
        let dues: Vec<String> = next_dues(job, now).map(|due| moment(due, args.utc)).collect();
        writeln!(out, "\njob {:?}  {}, {}", job.name.as_str(), job.cadence_text, counted(job.endpoints.len()))?;
        writeln!(out, "  due  {}", dues.join(", "))?;
        for (index, endpoint) in job.endpoints.iter().enumerate() {
            let (name, url) = (&endpoint.label.name, &endpoint.label.url);
            let shown = if name == url { url.clone() } else { format!("{name}  {url}") };
            writeln!(out, "  {:>3}  {shown}", index + 1)?;
        }
    }
    let secrets = secrets(&settings);
    if !secrets.is_empty() {
        writeln!(out, "\nsecrets")?;
    }
    for (shown, source) in secrets {
        match source.read(settings.folder()) {
            Ok(_) => writeln!(out, "  found    {shown}")?,
            Err(error) => writeln!(out, "  MISSING  {:#}; gatherd run would refuse", anyhow::Error::from(error))?,
        }
    }
    let files = files(&settings);
    if !files.is_empty() {
        writeln!(out, "\nfiles")?;
    }
    for path in files {
        match std::fs::File::open(settings.folder().join(path)) {
            Ok(_) => writeln!(out, "  found    {}", path.display())?,
            Err(error) => writeln!(out, "  MISSING  {}: {error}; gatherd run would refuse", path.display())?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Each certificate or key that the config names, once.
fn files(settings: &Settings) -> BTreeSet<&Path> {
    let requests = settings.jobs.iter().flat_map(|job| &job.endpoints).map(|endpoint| &endpoint.request);
    let named = requests.flat_map(|request| {
        let identity = request.identity.iter().flat_map(|identity| [&identity.certificate, &identity.key]);
        request.ca_file.iter().chain(identity)
    });
    named.map(PathBuf::as_path).collect()
}

fn next_dues(job: &Job, now: Timestamp) -> impl Iterator<Item = Timestamp> {
    std::iter::successors(job.cadence.next_after(now), |&due| job.cadence.next_after(due)).take(DUES)
}

fn counted(endpoints: usize) -> String {
    if endpoints == 1 { "1 endpoint".to_owned() } else { format!("{endpoints} endpoints") }
}

/// Each secret that the config names, once, by its text.
pub fn secrets(settings: &Settings) -> Vec<(String, SecretSource)> {
    let tokens = settings
        .jobs
        .iter()
        .flat_map(|job| &job.endpoints)
        .filter_map(|endpoint| Some(endpoint.request.auth.as_ref()?.secret()));
    let mut seen = BTreeSet::new();
    let named = tokens.chain(&settings.server.token).map(|source| (source.to_string(), source.clone()));
    named.filter(|(shown, _)| seen.insert(shown.clone())).collect()
}
