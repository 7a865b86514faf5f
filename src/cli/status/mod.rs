//! `gatherd status`: how the daemon does, on one screen: from itself, or when it cannot be asked from its file.

mod report;
mod screen;
mod source;
mod verdict;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use chrono::Utc;
use serde::Serialize;
use url::Url;

use self::report::Report;
use self::source::Place;
use super::args::positive_duration;
use super::exit::{DOWN, NO};
use crate::model::Timestamp;

/// `gatherd status`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Exit code 0: all is well.\n\
    Exit code 1: degraded; the first lines say why: endpoints that failed in the last round, rounds that wait for the \
    disk, dead workers, a config that is wrong, a reload that failed, a last round that was skipped, missed, \
    interrupted or started more than 5 s late, a round that has not started 5 s after its due.\n\
    Exit code 2: down; the daemon does not answer, or nobody holds the lock of the database.\n\n\
    An endpoint that fails is enough for degraded, so that a monitor sees it. Whether the daemon itself works is what \
    gatherd health says.\n\
    Of a daemon that cannot be asked (listen = false, no token) only what its file says is known: of rounds that have \
    ended, not of one that has not started. Where the file is not known either, as with --url, it is degraded. So it is \
    when the config is wrong or not there: then the daemon is looked for where the part of the config that can be read \
    says, or at 127.0.0.1:8787.")]
pub struct StatusArgs {
    /// The config of the daemon: where it listens, with which token, and its database
    #[arg(long, default_value = "config.toml", value_name = "FILE", conflicts_with_all = ["url", "database"])]
    pub config: PathBuf,
    /// Ask the daemon here, without a config and without its file
    #[arg(long, value_name = "http://ADDRESS:PORT")]
    pub url: Option<Url>,
    /// Look at this database only, and ask nobody
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    pub database: Option<PathBuf>,
    /// Show the API this environment variable's value as token, instead of what the config names
    #[arg(long, value_name = "VAR", conflicts_with = "token_file")]
    pub token_env: Option<String>,
    /// Show the API this file's content as token, instead of what the config names
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Print one JSON object, with times in UTC
    #[arg(long)]
    pub json: bool,
    /// Show times in UTC instead of local ones
    #[arg(long)]
    pub utc: bool,
    /// Wait so long for the daemon, and for the file
    #[arg(long, default_value = "10s", value_parser = positive_duration, value_name = "TIME")]
    pub deadline: Duration,
}

/// How it is in a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    /// All is well.
    Ok,
    /// It runs, and something is wrong.
    Degraded,
    /// It does not run, or does not answer.
    Down,
}

/// What is told.
#[derive(Debug, Serialize)]
struct Status {
    state: State,
    /// Why it is not well, the worst first.
    why: Vec<String>,
    /// Why something is not known.
    notes: Vec<String>,
    #[serde(flatten)]
    report: Report,
}

pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    let status = Place::of(args)?.status(Timestamp::from(Utc::now()));
    let mut out = stdout().lock();
    if args.json {
        writeln!(out, "{}", serde_json::to_string(&status)?)?;
    } else {
        screen::print(&mut out, &status, Timestamp::from(Utc::now()), args.utc)?;
    }
    Ok(match status.state {
        State::Ok => ExitCode::SUCCESS,
        State::Degraded => NO.into(),
        State::Down => DOWN.into(),
    })
}
