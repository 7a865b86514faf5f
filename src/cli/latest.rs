//! `gatherd latest`: the last complete round of each job.

use std::io::{Write, stderr};
use std::process::ExitCode;

use clap_complete::engine::ArgValueCandidates;

use super::query::AnswerArgs;
use super::{names, source, vectors};
use crate::store::history::Which;

/// `gatherd latest`.
#[derive(Debug, clap::Args)]
pub struct LatestArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

pub fn run(args: &LatestArgs) -> anyhow::Result<ExitCode> {
    let reader = args.answer.open()?;
    source::known_job(&reader, args.job.as_deref())?;
    let jobs = args.job.clone().map_or_else(|| reader.jobs(), |job| Ok(vec![job]))?;
    let mut newest = Vec::new();
    for job in &jobs {
        newest.extend(reader.vector(job, Which::Newest)?);
    }
    if newest.is_empty() {
        writeln!(stderr(), "no complete round yet; gatherd rounds shows what there is")?;
    }
    vectors::print(&newest, args.answer.form())?;
    Ok(ExitCode::SUCCESS)
}
