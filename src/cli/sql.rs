//! `gatherd sql`: any question.

use std::process::ExitCode;

use super::args::SqlArgs;
use super::sheet::Form;
use super::{output, source};

/// Prints the answer's values as they are: the columns are the user's own.
pub fn run(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let answer = source::open(&args.query)?.sql(&args.statement)?;
    if args.csv {
        output::print_answer(&answer, Form::Csv, false)?;
    } else if args.query.json {
        output::print_answer(&answer, Form::Json, false)?;
    } else {
        let mut table = output::table(answer.columns.iter().map(output::plain_text));
        for row in &answer.rows {
            table.add_row(row.iter().map(output::plain));
        }
        output::print(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}
