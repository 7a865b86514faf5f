//! The commands. Each has a file of its own: it reads its arguments, calls the layer that does the work, and prints.

mod args;
mod at;
mod backup;
mod check;
mod completions;
mod daemon_api;
mod demo;
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

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::telemetry;

/// So many files may be open before the kernel's table of them has to grow. While a process has threads, that takes as long
/// as each processor needs to come to rest (`expand_fdtable` in Linux's fs/file.c), up to 20 ms, and whoever opens a
/// connection waits.
const ROOM: u64 = 4_096;

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
    let allowed = allow_more_descriptors();
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

/// Raises the number of files that may be open as far as the system allows it. The soft limit that a shell or systemd
/// sets, mostly 1,024, is for programs that use `select`; a connection a worker needs more.
///
/// There is room for [`ROOM`] of them afterwards. To be called before there are threads.
fn allow_more_descriptors() -> rustix::io::Result<()> {
    let limit = getrlimit(Resource::Nofile);
    let raised = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit });
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX).min(ROOM);
    // The table is as long as its highest number; closed at once. A system that refuses makes the table longer later.
    let _ = fcntl_dupfd_cloexec(std::io::stdin(), i32::try_from(most).unwrap_or(i32::MAX) - 1);
    raised
}
