//! `gatherd migrate`: brings the database of an older gatherd up to date, without running it.

use std::io::{Write, stdout};
use std::process::ExitCode;

use bytesize::ByteSize;

use super::prune::give_back;
use super::source::DatabaseArgs;
use crate::store::{open, schema_version};

/// `gatherd migrate`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "gatherd run does the same when it opens the database. It is one transaction: what is cut off leaves the \
    file as it was. It needs room for the file twice more. An older gatherd cannot open the file afterwards: gatherd backup \
    makes a copy before."
)]
pub struct MigrateArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub source: DatabaseArgs,
}

pub fn run(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let path = args.source.path()?;
    let before = schema_version(&path)?;
    let mut writer = open(&path)?;
    let after = schema_version(&path)?;
    if before == after {
        writeln!(stdout(), "{}: its schema is version {after}, as it should be", path.display())?;
    } else {
        let bytes = ByteSize(give_back(&mut writer)?);
        writeln!(stdout(), "{}: from version {before} of the schema to {after}; {bytes} given back", path.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
