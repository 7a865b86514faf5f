//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::at::AtArgs;
use super::backup::BackupArgs;
use super::check::CheckArgs;
use super::completions::CompletionsArgs;
use super::demo::DemoArgs;
use super::diff::DiffArgs;
use super::export::ExportArgs;
use super::fetch::FetchArgs;
use super::health::HealthArgs;
use super::history::HistoryArgs;
use super::init::InitArgs;
use super::latest::LatestArgs;
use super::man::ManArgs;
use super::migrate::MigrateArgs;
use super::notify::NotifyArgs;
use super::plan::PlanArgs;
use super::prune::PruneArgs;
use super::rounds::RoundsArgs;
use super::run::RunArgs;
use super::sample_api::SampleApiArgs;
use super::sql::SqlArgs;
use super::status::StatusArgs;
use super::uptime::UptimeArgs;
use super::verify::VerifyArgs;
use super::why::WhyArgs;
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
    /// Check that the database is whole: all of it can be read and fits together, and no round is missing
    Verify(VerifyArgs),
    /// Delete old rounds, after showing what would go
    Prune(PruneArgs),
    /// Bring the database of an older gatherd up to date
    Migrate(MigrateArgs),
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

/// A duration that a clock can wait for.
pub(super) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = parse_duration(text).ok_or_else(|| "write it like 500ms, 10s or 1m 30s".to_owned())?;
    let range = Duration::from_millis(1)..=Duration::from_hours(24 * 366);
    if range.contains(&duration) { Ok(duration) } else { Err("from 1ms to 366days".to_owned()) }
}
