//! Which database a command is about, and whether it knows the job.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::positive_duration;
use super::exit::{CANNOT_CREATE, Failure, NO, usage};
use crate::config::Settings;
use crate::store::overview::identity;
use crate::store::read::Reader;

/// So many names are listed at most where none is near.
const MOST_NAMES: usize = 10;

/// Which database.
#[derive(Debug, clap::Args)]
pub struct DatabaseArgs {
    /// The database [default: the one that the config names]
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// The config that names the database
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with = "database")]
    pub config: PathBuf,
}

impl DatabaseArgs {
    /// Where it is.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        match &self.database {
            Some(path) => Ok(path.clone()),
            None if self.config.exists() => Ok(Settings::load(&self.config)?.database),
            None => {
                let config = self.config.display();
                Err(usage(format!("which database? There is no {config} here: name one with --database or --config")))
            }
        }
    }
}

/// Which database is asked, and for how long.
#[derive(Debug, clap::Args)]
pub struct ReaderArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub source: DatabaseArgs,
    /// Stop when the database has not answered for this time
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "TIME")]
    pub deadline: Duration,
}

impl ReaderArgs {
    /// Opens the database.
    pub fn open(&self) -> anyhow::Result<Reader> {
        Ok(Reader::open(&self.source.path()?, self.deadline)?)
    }
}

/// Refuses to write to `file` when it is the database itself, by whatever name.
pub fn is_not(file: &Path, database: &Path) -> anyhow::Result<()> {
    if identity(file).is_none_or(|file| identity(database) != Some(file)) {
        return Ok(());
    }
    let message = format!("{}: this is the database itself; name another file", file.display());
    Err(Failure { message, code: CANNOT_CREATE }.into())
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
