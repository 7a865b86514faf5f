//! `gatherd run`: the daemon.

use std::ops::ControlFlow;
use std::process::ExitCode;

use super::args::RunArgs;
use super::exit;
use crate::app::{self, Ended, Reloads};
use crate::config::Settings;

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    let settings = Settings::load(&args.config)?;
    let reloads = if args.watch_config { Reloads::OnChange } else { Reloads::OnSignal };
    Ok(code(app::run(settings, reloads, |_| ControlFlow::Continue(()))?))
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
