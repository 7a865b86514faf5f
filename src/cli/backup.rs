//! `gatherd backup`: a consistent copy of the database, while a daemon writes it or not.

use std::io::stdout;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use super::exit::{CANNOT_CREATE, Failure};
use super::interrupt;
use super::output;
use super::query::FormArgs;
use super::sheet::{Cell, Sheet};
use super::source::{self, DatabaseArgs};
use crate::store::backup;

/// `gatherd backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Where the copy goes
    pub file: PathBuf,
    /// Replace FILE when it is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub source: DatabaseArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: FormArgs,
}

pub fn run(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let database = args.source.path()?;
    let file = &args.file;
    let refused = |why: &str| Failure { message: format!("{}: {why}", file.display()), code: CANNOT_CREATE };
    source::is_not(file, &database)?;
    if file.exists() && !args.force {
        return Err(refused("there is a file already; --force replaces it, or name another one").into());
    }
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(refused("a log (…-wal) lies beside it: somebody uses it as a database; name another file").into());
    }
    interrupt::removes(&backup::part_of(file))?;
    let begun = Instant::now();
    let bar = output::progress_bar(0);
    let copied = backup::copy(&database, file, |pages, all| {
        bar.set_length(all);
        bar.set_position(pages);
    });
    bar.finish_and_clear();
    let bytes = copied?;
    let mut sheet = Sheet::new(stdout().lock(), args.printed.form(), vec!["file", "bytes", "took_ms"])?;
    let shown = file.display().to_string();
    sheet.row(&[Cell::Text(&shown), Cell::count(bytes), Cell::count(begun.elapsed().as_millis())])?;
    drop(sheet.finish()?);
    Ok(ExitCode::SUCCESS)
}
