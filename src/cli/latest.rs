//! `gatherd latest`: the last complete round of each job.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use super::args::LatestArgs;
use super::output::{self, plain, shown_moment};
use super::source;
use crate::store::read::{NamedRow, Value};

pub fn run(args: &LatestArgs) -> anyhow::Result<ExitCode> {
    let reader = source::open(&args.query)?;
    source::known_job(&reader, args.job.as_deref())?;
    let answer = reader.latest(args.job.as_deref())?;
    if args.query.json {
        output::print_json(&answer, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    if answer.rows.is_empty() {
        writeln!(stderr(), "no complete round yet; gatherd rounds shows what there is")?;
    }
    let rows: Vec<NamedRow<'_>> = answer.named_rows().collect();
    for (index, job) in rows.chunk_by(|a, b| a.get("round_id") == b.get("round_id")).enumerate() {
        let mut table = output::table(["endpoint", "outcome", "status", "tries", "ms", "document or reason"]);
        for row in job {
            let mut cells =
                ["endpoint", "outcome", "http_status", "attempts"].map(|column| plain(row.get(column))).to_vec();
            let elapsed = if let Value::Real(elapsed) = row.get("elapsed_ms") { Some(elapsed) } else { None };
            cells.push(elapsed.map(|elapsed| format!("{elapsed:.0}")).unwrap_or_default());
            cells.push(plain(if row.get("body") == &Value::Null { row.get("detail") } else { row.get("body") }));
            table.add_row(cells);
        }
        let (name, due) = (plain(job[0].get("job")), shown_moment(job[0].get("due_at"), args.utc));
        writeln!(stdout(), "{}job \"{name}\", due {due}", if index == 0 { "" } else { "\n" })?;
        output::print_to_width(&table)?;
    }
    Ok(ExitCode::SUCCESS)
}
