//! `gatherd rounds`: the last rounds and what is in the ledger.

use std::process::ExitCode;

use super::args::RoundsArgs;
use super::{output, source};

pub fn run(args: &RoundsArgs) -> anyhow::Result<ExitCode> {
    let reader = source::open(&args.query)?;
    source::known_job(&reader, args.job.as_deref())?;
    let answer = reader.rounds(args.job.as_deref(), args.last, args.vectors)?;
    output::print_rounds(&answer, args.query.json, args.utc)?;
    Ok(ExitCode::SUCCESS)
}
