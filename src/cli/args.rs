//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytesize::ByteSize;
use clap::{Parser, Subcommand};
use clap_complete::engine::ArgValueCandidates;

use super::at::AtArgs;
use super::backup::BackupArgs;
use super::completions::CompletionsArgs;
use super::diff::DiffArgs;
use super::export::ExportArgs;
use super::health::HealthArgs;
use super::history::HistoryArgs;
use super::man::ManArgs;
use super::names;
use super::notify::NotifyArgs;
use super::plan::PlanArgs;
use super::prune::PruneArgs;
use super::query::AnswerArgs;
use super::status::StatusArgs;
use super::uptime::UptimeArgs;
use super::verify::VerifyArgs;
use crate::config::parse_duration;
use crate::telemetry::LogFormat;

/// Collects JSON endpoints on a cadence: every round an ordered vector, every failure a null with its reason, in one SQLite file.
#[derive(Debug, Parser)]
#[command(version, propagate_version = true, subcommand_required = true, arg_required_else_help = false)]
pub struct Args {
    /// How log lines look that go to standard error
    #[arg(long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon
    Run(RunArgs),
    /// Fetch a list of URLs once and print one JSON array, an entry a URL
    Fetch(FetchArgs),
    /// Watch rounds over a built-in API that hangs, lies and blocks
    Demo(DemoArgs),
    /// Validate the config and show what it will do
    Check(CheckArgs),
    /// Send a test message to those who are told when endpoints fail
    Notify(NotifyArgs),
    /// Write a commented config
    Init(InitArgs),
    /// Run the config once against a built-in server that hangs, lies and blocks; nothing leaves the machine
    Rehearse(RehearseArgs),
    /// Show the last rounds and what is in the ledger
    Rounds(RoundsArgs),
    /// Show the last complete round, an endpoint a line
    Latest(LatestArgs),
    /// Show documents, or one value of them, over time: as rows, by hours or days, as a picture
    History(HistoryArgs),
    /// Show the vector as it stood at a time, an endpoint a line
    At(AtArgs),
    /// Show what changed between two rounds
    Diff(DiffArgs),
    /// Write observations into a file for other tools: csv, ndjson, parquet
    Export(ExportArgs),
    /// Show how an endpoint does, since when, what came back, and what to try
    Why(WhyArgs),
    /// Show how reliable each endpoint was: share ok, longest outage, latency
    Uptime(UptimeArgs),
    /// Show what the config will ask of hosts and of the disk
    Plan(PlanArgs),
    /// Copy the database, while a daemon writes it or not
    Backup(BackupArgs),
    /// Check that the database is whole
    Verify(VerifyArgs),
    /// Delete old rounds, after showing what would go
    Prune(PruneArgs),
    /// Ask the database anything that only reads
    Sql(SqlArgs),
    /// Serve the built-in sample API, for trying things out
    SampleApi(SampleApiArgs),
    /// Show on one screen how the daemon does: exit code 0 when all is well, 1 when degraded, 2 when down
    Status(StatusArgs),
    /// Ask the daemon that runs whether it stores rounds: exit code 0 when it does, 1 when not, 2 when nobody answers
    Health(HealthArgs),
    /// Print what a shell sources to complete commands, options, jobs and endpoints
    Completions(CompletionsArgs),
    /// Write the manual, a page a command
    Man(ManArgs),
}

/// `gatherd run`.
#[derive(Debug, clap::Args)]
pub struct RunArgs {
    /// The config file; SIGHUP has it read again
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Read the config again also when its file was written or replaced
    #[arg(long)]
    pub watch_config: bool,
}

/// `gatherd fetch`.
#[derive(Debug, clap::Args)]
pub struct FetchArgs {
    /// URLs, fetched after those of --urls
    #[arg(value_name = "URL")]
    pub url: Vec<String>,
    /// A file with a URL a line, - for standard input; blank lines and lines with # are passed over
    #[arg(long, value_name = "FILE|-")]
    pub urls: Option<PathBuf>,
    /// Send this environment variable's value as Authorization: Bearer …
    #[arg(long, value_name = "VAR", conflicts_with = "token_file")]
    pub token_env: Option<String>,
    /// Send this file's content as Authorization: Bearer …
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// The User-Agent [default: gatherd and its version]
    #[arg(long, value_name = "UA")]
    pub user_agent: Option<String>,
    /// The time for one attempt, from connect to the last byte
    #[arg(long, default_value = "10s", value_parser = positive_duration, value_name = "TIME")]
    pub timeout: Duration,
    /// Further attempts for failures that may pass
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=20), value_name = "N")]
    pub retries: u32,
    /// Threads: the most requests in flight
    #[arg(long, default_value_t = 64, value_parser = workers, value_name = "N")]
    pub workers: usize,
    /// The largest body, after decompression
    #[arg(long, default_value = "1MiB", value_parser = size, value_name = "SIZE")]
    pub max_body: ByteSize,
    /// Print objects that say how each slot ended
    #[arg(long)]
    pub why: bool,
    /// Exit with 1 when any slot is null
    #[arg(long)]
    pub fail: bool,
}

/// `gatherd demo`.
#[derive(Debug, clap::Args)]
pub struct DemoArgs {
    /// Keep the rounds in this database instead of a new temporary one
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// Stop after so many rounds
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..), value_name = "N")]
    pub rounds: Option<u64>,
}

/// `gatherd check`.
#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The config file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Show times in UTC instead of local ones
    #[arg(long)]
    pub utc: bool,
}

/// `gatherd rehearse`.
#[derive(Debug, clap::Args)]
pub struct RehearseArgs {
    /// The config file
    #[arg(long, default_value = "config.toml", value_name = "FILE")]
    pub config: PathBuf,
    /// Print a JSON object for each slot
    #[arg(long)]
    pub json: bool,
}

/// `gatherd init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Where to write it
    #[arg(default_value = "config.toml", value_name = "PATH")]
    pub path: PathBuf,
}

/// Which database, and how to print.
#[derive(Debug, clap::Args)]
pub struct QueryArgs {
    /// The database [default: the one that the config names]
    #[arg(long, value_name = "PATH")]
    pub database: Option<PathBuf>,
    /// The config that names the database
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with = "database")]
    pub config: PathBuf,
    /// Print a JSON object a line, with times in UTC
    #[arg(long)]
    pub json: bool,
    /// Stop the query after this time
    #[arg(long, default_value = "30s", value_parser = positive_duration, value_name = "TIME")]
    pub deadline: Duration,
}

/// `gatherd rounds`.
#[derive(Debug, clap::Args)]
pub struct RoundsArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    /// How many, the newest last
    #[arg(long, default_value_t = 20, value_name = "N")]
    pub last: u32,
    /// Add each round's vector
    #[arg(long)]
    pub vectors: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

/// `gatherd latest`.
#[derive(Debug, clap::Args)]
pub struct LatestArgs {
    /// Only this job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: Option<String>,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub answer: AnswerArgs,
}

/// `gatherd why`.
#[derive(Debug, clap::Args)]
pub struct WhyArgs {
    /// The job
    #[arg(add = ArgValueCandidates::new(names::jobs))]
    pub job: String,
    /// The endpoint: its name, a part of it that no other has, or its number in the job
    #[arg(add = ArgValueCandidates::new(names::endpoints))]
    pub endpoint: String,
    /// As it was then: 2026-01-31, "2026-01-31 14:00", 2026-01-31T14:00:00Z, or 2h for two hours ago [default: the newest round]
    #[arg(long, value_name = "TIME")]
    pub at: Option<String>,
    /// Show times in UTC instead of local ones, and read --at so
    #[arg(long)]
    pub utc: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub query: QueryArgs,
}

/// `gatherd sql`.
#[derive(Debug, clap::Args)]
pub struct SqlArgs {
    /// One statement
    #[arg(
        allow_hyphen_values = true,
        help = "One statement, such as \"SELECT * FROM latest\"; the views are rounds, observations, vectors, latest, \
                failures, uptime_hours"
    )]
    pub statement: String,
    /// Print comma-separated values (RFC 4180) with a head
    #[arg(long, conflicts_with = "json")]
    pub csv: bool,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub query: QueryArgs,
}

/// `gatherd sample-api`.
#[derive(Debug, clap::Args)]
pub struct SampleApiArgs {
    /// Where to listen; port 0 is a free one
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS")]
    pub listen: SocketAddr,
}

/// A duration that a clock can wait for.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).ok_or_else(|| "write it like 500ms, 10s or 1m 30s".to_owned())?;
    let range = Duration::from_millis(1)..=Duration::from_hours(24 * 366);
    if range.contains(&duration) { Ok(duration) } else { Err("from 1ms to 366days".to_owned()) }
}

fn size(text: &str) -> Result<ByteSize, String> {
    let size = text.parse::<ByteSize>().map_err(|_| "write it like 64KiB or 1MiB".to_owned())?;
    if size.as_u64() == 0 { Err("at least one byte".to_owned()) } else { Ok(size) }
}

fn workers(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|workers| (1..=8192).contains(workers)).ok_or_else(|| "from 1 to 8192".to_owned())
}
