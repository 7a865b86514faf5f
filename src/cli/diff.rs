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
use crate::store::history::{Change, PathChange, SlotDiff, Vector, VectorSlot, Which, diff};
use crate::store::read::Reader;

/// `gatherd diff`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
    Documents are compared by value: the order of keys, blanks and how numbers are written make no difference. \
    What stands at a path in one of the two only has, in JSON, no member \"before\" or \"after\" for the other; \
    null there is a null of the document. Slots that failed are compared by outcome and HTTP status, which is \
    shown of them only.")]
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
    if before.round.due > after.round.due {
        writeln!(stderr(), "A is later than B: what is shown goes back in time")?;
    }
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
    if matches!(form, Form::Table { .. }) {
        table(&changes, form)?;
    } else {
        rows(&changes, form)?;
    }
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

/// For people: a document or how it failed is said in words, each change of a document in a line.
fn table(changes: &[SlotDiff<'_>], form: Form) -> anyhow::Result<()> {
    let mut sheet = Sheet::new(Vec::new(), form, vec!["endpoint", "path", "before", "after"])?;
    for SlotDiff { endpoint, change } in changes {
        let name = Cell::Text(endpoint);
        if let Change::Document(paths) = change {
            for PathChange { path, before, after } in paths {
                sheet.row(&[name, Cell::Text(path), Cell::json(*before), Cell::json(*after)])?;
            }
            continue;
        }
        let (_, before, after) = whole_slots(change);
        sheet.row(&[name, Cell::Null, Cell::Text(&in_words(before)), Cell::Text(&in_words(after))])?;
    }
    rows::print_rest(sheet)
}

/// For programs: the documents as they are, and the outcomes beside them.
fn rows(changes: &[SlotDiff<'_>], form: Form) -> anyhow::Result<()> {
    let columns = vec![
        "endpoint",
        "change",
        "path",
        "before",
        "after",
        "outcome_before",
        "outcome_after",
        "http_status_before",
        "http_status_after",
    ];
    let mut sheet = Sheet::new(Vec::new(), form, columns)?;
    for SlotDiff { endpoint, change } in changes {
        let name = Cell::Text(endpoint);
        if let Change::Document(paths) = change {
            let (what, ok) = (Cell::Text("document"), Cell::Text("ok"));
            for PathChange { path, before, after } in paths {
                let (path, none) = (Cell::Text(path), Cell::Null);
                sheet.row(&[name, what, path, value(*before), value(*after), ok, ok, none, none])?;
            }
            continue;
        }
        let (what, before, after) = whole_slots(change);
        let [before_body, after_body] =
            [before, after].map(|slot| Cell::json(slot.and_then(|slot| slot.body.as_deref())));
        let [ended, ends] = [before, after].map(|slot| Cell::text(slot.map(|slot| slot.outcome.as_str())));
        // As of documents, whose changes have rows of their own, of what did not fail only the outcome is told.
        let status = |slot: &VectorSlot| slot.http_status.filter(|_| slot.body.is_none());
        let [status, later] = [before, after].map(|slot| slot.and_then(status).map_or(Cell::Null, Cell::count));
        let what = Cell::Text(what);
        sheet.row(&[name, what, Cell::Null, before_body, after_body, ended, ends, status, later])?;
    }
    rows::print_rest(sheet)
}

/// What stands at a path, if anything does.
fn value(there: Option<&str>) -> Cell<'_> {
    there.map_or(Cell::Absent, Cell::Json)
}

/// What changed in a word, and the slots before and after it.
fn whole_slots<'s>(change: &Change<'s>) -> (&'static str, Option<&'s VectorSlot>, Option<&'s VectorSlot>) {
    match *change {
        Change::Added(after) => ("added", None, Some(after)),
        Change::Removed(before) => ("removed", Some(before), None),
        Change::Outcome { before, after } => ("outcome", Some(before), Some(after)),
        Change::Document(_) => ("document", None, None),
    }
}

/// The document, or how it failed, or that it is not there.
fn in_words(slot: Option<&VectorSlot>) -> String {
    match slot {
        None => "(no such endpoint)".to_owned(),
        Some(VectorSlot { body: Some(body), .. }) => body.clone(),
        Some(VectorSlot { outcome, http_status, detail, .. }) => {
            let detail = detail.as_ref().map(|detail| format!(": {detail}")).unwrap_or_default();
            // Most that is about a status begins with it.
            let untold = http_status.filter(|status| !detail.starts_with(&format!(": {status}")));
            let status = untold.map(|status| format!(", HTTP {status}")).unwrap_or_default();
            format!("({outcome}{status}{detail})")
        }
    }
}
