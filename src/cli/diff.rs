//! `gatherd diff`: what changed between two rounds.

use std::io::{Write, stderr, stdout};
use std::process::ExitCode;

use clap_complete::engine::ArgValueCandidates;

use super::exit::{Failure, NO};
use super::moment::moment;
use super::output;
use super::query::AnswerArgs;
use super::sheet::{Cell, Form, Sheet};
use super::{names, rows, source};
use crate::model::RoundId;
use crate::store::history::{Change, SlotDiff, Vector, VectorSlot, Which, diff};
use crate::store::read::Reader;

/// `gatherd diff`.
#[derive(Debug, clap::Args)]
pub struct DiffArgs {
    /// The job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: String,
    /// The earlier round: its number, or a time, which means the last complete round then or before
    #[arg(value_name = "A")]
    pub before: String,
    /// The later round, likewise
    #[arg(value_name = "B")]
    pub after: String,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

pub fn run(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let reader = args.answer.open()?;
    source::known_job(&reader, Some(&args.job))?;
    let [before, after] =
        [("A", &args.before), ("B", &args.after)].map(|(name, text)| round(&reader, args, name, text));
    let (before, after) = (before?, after?);
    let changes = diff(&before, &after);
    let form = args.answer.form();
    if let Form::Table { utc } = form {
        let shown =
            |vector: &Vector| format!("round {}, due {}", vector.round.id, output::moment(vector.round.due, utc));
        writeln!(stdout(), "{} → {}", shown(&before), shown(&after))?;
    }
    if changes.is_empty() {
        writeln!(stderr(), "nothing changed")?;
        return Ok(ExitCode::SUCCESS);
    }
    print(&changes, form)?;
    Ok(ExitCode::SUCCESS)
}

fn round(reader: &Reader, args: &DiffArgs, name: &str, text: &str) -> anyhow::Result<Vector> {
    let which = match text.parse() {
        Ok(number) => Which::Round(RoundId(number)),
        Err(_) => Which::At(moment(name, text, args.answer.zone())?),
    };
    let job = &args.job;
    let no = |what: String| Failure { message: what + "; gatherd rounds shows what there is", code: NO };
    let vector = reader.vector(job, which)?.ok_or_else(|| match which {
        Which::Round(number) => no(format!("{name}: no round {number} of {job:?}")),
        _ => no(format!("{name}: no complete round of {job:?} is due at {text} or before")),
    })?;
    if vector.slots.is_empty() {
        return Err(no(format!("{name}: round {} has no slots, it is {}", vector.round.id, vector.round.status)).into());
    }
    Ok(vector)
}

fn print(changes: &[SlotDiff<'_>], form: Form) -> anyhow::Result<()> {
    let table = matches!(form, Form::Table { .. });
    let columns = if table {
        vec!["endpoint", "path", "before", "after"]
    } else {
        vec!["endpoint", "change", "path", "before", "after", "outcome_before", "outcome_after"]
    };
    let mut sheet = Sheet::new(Vec::new(), form, columns)?;
    for SlotDiff { endpoint, change } in changes {
        let name = Cell::Text(endpoint);
        if let Change::Document(paths) = change {
            for change in paths {
                let (path, before, after) =
                    (Cell::Text(&change.path), Cell::json(change.before), Cell::json(change.after));
                let ok = Cell::Text("ok");
                let cells = [name, Cell::Text("document"), path, before, after, ok, ok];
                if table { sheet.row(&[name, path, before, after])? } else { sheet.row(&cells)? }
            }
            continue;
        }
        let (what, before, after) = match change {
            Change::Added(after) => ("added", None, Some(*after)),
            Change::Removed(before) => ("removed", Some(*before), None),
            Change::Outcome { before, after } => ("outcome", Some(*before), Some(*after)),
            Change::Document(_) => continue,
        };
        if table {
            let (before, after) = (in_words(before), in_words(after));
            sheet.row(&[name, Cell::Null, Cell::Text(&before), Cell::Text(&after)])?;
        } else {
            let body = |slot: Option<&'_ VectorSlot>| slot.and_then(|slot| slot.body.clone());
            let (earlier, later) = (body(before), body(after));
            let outcome = |slot: Option<&'_ VectorSlot>| slot.map(|slot| slot.outcome.clone());
            let (ended, ends) = (outcome(before), outcome(after));
            let [earlier, later] = [earlier.as_deref(), later.as_deref()].map(Cell::json);
            sheet.row(&[
                name,
                Cell::Text(what),
                Cell::Null,
                earlier,
                later,
                Cell::text(ended.as_deref()),
                Cell::text(ends.as_deref()),
            ])?;
        }
    }
    rows::print_rest(sheet)
}

/// The document, or how it failed, or that it is not there.
fn in_words(slot: Option<&VectorSlot>) -> String {
    match slot {
        None => "(no such endpoint)".to_owned(),
        Some(VectorSlot { body: Some(body), .. }) => body.clone(),
        Some(VectorSlot { outcome, detail: Some(detail), .. }) => format!("({outcome}: {detail})"),
        Some(VectorSlot { outcome, .. }) => format!("({outcome})"),
    }
}
