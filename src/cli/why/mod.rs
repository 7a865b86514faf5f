//! `gatherd why`: how an endpoint does, since when, what came back, and what to try.

mod advice;
pub mod at;
mod json;
mod text;

use std::io::{Write, stdout};
use std::process::ExitCode;

use chrono::Utc;
use url::Url;

use super::args::WhyArgs;
use super::exit::{Failure, NO, usage};
use super::query::known_endpoint;
use super::source;
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

pub fn run(args: &WhyArgs) -> anyhow::Result<ExitCode> {
    let now = Utc::now();
    let at = args.at.as_deref().map(|text| at::parse(text, args.utc, now)).transpose();
    let at = at.map_err(|problem| usage(format!("--at: {problem}")))?;
    let reader = source::open(&args.query)?;
    known_endpoint(&reader, &args.job, &args.endpoint)?;
    let Some(status) = reader.status(&args.job, &args.endpoint, at)? else {
        let then = if at.is_some() { " at that time or before" } else { "" };
        return no(format!("no round with {:?} has ended{then}; gatherd rounds shows what there is", args.endpoint));
    };
    let advised = |slot| advice::advice(&advice::Failure::of(slot, &status.url));
    let advice = failure(&status).map(advised).unwrap_or_default();
    let left_alone_until = if at.is_none() { left_alone_until(&reader, &status.url, now.into())? } else { None };
    let answer = Answer { job: &args.job, endpoint: &args.endpoint, status, left_alone_until, advice };
    let printed = if args.query.json { json::of(&answer)? } else { text::of(&answer, args.utc) };
    stdout().lock().write_all(printed.as_bytes())?;
    Ok(ExitCode::SUCCESS)
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
    let host =
        Url::parse(url).ok().and_then(|url| Some(format!("{}:{}", url.host_str()?, url.port_or_known_default()?)));
    let Some(host) = host else { return Ok(None) };
    Ok(reader.pause_of(&host)?.map(|pause| pause.until).filter(|&until| until > now))
}
