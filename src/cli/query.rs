//! What every question about history takes: a stretch of time, the form of the answer, names that are known.

use super::exit::{Failure, NO, usage};
use super::moment::moment;
use super::sheet::Form;
use super::source::{self, ReaderArgs};
use crate::store::history::{Span, Zone};
use crate::store::read::Reader;

/// In which form an answer is printed.
#[derive(Debug, clap::Args)]
pub struct FormArgs {
    /// Print a JSON object a line, with times in UTC
    #[arg(long)]
    pub json: bool,
    /// Print comma-separated values (RFC 4180) with a head, with times in UTC
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    /// Show times in UTC instead of local ones, and read them so
    #[arg(long)]
    pub utc: bool,
}

impl FormArgs {
    /// The form.
    pub fn form(&self) -> Form {
        match (self.json, self.csv) {
            (true, _) => Form::Json,
            (_, true) => Form::Csv,
            _ => Form::Table { utc: self.utc },
        }
    }
}

/// Which database, and in which form its answer is printed.
#[derive(Debug, clap::Args)]
pub struct AnswerArgs {
    #[command(flatten)]
    #[allow(missing_docs)]
    pub reader: ReaderArgs,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub printed: FormArgs,
}

impl AnswerArgs {
    /// Opens the database.
    pub fn open(&self) -> anyhow::Result<Reader> {
        self.reader.open()
    }

    /// The form of the answer.
    pub fn form(&self) -> Form {
        self.printed.form()
    }

    /// Whose days and hours are meant.
    pub fn zone(&self) -> Zone {
        zone(self.printed.utc)
    }
}

/// The zone that times are shown and read in.
pub fn zone(utc: bool) -> Zone {
    if utc { Zone::Utc } else { Zone::Local }
}

/// Which stretch of time, by dues.
#[derive(Debug, clap::Args)]
pub struct SpanArgs {
    /// From then on: 7d for seven days ago, 14:00, yesterday, 2026-01-31, "2026-01-31 14:00", 2026-01-31T14:00:00Z
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before then, written likewise
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

impl SpanArgs {
    /// The stretch that is meant; `zone` says how times without one are read.
    pub fn span(&self, zone: Zone) -> anyhow::Result<Span> {
        let moment = |name, text: &Option<String>| text.as_deref().map(|text| moment(name, text, zone)).transpose();
        let span = Span { from: moment("--since", &self.since)?, until: moment("--until", &self.until)? };
        match (span.from, span.until) {
            (Some(from), Some(until)) if from >= until => {
                Err(usage(format!("--until {until} is not after --since {from}")))
            }
            _ => Ok(span),
        }
    }
}

/// Refuses an endpoint that `job` never had, with the nearest name that it had; the job has to be known.
pub fn known_endpoint(reader: &Reader, job: &str, endpoint: &str) -> anyhow::Result<()> {
    source::known_job(reader, Some(job))?;
    let endpoints = reader.endpoints(job)?;
    if endpoints.iter().any(|known| known == endpoint) {
        return Ok(());
    }
    let hint = source::hint(&endpoints, endpoint);
    Err(Failure { message: format!("no endpoint {endpoint:?} in job {job:?}{hint}"), code: NO }.into())
}
