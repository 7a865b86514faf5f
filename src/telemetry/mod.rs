//! The log: tracing, to standard error, or to systemd's journal.

mod journal;

use std::io::IsTerminal;

use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::journal::Journal;

/// The most lines that wait for a slow reader; more are dropped. Their places take 32 bytes each from the start: the
/// default of 128,000 would be a quarter of an idle daemon's memory.
const WAITING_LINES: usize = 4_096;

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people; entries with fields where standard error is systemd's journal.
    #[default]
    Pretty,
    /// One JSON object a line.
    Json,
}

/// Sends the log to standard error; `RUST_LOG` overrides `level`. A reader that stalls costs log lines, never time:
/// lines go through a thread of their own. What is logged reaches the terminal before the answered guard is dropped.
/// Where standard error is systemd's journal, entries with fields go there directly, unless JSON is asked for.
pub fn start(format: LogFormat, level: &str) -> Option<WorkerGuard> {
    // The HTTP library names URLs, and so their secrets, at debug level. The API's calls it an error when what a client
    // sends is no HTTP: whoever finds the port could fill the log.
    let quiet = "hyper=warn,hyper_util=warn,reqwest=warn,rustls=warn,h2=warn,actix=warn,actix_http=off,tokio_cron_scheduler=warn,rusqlite_migration=warn";
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let directives = |level: &str| EnvFilter::builder().parse(format!("{level},{quiet}"));
    let chosen = wanted.as_deref().map(directives);
    let (filter, mistaken) = match chosen {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(format!("{level},{quiet}")), Some(error)),
        None => (EnvFilter::new(format!("{level},{quiet}")), None),
    };
    let journal = if format == LogFormat::Pretty { Journal::of_stderr() } else { None };
    let guard = if let Some(journal) = journal {
        tracing_subscriber::registry().with(filter).with(journal).init();
        None
    } else {
        Some(to_stderr(format, filter))
    };
    if let Some(error) = mistaken {
        tracing::warn!(%error, "RUST_LOG is not understood, the usual level stays");
    }
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        tracing::error!(place, message = panic.payload_as_str(), "panic");
    }));
    guard
}

fn to_stderr(format: LogFormat, filter: EnvFilter) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).finish(std::io::stderr());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_target(false);
    match format {
        LogFormat::Pretty => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
    guard
}
