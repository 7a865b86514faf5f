//! `gatherd latest`: the last complete round of each job.

use std::process::ExitCode;

use super::args::LatestArgs;
use super::output::{self, plain, shown_moment};
use super::source;
use crate::store::read::Value;

pub fn run(args: &LatestArgs) -> anyhow::Result<ExitCode> {
    let reader = source::open(&args.query)?;
    source::known_job(&reader, args.job.as_deref())?;
    let answer = reader.latest(args.job.as_deref())?;
    if args.query.json {
        output::print_json(&answer, true)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut table = output::table(["due", "job", "endpoint", "outcome", "status", "tries", "ms", "document or reason"]);
    for row in answer.named_rows() {
        let mut cells = vec![shown_moment(row.get("due_at"), args.utc)];
        cells.extend(["job", "endpoint", "outcome", "http_status", "attempts"].map(|column| plain(row.get(column))));
        cells.push(if let Value::Real(elapsed) = row.get("elapsed_ms") {
            format!("{elapsed:.0}")
        } else {
            String::new()
        });
        cells.push(plain(if row.get("body") == &Value::Null { row.get("detail") } else { row.get("body") }));
        table.add_row(cells);
    }
    output::print_to_width(&table)?;
    Ok(ExitCode::SUCCESS)
}
