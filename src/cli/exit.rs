//! Exit codes, by the names of sysexits(3) where there is one.

use std::io::{ErrorKind, Write, stderr};
use std::process::ExitCode;

use super::output::plain_lines;
use crate::app::{CannotListen, Fatal, OutOfThreads};
use crate::config::{Mistakes, SecretError};
use crate::fetch::ClientError;
use crate::store::StoreError;

/// The command did what it should, and the answer is "no": a null with `--fail`, an unknown job.
pub const NO: u8 = 1;
/// Nobody answers: the daemon is not there, or not reachable.
pub const DOWN: u8 = 2;
/// `EX_USAGE`: the command line is wrong.
pub const USAGE: u8 = 64;
/// `EX_SOFTWARE`: a defect in gatherd.
pub const SOFTWARE: u8 = 70;
/// `EX_OSERR`: the system does not give what is needed.
pub const SYSTEM: u8 = 71;
/// `EX_CANTCREAT`: the file cannot be made.
pub const CANNOT_CREATE: u8 = 73;
/// `EX_IOERR`: reading or writing failed.
pub const IO: u8 = 74;
/// `EX_CONFIG`: the config, or what it names, is wrong. A restart does not help.
pub const CONFIG: u8 = 78;

/// Every exit code with what it means, for the manual.
pub const MEANINGS: [(u8, &str); 9] = [
    (0, "It is done, and the answer is yes."),
    (
        NO,
        "The answer is no: a null with --fail, an unknown job or endpoint, a question that takes too long, a daemon that is not ready or degraded.",
    ),
    (DOWN, "The daemon is not reachable, does not run, or cannot be asked."),
    (USAGE, "The command line or the question is wrong."),
    (SOFTWARE, "A defect in gatherd."),
    (SYSTEM, "The system gives no more threads or descriptors."),
    (CANNOT_CREATE, "The file cannot be made, or is there already."),
    (IO, "Reading or writing failed, the database's in most cases."),
    (CONFIG, "The config, or what it names, is wrong: a restart does not help."),
];

/// An error that has its exit code with it.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What people read.
    pub message: String,
    /// The exit code.
    pub code: u8,
}

/// An error of the command line that clap does not see.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Failure { message: message.into(), code: USAGE }.into()
}

/// Prints the error and its causes to standard error and answers its exit code.
#[must_use]
pub fn report(error: &anyhow::Error) -> ExitCode {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
    };
    if error.chain().any(broken_pipe) {
        // The reader has seen enough, as in `gatherd rounds | head`.
        return ExitCode::SUCCESS;
    }
    let text = match error.downcast_ref::<Mistakes>() {
        Some(mistakes) => mistakes.to_string(),
        None => format!("gatherd: {error:#}"),
    };
    // Where nobody can read it, the exit code says it.
    let _ = writeln!(stderr(), "{}", plain_lines(&text));
    code(error).into()
}

fn code(error: &anyhow::Error) -> u8 {
    let of_store = |error: &StoreError| match error {
        error if error.is_refusal() => CONFIG,
        error if error.is_question() => USAGE,
        StoreError::Deadline(_) | StoreError::LargeAnswer(_) => NO,
        _ => IO,
    };
    error
        .chain()
        .find_map(|cause| {
            let failure = cause.downcast_ref::<Failure>().map(|failure| failure.code);
            let system = cause.is::<OutOfThreads>() || matches!(cause.downcast_ref(), Some(ClientError::Client(_)));
            let config = cause.is::<Mistakes>() || cause.is::<SecretError>() || cause.is::<ClientError>();
            let panics = matches!(cause.downcast_ref(), Some(Fatal::Panics(_) | Fatal::Gone(_)));
            failure
                .or_else(|| cause.downcast_ref().map(of_store))
                .or_else(|| {
                    let listen: &CannotListen = cause.downcast_ref()?;
                    Some(if listen.is_refusal() { CONFIG } else { SYSTEM })
                })
                .or_else(|| system.then_some(SYSTEM))
                .or_else(|| config.then_some(CONFIG))
                .or_else(|| panics.then_some(SOFTWARE))
                .or_else(|| cause.is::<std::io::Error>().then_some(IO))
        })
        .unwrap_or(NO)
}
