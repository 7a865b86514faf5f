//! `gatherd why`: how an endpoint does, since when, what came back, and what to try.

mod advice;
mod json;
mod text;

use std::io::{Write, stdout};
use std::process::ExitCode;

use chrono::Utc;
use clap_complete::engine::ArgValueCandidates;
use url::Url;

use super::exit::{Failure, NO};
use super::moment::moment;
use super::names;
use super::query::zone;
use super::source::{self, ReaderArgs};
use crate::config::host_of;
use crate::model::Timestamp;
use crate::store::read::Reader;
use crate::store::why::{EndpointStatus, StoredSlot};

/// What is asked about, and what was found.
pub struct Answer<'a> {
    pub job: &'a str,
    pub endpoint: &'a str,
    pub status: EndpointStatus,
    /// Until when the endpoint's host asked to be left alone, if that is still to come.
    pub left_alone_until: Option<Timestamp>,
    /// What to try about the failure that is shown.
    pub advice: Vec<String>,
}

/// `gatherd why`.
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    /// The job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: String,
    /// The endpoint: its name, a part of it that no other has, or its number in the job
    #[arg(add = ArgValueCandidates::new(names::endpoints))]
    pub endpoint: String,
    /// As it was then: 2026-01-31, "2026-01-31 14:00", 2026-01-31T14:00:00Z, or 2h for two hours ago [default: the newest round]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Print a JSON object, with times in UTC
    #[arg(long)]
    pub json: bool,
    /// Show times in UTC instead of local ones, and read --at so
    #[arg(long)]
    pub utc: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderArgs,
}

pub fn run(args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let now = Utc::now();
    let at = args.at.as_deref().map(|text| moment("--at", text, zone(args.utc))).transpose()?;
    let reader = args.reader.open()?;
    source::known_job(&reader, Some(&args.job))?;
    let endpoint = endpoint(&reader, &args.job, &args.endpoint)?;
    let Some(status) = reader.status(&args.job, &endpoint, at)? else {
        let then = if at.is_some() { " at that time or before" } else { "" };
        return no(format!("no round with {endpoint:?} has ended{then}; gatherd rounds shows what there is"));
    };
    let advised = |slot| advice::advice(&advice::Failure::of(slot, &status.url));
    let advice = failure(&status).map(advised).unwrap_or_default();
    let left_alone_until = if at.is_none() { left_alone_until(&reader, &status.url, now.into())? } else { None };
    let answer = Answer { job: &args.job, endpoint: &endpoint, status, left_alone_until, advice };
    let printed = if args.json { json::of(&answer)? } else { text::of(&answer, args.utc) };
    stdout().lock().write_all(printed.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// The name of the endpoint that `text` means: its name, its number in the job as `gatherd check` shows it, or a part of
/// the name that no other endpoint has, whatever its case.
fn endpoint(reader: &Reader, job: &str, text: &str) -> anyhow::Result<String> {
    let endpoints = reader.endpoints(job)?;
    if endpoints.iter().any(|name| name == text) {
        return Ok(text.to_owned());
    }
    let number = text.parse::<u32>().ok().and_then(|number| number.checked_sub(1));
    if let Some(position) = number
        && let Some(name) = reader.endpoint_at(job, position)?
    {
        return Ok(name);
    }
    let part = text.to_lowercase();
    let having: Vec<String> = endpoints.iter().filter(|name| name.to_lowercase().contains(&part)).cloned().collect();
    let problem = match having.as_slice() {
        [only] => return Ok(only.clone()),
        [] => format!("no endpoint {text:?} in job {job:?}{}", source::hint(&endpoints, text)),
        several => {
            format!("{text:?} stands in the names of several endpoints of job {job:?}{}", source::listed(several))
        }
    };
    Err(Failure { message: problem, code: NO }.into())
}

/// The failure that is explained: the slot itself, or the last one of an endpoint that is well or failed before it was
/// cancelled.
fn failure(status: &EndpointStatus) -> Option<&StoredSlot> {
    let failing = status.run.is_some_and(|run| !run.ok);
    if status.slot.is_ok() || (status.slot.is_cancelled() && failing) {
        status.last_failure.as_ref()
    } else {
        Some(&status.slot)
    }
}

fn no(message: String) -> anyhow::Result<ExitCode> {
    Err(Failure { message, code: NO }.into())
}

fn left_alone_until(reader: &Reader, url: &str, now: Timestamp) -> anyhow::Result<Option<Timestamp>> {
    // Of a URL that changes with each round, what is shown may be none.
    let Ok(url) = Url::parse(url) else { return Ok(None) };
    Ok(reader.pause_of(&host_of(&url))?.map(|pause| pause.until).filter(|&until| until > now))
}
