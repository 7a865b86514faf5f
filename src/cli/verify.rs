//! `gatherd verify`: is all in the file that should be, and as it should be?

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use super::exit::NO;
use super::query::FormArgs;
use super::sheet::{Cell, Form, Sheet};
use super::source::DatabaseArgs;
use crate::store::StoreError;
use crate::store::read::Reader;
use crate::store::verify::{DEADLINE, Problem, Verified};

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
        Ok(reader) => verify(&reader)?,
        Err(error) if error.is_damage() => Verified { problems: vec![damage(&error)], ..Verified::default() },
        Err(error) => return Err(error.into()),
    };
    let Verified { rounds, slots, hours, problems, .. } = &verified;
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
fn verify(reader: &Reader) -> anyhow::Result<Verified> {
    let mut verified = Verified { problems: reader.verify_integrity()?, ..Verified::default() };
    verified.problems.extend(reader.verify_schema()?);
    verified.add(reader.verify_vectors()?);
    verified.add(reader.verify_slots()?);
    verified.add(reader.verify_rollups()?);
    verified.add(reader.verify_numbers()?);
    let unknown = &verified.unknown_outcomes;
    if !unknown.is_empty() {
        let counts: Vec<String> = unknown.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
        writeln!(stderr(), "outcomes that only a newer gatherd knows, if it wrote them: {}", counts.join(", "))?;
    }
    Ok(verified)
}

/// What could not be looked at.
fn damage(error: &StoreError) -> Problem {
    let cause = std::error::Error::source(error).map_or_else(|| error.to_string(), ToString::to_string);
    Problem::of_file("integrity", format!("not all of it can be read: {cause}"))
}
