//! `gatherd run`: the daemon.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::ExitCode;

use super::{descriptors, exit};
use crate::app::{self, Ended, Reloads};
use crate::config::Settings;

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

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let urls = || settings.jobs.iter().flat_map(|job| &job.endpoints).map(|endpoint| &endpoint.url);
    descriptors::warn_if_few(settings.workers, urls().count(), || descriptors::hosts(urls()));
    let reloads = if args.watch_config { Reloads::OnChange } else { Reloads::OnSignal };
    Ok(code(app::run(settings, reloads, u64::MAX, |_| ControlFlow::Continue(()))?))
}

/// 0 when everything was committed, 128 and the signal's number when a second one cut the end short.
pub fn code(ended: Ended) -> ExitCode {
    match ended {
        Ended::Drained => ExitCode::SUCCESS,
        Ended::Unwritten(rounds) => {
            tracing::error!(rounds, "the database refused to the end, what waited is lost");
            exit::IO.into()
        }
        Ended::AtOnce(signal) => u8::try_from(128 + signal).unwrap_or(exit::NO).into(),
    }
}
