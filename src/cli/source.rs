//! Which database a query is about, and whether it knows the job.

use std::path::PathBuf;

use super::args::QueryArgs;
use super::exit::{Failure, NO};
use crate::config::Settings;
use crate::store::read::Reader;

/// So many names are listed at most where none is near.
const MOST_NAMES: usize = 10;

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
    Err(Failure { message: format!("no job {job:?} in this database{}", hint(&jobs, job)), code: NO }.into())
}

/// What may have been meant by `name`, as the end of a sentence: the nearest of the `known`, or those that have it in
/// them, or some of all.
pub fn hint(known: &[String], name: &str) -> String {
    let nearest = known.iter().map(|known| (strsim::damerau_levenshtein(known, name), known)).min();
    match nearest {
        None => String::new(),
        Some((distance, known)) if distance <= 1 + name.len() / 3 => format!("; the nearest is {known:?}"),
        Some(_) => {
            let having: Vec<String> = known.iter().filter(|known| known.contains(name)).cloned().collect();
            listed(if having.is_empty() { known } else { &having })
        }
    }
}

/// Some of `names`, as the end of a sentence.
pub fn listed(names: &[String]) -> String {
    let more = names.len().saturating_sub(MOST_NAMES);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("; there are {:?}{more}", &names[..names.len().min(MOST_NAMES)])
}
