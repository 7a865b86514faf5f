//! `gatherd sql`: any question.

use std::process::ExitCode;

use super::args::SqlArgs;
use super::{output, source};

/// Prints the answer's values as they are: the columns are the user's own.
pub fn run(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let answer = source::open(&args.query)?.sql(&args.statement)?;
    output::print_values(&answer, args.query.json)?;
    Ok(ExitCode::SUCCESS)
}
