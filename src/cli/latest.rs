//! `gatherd latest`: the last complete round of each job.

use std::process::ExitCode;

use super::args::LatestArgs;
use super::{output, source};

pub fn run(args: &LatestArgs) -> anyhow::Result<ExitCode> {
    let reader = source::open(&args.query)?;
    source::known_job(&reader, args.job.as_deref())?;
    let answer = reader.latest(args.job.as_deref())?;
    output::print_rounds(&answer, args.query.json, args.utc)?;
    Ok(ExitCode::SUCCESS)
}
