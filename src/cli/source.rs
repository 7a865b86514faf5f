//! Which database a query is about, and whether it knows the job.

use std::path::{Path, PathBuf};

use super::args::QueryArgs;
use super::exit::{Failure, NO};
use super::sheet::Form;
use crate::config::Settings;
use crate::store::read::Reader;

/// So many names are listed at most where none is near.
const MOST_NAMES: usize = 10;

/// Which file a command is about, and in which form it tells what came of it.
#[derive(Debug, clap::Args)]
pub struct FileArgs {
    /// The database [default: the one that the config names]
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// The config that names the database
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with = "database")]
    pub config: PathBuf,
    /// Print a JSON object a line, with times in UTC
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values (RFC 4180) with a head, with times in UTC
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Show times in UTC instead of local ones
    #[arg(long)]
    pub utc: bool,
}

impl FileArgs {
    /// The database.
    pub fn path(&self) -> anyhow::Result<PathBuf> {
        path(self.database.as_deref(), &self.config)
    }

    /// The form of what is told.
    pub fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table { utc: self.utc },
        }
    }
}

/// Opens the database of `--database`, or of the config.
pub fn open(args: &QueryArgs) -> anyhow::Result<Reader> {
    Ok(Reader::open(&path(args.database.as_deref(), &args.config)?, args.deadline)?)
}

fn path(database: Option<&Path>, config: &Path) -> anyhow::Result<PathBuf> {
    match database {
        Some(path) => Ok(path.to_owned()),
        None if config.exists() => Ok(Settings::load(config)?.database),
        None => {
            let config = config.display();
            let message = format!("which database? There is no {config} here: name one with --database or --config");
            Err(super::exit::usage(message))
        }
    }
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
