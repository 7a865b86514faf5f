//! `gatherd at`: the vector as it stood at a time.

use std::io::{Write, stderr};
use std::process::ExitCode;

use chrono::Utc;
use clap_complete::engine::ArgValueCandidates;

use super::exit::{Failure, NO};
use super::moment::moment;
use super::query::AnswerArgs;
use super::{names, source, vectors};
use crate::model::Timestamp;
use crate::store::history::Which;

/// `gatherd at`.
#[derive(Debug, clap::Args)]
pub struct AtArgs {
    /// The job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: String,
    /// As it was then: "2026-01-31 14:00", 2026-01-31T14:00:00Z, 14:00, yesterday, or 2h for two hours ago
    pub time: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

pub fn run(args: &AtArgs) -> anyhow::Result<ExitCode> {
    let at = moment("TIME", &args.time, args.answer.zone())?;
    let reader = args.answer.open()?;
    source::known_job(&reader, Some(&args.job))?;
    if at > Timestamp::from(Utc::now()) {
        writeln!(stderr(), "{} is still to come: this is the newest vector", args.time)?;
    }
    let Some(vector) = reader.vector(&args.job, Which::At(at))? else {
        let message =
            format!("no complete round of {:?} is due at {at} or before; gatherd rounds shows what there is", args.job);
        return Err(Failure { message, code: NO }.into());
    };
    vectors::print(&[vector], args.answer.form())?;
    Ok(ExitCode::SUCCESS)
}
