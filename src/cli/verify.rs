//! `gatherd verify`: is all in the file that should be, and as it should be?

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use super::exit::NO;
use super::query::FormArgs;
use super::sheet::{Cell, Form, Sheet};
use super::source::DatabaseArgs;
use crate::config::{Job, Settings};
use crate::model::Timestamp;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::store::verify::{DEADLINE, Handled, MOST_TOLD, Problem, Verified};

/// `gatherd verify`.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub source: DatabaseArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: FormArgs,
}

pub fn run(args: &VerifyArgs) -> anyhow::Result<ExitCode> {
    let verified = match Reader::open(&args.source.path()?, DEADLINE) {
        Ok(reader) => verify(args, &reader)?,
        Err(error) if error.is_damage() => {
            Verified { problems: vec![damage("integrity", &error)], ..Verified::default() }
        }
        Err(error) => return Err(error.into()),
    };
    let Verified { rounds, slots, hours, problems } = &verified;
    let form = args.printed.form();
    if problems.is_empty() && matches!(form, Form::Table { .. }) {
        writeln!(stdout(), "right: {rounds} rounds and ledger entries, {slots} slots, {hours} hours of rollups")?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut sheet = Sheet::new(stdout().lock(), form, vec!["kind", "place", "problem"])?;
    for Problem { kind, place, problem } in problems {
        sheet.row(&[Cell::Text(kind), Cell::Text(place), Cell::Text(problem)])?;
    }
    drop(sheet.finish()?);
    Ok(if problems.is_empty() { ExitCode::SUCCESS } else { NO.into() })
}

/// All that can be looked at, also in a file of which a part is damaged.
fn verify(args: &VerifyArgs, reader: &Reader) -> anyhow::Result<Verified> {
    let mut verified = Verified { problems: reader.verify_integrity()?, ..Verified::default() };
    verified.add(reader.verify_vectors()?);
    verified.add(reader.verify_rollups()?);
    if !args.source.config.exists() || args.source.database.is_some() {
        writeln!(
            stderr(),
            "without a config the ledger is not checked for gaps; --config FILE, in place of --database, names one"
        )?;
        return Ok(verified);
    }
    for job in &Settings::load(&args.source.config)?.jobs {
        match reader.handled_dues(job.name.as_str()) {
            Ok(handled) => verified.problems.extend(gaps(job, &handled)),
            Err(error) if error.is_damage() => {
                verified.problems.push(damage("ledger", &error));
                break;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(verified)
}

/// What could not be looked at.
fn damage(kind: &'static str, error: &StoreError) -> Problem {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Problem::of_file(kind, format!("not all of it can be read: {cause}"))
}

/// The dues of `job` that are neither a round nor in the ledger. In the order of numbers: a clock that was set back is no
/// gap. Where one distance comes twice in a row the job had another cadence then.
fn gaps(job: &Job, handled: &[Handled]) -> Vec<Problem> {
    let distance = |index: usize| {
        let pair = index.checked_sub(1).and_then(|before| handled.get(before)).zip(handled.get(index));
        pair.map(|(a, b)| b.first.as_micros() - a.last.as_micros())
    };
    let mut problems = Vec::new();
    for (index, pair) in (1..).zip(handled.windows(2)) {
        let [before, after] = pair else { continue };
        let until = Timestamp::from_micros(after.first.as_micros() - 1);
        let Some(dues) = job.cadence.dues_between(before.last, until) else { continue };
        if distance(index) == distance(index - 1) || distance(index) == distance(index + 1) {
            continue;
        }
        let place = format!("job {:?}, before round {}", job.name.as_str(), after.round_id);
        let dues = if dues.count == 1 {
            format!("the due {} is", dues.first)
        } else {
            format!("{} dues from {} to {} are", dues.count, dues.first, dues.last)
        };
        let cadence = &job.cadence_text;
        let problem = format!("{dues} neither in a round nor in the ledger, if the cadence was `{cadence}` then");
        problems.push(Problem { kind: "ledger", place, problem });
        if problems.len() >= MOST_TOLD {
            break;
        }
    }
    problems
}
