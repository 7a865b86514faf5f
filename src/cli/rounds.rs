//! `gatherd rounds`: the last rounds and what is in the ledger.

use std::io::stdout;
use std::process::ExitCode;

use clap_complete::engine::ArgValueCandidates;

use super::output::{self, parse_moment, plain, shown_moment};
use super::query::AnswerArgs;
use super::sheet::{Cell, Form, Sheet};
use super::{names, source};

/// `gatherd rounds`.
#[derive(Debug, clap::Args)]
pub struct RoundsArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    /// How many, the newest last
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub last: u32,
    /// Add each round's vector
    #[arg(long)]
    pub vectors: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

pub fn run(args: &RoundsArgs) -> anyhow::Result<ExitCode> {
    let reader = args.answer.open()?;
    source::known_job(&reader, args.job.as_deref())?;
    let answer = reader.rounds(args.job.as_deref(), args.last, args.vectors)?;
    let utc = match args.answer.form() {
        Form::Table { utc } => utc,
        form => return output::print_answer(&answer, form, true).map(|()| ExitCode::SUCCESS),
    };
    let vector = args.vectors.then_some("vector");
    let columns = ["round", "job", "due", "status", "cause", "covers", "ok", "failed", "took"];
    let columns = columns.into_iter().chain(vector).collect();
    let mut sheet = Sheet::new(stdout().lock(), Form::Table { utc }, columns)?.whole();
    for row in answer.named_rows() {
        let took = parse_moment(row.get("finished_at")).zip(parse_moment(row.get("started_at")));
        let took = took.map(|(end, start)| format!("{:.3} s", (end - start).as_seconds_f64()));
        let mut cells = vec![plain(row.get("round_id")), plain(row.get("job")), shown_moment(row.get("due_at"), utc)];
        cells.extend(["status", "cause", "covers", "ok", "failed"].map(|column| plain(row.get(column))));
        cells.push(took.unwrap_or_default());
        cells.extend(vector.map(|column| plain(row.get(column))));
        sheet.row(&cells.iter().map(|cell| Cell::Text(cell)).collect::<Vec<_>>())?;
    }
    drop(sheet.finish()?);
    Ok(ExitCode::SUCCESS)
}
