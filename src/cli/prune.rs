//! `gatherd prune`: deletes old rounds by hand, after showing what would go.

use std::io::{IsTerminal, Write, stderr, stdin, stdout};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use bytesize::ByteSize;
use chrono::Utc;
use clap_complete::engine::ArgValueCandidates;

use super::exit::{Failure, NO};
use super::names;
use super::output;
use super::query::FormArgs;
use super::sheet::{Cell, Sheet};
use super::source::{self, DatabaseArgs};
use crate::config::parse_duration;
use crate::model::{JobName, Timestamp};
use crate::store::read::Reader;
use crate::store::retention::{Outdated, Pruned};
use crate::store::verify::DEADLINE;
use crate::store::{StoreError, Writer, open};

/// A part of the work between two movements of the bar.
const SLICE: Duration = Duration::from_millis(100);

/// `gatherd prune`.
#[derive(Debug, clap::Args)]
pub struct PruneArgs {
    /// How long rounds are kept, like 90d; whole hours go
    #[arg(long, value_parser = keep, value_name = "TIME")]
    pub keep: Keep,
    /// Only this job
    #[arg(long, value_name = "JOB", add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub source: DatabaseArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: FormArgs,
}

/// How long rounds are kept.
#[derive(Clone, Debug)]
pub struct Keep {
    /// As it was written.
    text: String,
    span: Duration,
}

pub fn run(args: &PruneArgs) -> anyhow::Result<ExitCode> {
    let path = args.source.path()?;
    let before = Timestamp::from(Utc::now()).minus(args.keep.span);
    let reader = Reader::open(&path, DEADLINE)?;
    source::known_job(&reader, args.job.as_deref())?;
    let outdated = reader.outdated(args.job.as_deref(), before)?;
    drop(reader);
    show(&outdated, args)?;
    if outdated.is_empty() {
        writeln!(stderr(), "nothing is older")?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.yes && !confirmed()? {
        writeln!(stderr(), "nothing was deleted; --yes does it")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (pruned, bytes) = prune(&path, &outdated, before, &args.keep.text)?;
    writeln!(
        stderr(),
        "deleted {} rounds and ledger entries with {} slots; the file gave back {}",
        pruned.rounds,
        pruned.slots,
        ByteSize(bytes)
    )?;
    Ok(ExitCode::SUCCESS)
}

/// What would be deleted.
fn show(outdated: &[Outdated], args: &PruneArgs) -> anyhow::Result<()> {
    let columns = vec!["job", "rounds", "slots", "document_bytes", "first_due", "last_due"];
    let mut sheet = Sheet::new(stdout().lock(), args.printed.form(), columns)?;
    for Outdated { job, counted, bytes, dues: (first, last) } in outdated {
        sheet.row(&[
            Cell::Text(job),
            Cell::count(counted.rounds),
            Cell::count(counted.slots),
            Cell::count(*bytes),
            Cell::Moment(*first),
            Cell::Moment(*last),
        ])?;
    }
    drop(sheet.finish()?);
    Ok(())
}

fn confirmed() -> anyhow::Result<bool> {
    if !stdin().is_terminal() || !stderr().is_terminal() {
        return Ok(false);
    }
    write!(stderr(), "Delete this? Hours keep their rollups. [y/N] ")?;
    let mut answer = String::new();
    stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

fn prune(path: &Path, outdated: &[Outdated], before: Timestamp, keep: &str) -> anyhow::Result<(Pruned, u64)> {
    let mut writer = match open(path) {
        Err(StoreError::InUse { .. }) => return Err(in_use(path, keep).into()),
        opened => opened?,
    };
    let bar = output::progress_bar(usize::try_from(outdated.iter().map(|job| job.counted.rounds).sum::<u64>())?);
    // Hours are rolled up before their slots go.
    while writer.roll_up(Timestamp::from(Utc::now()), SLICE)?.more {}
    let mut sum = Pruned::default();
    for job in outdated {
        let job = JobName::new(&job.job);
        loop {
            let pruned = writer.prune(&job, before)?;
            if pruned.rounds == 0 {
                break;
            }
            sum.rounds += pruned.rounds;
            sum.slots += pruned.slots;
            bar.set_position(sum.rounds);
        }
    }
    bar.finish_and_clear();
    Ok((sum, give_back(&mut writer)?))
}

/// Gives all unused pages back to the file system, and answers how many bytes they were.
pub fn give_back(writer: &mut Writer) -> Result<u64, StoreError> {
    let mut given = 0;
    loop {
        match writer.give_back(SLICE)? {
            0 => break,
            bytes => given += bytes,
        }
    }
    writer.maintain()?;
    Ok(given)
}

fn in_use(path: &Path, keep: &str) -> Failure {
    let message = format!(
        "{}: a running gatherd writes this database, and only one may; nothing was deleted. Write retain = \"{keep}\" at the \
         top of its config or in the job, and it prunes by itself at its next maintenance; or stop it for as long as this takes",
        path.display()
    );
    Failure { message, code: NO }
}

fn keep(text: &str) -> Result<Keep, String> {
    let span = parse_duration(text).ok_or_else(|| "write it like 90d, 12h or 1y".to_owned())?;
    let range = Duration::from_hours(1)..=Duration::from_hours(24 * 36_525);
    let keep = Keep { text: text.trim().to_owned(), span };
    range.contains(&span).then_some(keep).ok_or_else(|| "from 1h to 100 years".to_owned())
}
