//! The log: tracing, to standard error, or to systemd's journal.

mod journal;
mod quoted;

use std::io::IsTerminal;

use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use self::journal::Journal;
use self::quoted::QuotedFields;

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

/// Libraries that name URLs, and so their secrets, or headers when they are asked for more than warnings.
const KEPT_QUIET: [&str; 8] =
    ["hyper", "hyper_util", "reqwest", "rustls", "h2", "actix", "tokio_cron_scheduler", "rusqlite_migration"];

/// Sends the log to standard error; `RUST_LOG` overrides `level`. A reader that stalls costs log lines, never time:
/// lines go through a thread of their own. What is logged reaches the terminal before the answered guard is dropped.
/// Where standard error is systemd's journal, entries with fields go there directly, unless JSON is asked for.
pub fn start(format: LogFormat, level: &str) -> Option<WorkerGuard> {
    let wanted = std::env::var("RUST_LOG").ok().filter(|filter| !filter.trim().is_empty());
    let (filter, mistaken) = match wanted.map(|wanted| EnvFilter::builder().parse(wanted)) {
        Some(Ok(filter)) => (filter, None),
        Some(Err(error)) => (EnvFilter::new(level), Some(error)),
        None => (EnvFilter::new(level), None),
    };
    let quiet = quiet(&filter);
    let registry = tracing_subscriber::registry().with(filter).with(quiet);
    let journal = if format == LogFormat::Pretty { Journal::of_stderr() } else { None };
    let guard = if let Some(journal) = journal {
        registry.with(journal).init();
        None
    } else {
        let (writer, guard) =
            NonBlockingBuilder::default().buffered_lines_limit(WAITING_LINES).finish(std::io::stderr());
        let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
        match format {
            LogFormat::Pretty => {
                registry.with(lines.fmt_fields(QuotedFields).with_ansi(std::io::stderr().is_terminal())).init();
            }
            LogFormat::Json => registry.with(lines.json().flatten_event(true)).init(),
        }
        Some(guard)
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

/// Beside what is asked for by `filter`, so that no directive, however fine, gets around it. It lets no more through than
/// `filter` may: the finest level of both is what records of the `log` crate, of which each request makes five, are
/// compared with before anything is formatted or looked up for them. (There are no spans: a directive that names one may
/// want it whatever its level, which this does not let through.)
fn quiet(filter: &EnvFilter) -> Targets {
    let quiet = KEPT_QUIET.into_iter().map(|library| (library, Level::WARN));
    // They call it an error when what a client sends is no HTTP, or a server's certificate is for other names, and repeat
    // these: whoever is on the other side could fill the log, or see to it that a secret stands in it.
    let silent = ["actix_http", "rustls_platform_verifier"].into_iter().map(|library| (library, LevelFilter::OFF));
    let finest = filter.max_level_hint().unwrap_or(LevelFilter::TRACE);
    Targets::new().with_default(finest).with_targets(quiet).with_targets(silent)
}

#[cfg(test)]
mod tests {
    use tracing::Subscriber as _;

    use super::*;

    #[test]
    fn no_directive_makes_a_library_tell_what_it_asks() {
        let filter = EnvFilter::new("trace,rustls::client=trace,hyper_util::client=debug,actix_http::h1=trace");
        let quiet = quiet(&filter);
        let subscriber = tracing_subscriber::registry().with(filter).with(quiet);
        tracing::subscriber::with_default(subscriber, || {
            assert!(!tracing::enabled!(target: "rustls::client", Level::DEBUG));
            assert!(!tracing::enabled!(target: "hyper_util::client", Level::DEBUG));
            assert!(!tracing::enabled!(target: "actix_http::h1", Level::ERROR));
            assert!(!tracing::enabled!(target: "rustls_platform_verifier::verification::others", Level::ERROR));
            assert!(tracing::enabled!(target: "rustls::client", Level::WARN));
            assert!(tracing::enabled!(target: "gatherd::fetch", Level::TRACE));
        });
    }

    #[test]
    fn what_is_finer_than_asked_for_is_dropped_by_its_level_alone() {
        let filter = EnvFilter::new("info");
        let quiet = quiet(&filter);
        let subscriber = tracing_subscriber::registry().with(filter).with(quiet);
        assert_eq!(subscriber.max_level_hint(), Some(LevelFilter::INFO));
    }
}
