//! The commands. Each has a file of its own: it reads its arguments, calls the layer that does the work, and prints.

mod args;
mod at;
mod backup;
mod check;
mod completions;
mod daemon_api;
mod demo;
mod descriptors;
mod diff;
pub mod exit;
mod export;
mod fetch;
mod health;
mod history;
mod init;
mod interrupt;
mod latest;
mod man;
mod migrate;
mod moment;
mod names;
mod notify;
mod observation;
mod output;
mod plan;
mod plot;
mod prune;
mod query;
mod rehearse;
mod rounds;
mod rows;
mod run;
mod sample_api;
mod series;
mod sheet;
mod source;
mod sql;
mod status;
mod time_axis;
mod token;
mod uptime;
mod vectors;
mod verify;
mod why;

use std::process::ExitCode;

pub use args::Args;
use args::Command;

use crate::telemetry;

/// Answers a shell that asks how the line goes on (`COMPLETE=bash gatherd` is what it has to source), and ends the process
/// then; without `COMPLETE` in the environment it does nothing.
pub fn complete() {
    clap_complete::CompleteEnv::with_factory(<Args as clap::CommandFactory>::command).complete();
}

/// Runs the command; what it answers is the process's exit code. An error is printed with all its causes.
#[must_use]
pub fn run(args: Args) -> ExitCode {
    let level = match args.command {
        Command::Run(_) => "info",
        // Its own lines say what happens.
        Command::Demo(_) => "error",
        _ => "warn",
    };
    let allowed = descriptors::allow_more();
    let _log = telemetry::start(args.log_format, level);
    if let Err(error) = allowed {
        tracing::warn!(%error, "the limit of open files stays as it was");
    }
    let result = match args.command {
        Command::Run(args) => run::run(&args),
        Command::Fetch(args) => fetch::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Notify(args) => notify::run(&args),
        Command::Rehearse(args) => rehearse::run(&args),
        Command::Rounds(args) => rounds::run(&args),
        Command::Latest(args) => latest::run(&args),
        Command::History(args) => history::run(&args),
        Command::At(args) => at::run(&args),
        Command::Diff(args) => diff::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Why(args) => why::run(&args),
        Command::Uptime(args) => uptime::run(&args),
        Command::Plan(args) => plan::run(&args),
        Command::Backup(args) => backup::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Prune(args) => prune::run(&args),
        Command::Migrate(args) => migrate::run(&args),
        Command::Sql(args) => sql::run(&args),
        Command::SampleApi(args) => sample_api::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Man(args) => man::run(&args),
    };
    result.unwrap_or_else(|error| exit::report(&error))
}
