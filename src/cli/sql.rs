//! `gatherd sql`: any question.

use std::process::ExitCode;

use super::output;
use super::sheet::Form;
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
        let mut table = output::table(answer.columns.iter().map(output::plain_text));
        for row in &answer.rows {
            table.add_row(row.iter().map(output::plain));
        }
        output::print(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}
