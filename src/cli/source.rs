//! Which database a query is about, and whether it knows the job.

use std::path::PathBuf;

use super::args::QueryArgs;
use super::exit::{Failure, NO};
use crate::config::Settings;
use crate::store::read::Reader;

/// Opens the database of `--database`, or of the config.
pub fn open(args: &QueryArgs) -> anyhow::Result<Reader> {
    let path: PathBuf = match &args.database {
        Some(path) => path.clone(),
        None if args.config.exists() => Settings::load(&args.config)?.database,
        None => {
            let config = args.config.display();
            let message = format!("which database? There is no {config} here: name one with --database or --config");
            return Err(super::exit::usage(message));
        }
    };
    Ok(Reader::open(&path, args.deadline)?)
}

/// Refuses a job that never ran, with the nearest name that did.
pub fn known_job(reader: &Reader, job: Option<&str>) -> anyhow::Result<()> {
    let Some(job) = job else { return Ok(()) };
    let jobs = reader.jobs()?;
    if jobs.iter().any(|known| known == job) {
        return Ok(());
    }
    let nearest = jobs.iter().map(|known| (strsim::damerau_levenshtein(known, job), known)).min();
    let hint = match nearest {
        Some((distance, known)) if distance <= 1 + job.len() / 3 => format!("; the nearest is {known:?}"),
        Some(_) => format!("; there are {jobs:?}"),
        None => String::new(),
    };
    Err(Failure { message: format!("no job {job:?} in this database{hint}"), code: NO }.into())
}
