//! `gatherd sql`: any question.

use std::io::stdout;
use std::process::ExitCode;

use super::output;
use super::sheet::{Cell, Form, Sheet};
use super::source::ReaderArgs;

/// `gatherd sql`.
#[derive(Debug, clap::Args)]
pub struct SqlArgs {
    /// One statement
    #[arg(
        allow_hyphen_values = true,
        help = "One statement, such as \"SELECT * FROM latest\"; the views are rounds, observations, vectors, latest, \
                failures, uptime_hours"
    )]
    pub statement: String,
    /// Print a JSON object a line
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values (RFC 4180) with a head
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderArgs,
}

/// Prints the answer's values as they are: the columns are the user's own.
pub fn run(args: &SqlArgs) -> anyhow::Result<ExitCode> {
    let answer = args.reader.open()?.sql(&args.statement)?;
    if args.csv {
        output::print_answer(&answer, Form::Csv, false)?;
    } else if args.json {
        output::print_answer(&answer, Form::Json, false)?;
    } else {
        let columns = answer.columns.iter().map(output::plain_text).collect();
        let mut sheet = Sheet::new(stdout().lock(), Form::Table { utc: true }, columns)?.whole();
        for row in &answer.rows {
            let values: Vec<String> = row.iter().map(output::plain).collect();
            sheet.row(&values.iter().map(|value| Cell::Text(value)).collect::<Vec<_>>())?;
        }
        drop(sheet.finish()?);
    }
    Ok(ExitCode::SUCCESS)
}
